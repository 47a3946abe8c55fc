"""Forms that make something: sent twice, they make it once, and whoever sent them twice sees what came of it.

Each such form has a value of its own, drawn whenever it is shown (`once` in `parts.html`); it is to a page what the
Idempotency-Key is to the API, and answers are kept as there: sealed with what only the browser's cookie holds.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dashboard.idempotency import Repeatable, earlier_answer, keep_answer
from dashboard.pages.rendering import HEADERS
from domain.errors import Conflict

#: The name under which a form brings its own value.
ONCE = "form_once"

_SEE_OTHER = 303


def repeatable_form(
    form: Mapping[str, str], path: str, cookie: str, actor: str, *, beside: set[str]
) -> Repeatable | None:
    """The form if sending it again is to do nothing more; fields `beside` say nothing of what it does."""
    once = form.get(ONCE)
    if once is None:
        return None
    content = sorted((name, value) for name, value in form.items() if name not in {ONCE, *beside})
    key = hmac.new(cookie.encode(), once.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return Repeatable(actor, f"form {key}", hashlib.sha256(json.dumps([path, content]).encode()).digest(), cookie)


def answer_before(connection: Connection, sent: Repeatable, now: datetime) -> Response | None:
    """What came of this form when it was sent before; waits for one that is under way. Raises Conflict."""
    try:
        earlier = earlier_answer(connection, sent, now)
    except Conflict as error:
        raise Conflict(
            "this form was sent before and says something else now; load its page again to make another"
            if error.field is not None
            else "this form was sent before and is still being worked on; look again in a moment"
        ) from None
    if earlier is None:
        return None
    said = bytes(earlier.body).decode()
    if earlier.status_code == _SEE_OTHER:
        return RedirectResponse(said, _SEE_OTHER, HEADERS)
    return HTMLResponse(said, earlier.status_code, HEADERS)


def keep_what_came(connection: Connection, sent: Repeatable, answered: Response, now: datetime) -> None:
    """Keep what a form that did its work is answered with: the page, or where it leads."""
    said = answered.headers.get("location", "").encode() or bytes(answered.body)
    keep_answer(connection, sent, Response(said, answered.status_code), is_secret=True, now=now)
