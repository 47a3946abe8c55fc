"""Somebody who is told by webhook: a real HTTP server on loopback that verifies every signature with the library.

It answers as a test plans: fails, hangs, redirects, drips its answer, or tells more than anybody should read.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True, slots=True)
class Plan:
    """How it answers one request."""

    status: int = 200
    delay_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Sent byte by byte for ever, instead of a body.
    drips: bool = False
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    #: Whether the library verified it with the secret the target has.
    verified: bool

    @property
    def key(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        """The body, read."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(slots=True)
class WebhookTarget:
    """What it knows and what it was told; plans still to come, one per request, then `otherwise`."""

    port: int
    secret: str = ""
    plans: list[Plan] = field(default_factory=list)
    otherwise: Plan = field(default_factory=Plan)
    received: list[Received] = field(default_factory=list)
    #: Connections accepted.
    connection_count: int = 0
    #: Ends every delay and every drip, so that stopping never waits.
    stopping: threading.Event = field(default_factory=threading.Event)

    #: Makes it speak TLS from now on.
    wrap: Callable[[ssl.SSLContext], None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/told"

    def keys(self) -> list[str]:
        """The delivery ids in the order they came."""
        return [each.key for each in self.received]

    def types(self) -> list[str]:
        """The types in alphabetical order: none other is promised."""
        return sorted(each.document["type"] for each in self.received)


@contextmanager
def webhook_target(host: str = "127.0.0.1") -> Iterator[WebhookTarget]:
    """A running target."""
    server = ThreadingHTTPServer((host, 0), BaseHTTPRequestHandler)
    target = WebhookTarget(server.server_port)
    server.RequestHandlerClass = _handler(target)

    def wrap(context: ssl.SSLContext) -> None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    target.wrap = wrap
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield target
    finally:
        target.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(target: WebhookTarget) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            target.connection_count += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            target.received.append(Received(self.path, headers, body, _verifies(target.secret, body, headers)))
            plan = target.plans.pop(0) if target.plans else target.otherwise
            target.stopping.wait(plan.delay_s)
            try:
                self._answer(plan)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the caller had enough, as it should

        def _answer(self, plan: Plan) -> None:
            self.send_response(plan.status)
            for name, value in {"Content-Length": str(len(plan.body)), **plan.headers}.items():
                self.send_header(name, value)
            if plan.drips:
                self._drip()
            self.end_headers()
            self.wfile.write(plan.body)

        def _drip(self) -> None:
            """A header that never ends, a letter at a time."""
            self.flush_headers()
            until_s = time.monotonic() + 30
            self.wfile.write(b"x-slow: ")
            while not target.stopping.wait(0.05) and time.monotonic() < until_s:
                self.wfile.write(b"a")
                self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: the requests are recorded."""

    return Handler


def _verifies(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        Webhook(secret or "whsec_bm9uZQ==").verify(body, dict(headers))
    except WebhookVerificationError:
        return False
    return True
