"""Templates and what they may call: every value is escaped, money has its decimals, times their zone.

A template that names what nobody gave it fails, rather than showing nothing.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from dashboard.answers import FieldError
from dashboard.api.exports import FILES
from dashboard.pages.typed import typed_amount
from domain.commissions import MOVES, CommissionState
from domain.money import format_money
from domain.windows import epoch_ms

_HERE = Path(__file__).parent
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
#: Everything comes from here, and nothing is run: there is no script at all.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    # With no referrer at all, browsers would hide from us whether a form is ours.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Templates:
    """All templates, and the static files they name by digest. May be used from any thread."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._files = {_static_name(path): path for path in sorted((_HERE / "static").iterdir())}
        by_plain_name = {path.name: f"/static/{name}" for name, path in self._files.items()}
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            money=_money,
            time=self._time,
            moment=lambda at: self._time(epoch_ms(at)),
            day=_day,
            path=_path,
            json=_json,
            compact=_compact,
            problems=_problems_at,
            narrowed=_is_narrowed,
            typed=typed_amount,
        )
        self._environment.globals.update(
            static=by_plain_name,
            zone=str(zone),
            moves=_moves,
            states=[state.value for state in CommissionState],
            file_of=_file_of,
            drawn=lambda: secrets.token_urlsafe(18),
        )

    def answer(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, /, **values: object
    ) -> Response:
        """A page."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status, {**HEADERS, **(headers or {})})

    def static(self, name: str) -> Response | None:
        """A static file; its name changes with its content, so that it may be kept for ever."""
        path = self._files.get(name)
        if path is None:
            return None
        headers = {"cache-control": "public, max-age=31536000, immutable", "content-security-policy": POLICY}
        return Response(path.read_bytes(), media_type=_KINDS[path.suffix], headers=headers)

    @staticmethod
    def path_to(below: str, key: str) -> str:
        """The address of what is called `key`."""
        return f"{below}/{_path(key)}"

    def _time(self, ms: int | None) -> Markup:
        """A moment in the program's zone, which is said."""
        if ms is None:
            return Markup("&ndash;")
        utc = _EPOCH + timedelta(milliseconds=ms)
        shown = utc.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S %Z")
        return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), shown)


def _static_name(path: Path) -> str:
    return f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}{path.suffix}"


def _money(amount_minor: int | None, currency: str | None) -> Markup:
    if amount_minor is None or currency is None:
        return Markup("&ndash;")
    kind = "money negative" if amount_minor < 0 else "money"
    return Markup('<span class="{}">{}</span>').format(kind, format_money(amount_minor, currency))


def _day(value: date | datetime | None) -> str:
    if value is None:
        return "unknown"
    return Markup('<time datetime="{0}">{0}</time>').format(value.strftime("%Y-%m-%d"))


def _path(key: object) -> str:
    """A key as one step of a path."""
    return quote(str(key), safe=":")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _problems_at(problems: Iterable[FieldError], *names: str) -> list[str]:
    """What is wrong with a field, and with parts of it."""
    return [
        each.message if each.field in names else f"{each.field}: {each.message}"
        for each in problems
        if any(each.field == name or each.field.startswith((f"{name}.", f"{name}[")) for name in names)
    ]


def _is_narrowed(filters: BaseModel) -> bool:
    """Whether a list shows less than all there is, page by page."""
    return bool(filters.model_fields_set - {"limit"})


def _file_of(kind: str, filters: BaseModel) -> str:
    """Where the file is of what a list with these filters lists, on all its pages."""
    given = filters.model_dump(mode="json", include=set(FILES[kind][0].model_fields), exclude_none=True)
    return f"/exports/{kind}{'?' if given else ''}{urlencode({n: _said(value) for n, value in given.items()})}"


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _moves(state: str) -> Sequence[str]:
    """Where a person may move a commission, the usual first."""
    legal = MOVES[CommissionState(state)]
    return [each.value for each in (*_USUAL_FIRST,) if each in legal]


_USUAL_FIRST: tuple[Any, ...] = (
    *(CommissionState.APPROVED, CommissionState.PAID, CommissionState.PENDING),
    *(CommissionState.HOLD, CommissionState.DECLINED),
)
