"""The ASGI application: refuses cheaply, reads within bounds, and says 200 only for what is committed.

No framework stands between the wire and the bytes: a signature holds over the body exactly as it was sent.
"""

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from infra.health import Health
from webhooks.answers import ACCEPTED, DUPLICATE, GET_ONLY, Answer, Send, plain, refusal
from webhooks.batcher import Batcher, Stored
from webhooks.clock_watch import ClockWatch
from webhooks.doors import NO_MATCH, Admit, Door, Headers, TurnedAway
from webhooks.metrics import Metrics
from webhooks.reading import BODY_BYTES_MAX, ClientGone, InFlight, Receive, read_body
from webhooks.refusal_log import RefusalLog
from webhooks.secret_watch import SecretWatch

Scope = MutableMapping[str, Any]

#: Digits of a `Content-Length` that is still worth converting.
_LENGTH_DIGITS_MAX = 9


class Receiver:
    """Callable as an ASGI application. `clock` gives Unix seconds."""

    def __init__(
        self,
        doors: Mapping[str, Door],
        batcher: Batcher,
        health: Health,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.doors = doors
        self._batcher = batcher
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._refusals = RefusalLog()
        self._clock_watch = clock_watch = ClockWatch()
        self._secret_watch = SecretWatch()
        self._in_flight = in_flight = InFlight()
        metrics.gauge("webhook_in_flight", "Deliveries being answered", lambda: in_flight.count)
        metrics.gauge("webhook_in_flight_bytes", "Bytes of their bodies", lambda: in_flight.bytes_held)
        metrics.gauge("webhook_clock_ahead_seconds", "Our clock minus the senders', median", lambda: clock_watch.skew_s)
        metrics.gauge("webhook_queued", "Events no flusher has taken yet", lambda: batcher.queued_count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        door = self.doors.get(scope["path"])
        answer = await (self._page(scope) if door is None else self._deliver(door, scope, receive))
        if answer is not None:
            await answer.send(send, with_body=scope["method"] != "HEAD")

    def replace_doors(self, doors: Mapping[str, Door]) -> None:
        """From the next request on these are the doors; whoever has come in already is judged as by the old ones."""
        self.doors = doors

    async def _page(self, scope: Scope) -> Answer:
        path = scope["path"]
        if path not in ("/healthz", "/readyz", "/metrics"):
            return refusal(404)
        if scope["method"] not in ("GET", "HEAD"):
            return GET_ONLY
        if path == "/healthz":
            return plain(200, b"ok\n")
        if path == "/metrics":
            return plain(200, self._metrics.exposition(), b"text/plain; version=0.0.4; charset=utf-8")
        problem = await self._health.problem()
        return plain(200, b"ready\n") if problem is None else plain(503, problem.encode() + b"\n")

    async def _deliver(self, door: Door, scope: Scope, receive: Receive) -> Answer | None:
        """The answer to one delivery; None when nobody waits for it any more."""
        admit = self._screen(door, scope)
        outcome: Stored | TurnedAway
        if isinstance(admit, TurnedAway):
            outcome = admit
        else:
            self._in_flight.count += 1
            try:
                outcome = await self._take(door, admit, receive)
            except ClientGone:
                self._metrics.delivery(door.provider, "none", "client_gone")
                return None
            finally:
                self._in_flight.count -= 1
        if isinstance(outcome, TurnedAway):
            self._metrics.delivery(door.provider, str(outcome.status), outcome.reason)
            self._refusals.refused(door.provider, outcome.status, outcome.reason)
            if outcome.reason == NO_MATCH:
                self._secret_watch.judged(door.provider, matched=False)
            return refusal(outcome.status)
        self._metrics.delivery(door.provider, "200", outcome.value)
        return ACCEPTED if outcome is Stored.ACCEPTED else DUPLICATE

    def _screen(self, door: Door, scope: Scope) -> Admit | TurnedAway:
        """Everything that can be said without the body, cheapest first."""
        if scope["method"] != "POST":
            return TurnedAway(405, "method")
        headers = _headers(scope["headers"])
        if headers.get(b"content-encoding", b"identity") != b"identity":
            return TurnedAway(415, "content_encoding")
        # The server has refused what is not one number. Of two ways to say a length it took the chunks, does not show
        # the other, and closes the connection after this request. What else a body may have been put into it leaves.
        if headers.get(b"transfer-encoding", b"chunked") != b"chunked":
            return TurnedAway(400, "transfer_encoding")
        length = headers.get(b"content-length") or b"0"
        if len(length) > _LENGTH_DIGITS_MAX or int(length) > BODY_BYTES_MAX:
            return TurnedAway(413, "too_large")
        if self._in_flight.is_full:
            return TurnedAway(503, "overload")
        return door.screen(headers)

    async def _take(self, door: Door, admit: Admit, receive: Receive) -> Stored | TurnedAway:
        body = await read_body(receive, self._in_flight)
        if isinstance(body, TurnedAway):
            return body
        try:
            admitted = admit(body, self._clock())
            if admitted.skew_s is not None:
                self._clock_watch.signed(admitted.skew_s)
            if isinstance(admitted, TurnedAway):
                return admitted
            self._secret_watch.judged(door.provider, matched=True)
            self._metrics.verified(door.provider, admitted.row.secret_fingerprint, admitted.skew_s)
            stored = await self._batcher.store(admitted.row)
            return TurnedAway(503, "not_committed") if stored is Stored.UNAVAILABLE else stored
        finally:
            self._in_flight.bytes_held -= len(body)


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """As `Headers` has it: what came twice has no value that could be trusted."""
    headers: dict[bytes, bytes | None] = {}
    for name, value in pairs:
        headers[name] = None if name in headers else value
    return headers
