"""The answers there are, made once. Those of 4xx say nothing but their status: a refusal must not teach."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def send(self, send: Send, *, with_body: bool = True) -> None:
        """Write it; to a HEAD request without the body."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body if with_body else b""})


def _answer(status: int, content_type: bytes, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    headers = (
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *more,
    )
    return Answer(status, headers, body)


def plain(status: int, body: bytes, content_type: bytes = b"text/plain; charset=utf-8") -> Answer:
    """Text for people and scrapers."""
    return _answer(status, content_type, body)


ACCEPTED = _answer(200, b"application/json", b'{"status":"accepted"}')
DUPLICATE = _answer(200, b"application/json", b'{"status":"duplicate"}')

_CLOSE = (b"connection", b"close")
#: What a status needs to say besides itself. A body that was not read to its end spoils the connection.
_EXTRAS: dict[int, tuple[tuple[bytes, bytes], ...]] = {
    401: ((b"www-authenticate", b'Basic realm="webhooks", charset="UTF-8"'),),
    405: ((b"allow", b"POST"),),
    408: (_CLOSE,),
    413: (_CLOSE,),
    415: ((b"accept-encoding", b"identity"), _CLOSE),
    503: ((b"retry-after", b"%d" % RETRY_AFTER_S),),
}
_REFUSALS = {
    status: _answer(
        status,
        b"application/json",
        b'{"status":"%s"}' % HTTPStatus(status).phrase.lower().replace(" ", "_").encode(),
        _EXTRAS.get(status, ()),
    )
    for status in (400, 401, 404, 405, 408, 413, 415, 503)
}
GET_ONLY = _answer(405, b"application/json", _REFUSALS[405].body, ((b"allow", b"GET, HEAD"),))


def refusal(status: int) -> Answer:
    """The one answer this status has here."""
    return _REFUSALS[status]
