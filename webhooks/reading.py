"""Reading a body within bounds of time and size, and the bounds of all bodies together."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from webhooks.doors import TurnedAway

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_BYTES_MAX = 1024 * 1024
BODY_READ_S = 5.0
#: Told of the end of that time so much too late, it was this process that stood still, and no fault of the sender's.
STALLED_S = 0.5
IN_FLIGHT_MAX = 512
IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024


class ClientGone(Exception):
    """The client left before its body was complete; nobody is there to be answered."""


class InFlight:
    """How many deliveries are being worked on, and the bytes they hold.

    Bytes count as they come in, not as announced: an announcement costs its sender nothing, and 32 of them
    would otherwise close the door for everybody.
    """

    __slots__ = ("bytes_held", "count")

    def __init__(self) -> None:
        self.count = 0
        self.bytes_held = 0

    @property
    def is_full(self) -> bool:
        """Whether the next delivery is to be turned away before its body is read."""
        return self.count >= IN_FLIGHT_MAX or self.bytes_held >= IN_FLIGHT_BYTES_MAX


async def read_body(receive: Receive, in_flight: InFlight, within_s: float = BODY_READ_S) -> bytes | TurnedAway:
    """The whole body, its bytes counted into `in_flight`: the caller takes `len(body)` out again.

    What is turned away holds no bytes any more. Raises `ClientGone`.
    """
    chunks: list[bytes] = []
    size = 0
    complete = False
    until_s = time.monotonic() + within_s
    try:
        async with asyncio.timeout(within_s):
            while not complete:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                in_flight.bytes_held += len(chunk)
                if size > BODY_BYTES_MAX:
                    return TurnedAway(413, "too_large")
                if in_flight.bytes_held > IN_FLIGHT_BYTES_MAX:
                    return TurnedAway(503, "overload")
                chunks.append(chunk)
                complete = not message.get("more_body", False)
    except TimeoutError:
        is_stalled = time.monotonic() - until_s > STALLED_S
        return TurnedAway(503, "stalled") if is_stalled else TurnedAway(408, "body_too_slow")
    finally:
        if not complete:
            in_flight.bytes_held -= size
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
