"""The outermost layer: request ids, one log line per request, headers of every answer, and 500 without detail."""

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.answers import refused
from domain.problems import is_storable

REQUEST_ID = "x-request-id"
_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: What an answer has unless it says otherwise.
_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_log = structlog.get_logger()


def is_for_programs(path: str) -> bool:
    """Whether whoever asks at this path is a program, not a browser."""
    return path.startswith(("/api", "/healthz", "/readyz"))


class Edge:
    """ASGI: wraps the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        started_s = time.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._answer(scope, receive, answer)
            _log.info(
                "request.answered",
                method=scope["method"],
                route=_route_of(scope),
                status=answer.status,
                actor=scope["state"].get("actor"),
                duration_ms=round((time.monotonic() - started_s) * 1000, 1),
            )

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        if not _is_readable(scope):
            await refused(400, "the address holds characters that nothing here is called by")(scope, receive, answer)
            return
        try:
            await self._app(scope, receive, answer)
        except Exception:  # noqa: BLE001 - the caller is told nothing, the log everything
            _log.exception("request.failed", route=_route_of(scope))
            if answer.status is None:
                message = f"something went wrong here; it is written down as request {answer.request_id}"
                await self._failed(scope, message)(scope, receive, answer)

    def _failed(self, scope: Scope, message: str) -> ASGIApp:
        """A document where programs ask, else the page that the application has for it."""
        if is_for_programs(scope["path"]) or "app" not in scope:
            return refused(500, message)
        page: ASGIApp = scope["app"].state.failure_page(scope["path"], message)
        return page


class _Answer:
    """Sends an answer with the headers that each must have, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**_HEADERS, REQUEST_ID: self.request_id}.items():
                headers.setdefault(name, value)
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The caller's own, if it is fit for a log line, else a new one."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID.encode() and _USABLE_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid.uuid4().hex


def _is_readable(scope: Scope) -> bool:
    """Whether the database could hold what the address names: no NUL, only UTF-8."""
    query: bytes = scope["query_string"]
    try:
        path = scope["path"].encode("utf-8").decode("utf-8")
    except UnicodeError:
        return False
    return is_storable(path) and "\ufffd" not in path and b"%00" not in query and b"\0" not in query


def _route_of(scope: Scope) -> str | None:
    """The route's template: what a caller put in its place may be a name."""
    route: Any = scope.get("route")
    return getattr(route, "path", None)
