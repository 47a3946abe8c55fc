"""A Stripe that answers over real HTTP on loopback: lists by page, and whatever trouble a test plans first."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Trouble:
    """An answer instead of the true one. `delay_s` waits first; a 200 without a body tells the truth, late."""

    status: int = 200
    delay_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(slots=True)
class FakeStripe:
    """What it holds, what it was asked, and the troubles still to come, one per request."""

    api_base: str
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: Single objects by path, such as `/v1/invoices/in_1`.
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    #: What happens at Stripe after an answer, one per request.
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    #: Ends every delay, so that stopping never waits.
    stopping: threading.Event = field(default_factory=threading.Event)


#: (the fake, path, query) -> status and body.
Truth = Callable[[FakeStripe, str, Mapping[str, str]], tuple[int, bytes]]


@contextmanager
def fake_stripe(truth: Truth | None = None) -> Iterator[FakeStripe]:
    """A running fake; its `api_base` is where to call it. `truth` makes it another provider's."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    fake = FakeStripe(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(fake, truth or _truth)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        fake.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(fake: FakeStripe, truth: Truth) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
            fake.requests.append(Request(asked.path, query, dict(self.headers.items())))
            trouble = fake.troubles.pop(0) if fake.troubles else Trouble()
            fake.stopping.wait(trouble.delay_s)
            true = truth(fake, asked.path, query)
            if fake.meanwhile:
                fake.meanwhile.pop(0)()
            self._answer(trouble, *true)

        def _answer(self, trouble: Trouble, status: int, content: bytes) -> None:
            if trouble.status != 200 or trouble.body is not None:
                status, content = trouble.status, trouble.body or error_body(trouble.status)
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **trouble.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the caller gave up waiting, as it should

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: the requests are recorded."""

    return Handler


def _truth(fake: FakeStripe, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
    """One object, or one page of a list as Stripe pages: `limit` objects after `starting_after`, made since."""
    if path in fake.objects:
        return 200, json.dumps(fake.objects[path]).encode()
    if path not in fake.lists:
        return 404, error_body(404)
    since = int(query.get("created[gte]", "0"))
    held = [entry for entry in fake.lists[path] if entry.get("created", since) >= since]
    held = [entry for entry in held if _is_paid_by(entry, query)]
    after = query.get("starting_after")
    place = next((index for index, entry in enumerate(held) if entry.get("id") == after), None)
    if after is not None and place is None:
        return 400, error_body(400)
    start = 0 if place is None else place + 1
    limit = int(query.get("limit", "10"))
    page = {"object": "list", "data": held[start : start + limit], "has_more": start + limit < len(held), "url": path}
    return 200, json.dumps(page).encode()


def error_body(status: int) -> bytes:
    """Why not, in a form that either provider's library understands."""
    kind = "invalid_request_error" if status in (400, 404) else "api_error"
    error = {"type": kind, "message": "planned by the test", "api_error_code": "planned"}
    return json.dumps({"error": error, **error, "http_status_code": status}).encode()


def _is_paid_by(entry: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """Of lists that are narrowed to one payment, what that payment is in."""
    for kind in ("payment_intent", "charge"):
        wanted = query.get(f"payment[{kind}]") or query.get(kind)
        if wanted is not None and wanted not in (entry.get(kind), (entry.get("payment") or {}).get(kind)):
            return False
    return True
