"""A provider: sends at a set rate, and sends again whatever was not answered with 200, with growing patience."""

import asyncio
import random as randoms
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from infra.providers.stripe.verify import sign
from tests.chaos.business import Delivery
from tests.webhooks.receiver_process import post_head

#: Longer than the receiver's own deadline.
TIMEOUT_S = 8.0
_SENDERS = 32
_AGAIN_FIRST_S, _AGAIN_MAX_S = 0.25, 3.0


@dataclass(slots=True)
class Answers:
    """What the receiver said. Times are monotonic seconds."""

    #: Event keys that were answered with 200.
    acked: set[str] = field(default_factory=set)
    #: How often each event was called accepted: once, or never where that answer was lost.
    accepted: Counter[str] = field(default_factory=Counter)
    duplicates_count: int = 0
    #: When a 200 came.
    good_at: list[float] = field(default_factory=list)
    #: When a delivery failed in a way that means: send again.
    refused_at: list[float] = field(default_factory=list)
    #: How many of those were 503, or 408 of a receiver that stood still; how many had no answer at all.
    refusals: Counter[str] = field(default_factory=Counter)
    #: Anything else: there is nothing to refuse in what is sent.
    unexpected: Counter[int] = field(default_factory=Counter)


class Provider:
    """Delivers everything, from a thread of its own."""

    def __init__(self, port: int, secret: str, deliveries: Sequence[Delivery], rate: float) -> None:
        self.answers = Answers()
        self._port = port
        self._secret = secret
        self._deliveries = deliveries
        self._rate = rate
        self._open_count = len(deliveries)
        self._given_up = threading.Event()

    @property
    def open_count(self) -> int:
        """Deliveries that have no 200 yet."""
        return self._open_count

    @contextmanager
    def delivering(self) -> Iterator[None]:
        """Deliver meanwhile; what has no 200 at the end is given up."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="provider")
        thread.start()
        try:
            yield
        finally:
            self._given_up.set()
            thread.join()

    async def _run(self) -> None:
        began_s = time.monotonic()
        due: asyncio.PriorityQueue[_Due] = asyncio.PriorityQueue()
        for number in range(len(self._deliveries)):
            due.put_nowait((began_s + number / self._rate, number, _AGAIN_FIRST_S))
        async with asyncio.TaskGroup() as tasks:
            for number in range(_SENDERS):
                tasks.create_task(self._send_on(due, randoms.Random(number)))

    async def _send_on(self, due: "asyncio.PriorityQueue[_Due]", random: randoms.Random) -> None:
        """One connection's deliveries: the earliest that is due, and again later what got no 200."""
        line = _Line(self._port)
        while self._open_count and not self._given_up.is_set():
            try:
                due_s, number, again_s = due.get_nowait()
            except asyncio.QueueEmpty:  # others have the last ones, and may fail with them
                await asyncio.sleep(0.1)
                continue
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if await self._try(line, self._deliveries[number]):
                self._open_count -= 1
            else:
                later_s = time.monotonic() + again_s * random.uniform(0.75, 1.25)
                due.put_nowait((later_s, number, min(again_s * 2, _AGAIN_MAX_S)))
        line.close()

    async def _try(self, line: "_Line", delivery: Delivery) -> bool:
        """Whether it is done: acknowledged, or refused in a way that no repetition changes."""
        answers = self.answers
        header = sign(delivery.content, self._secret, int(time.time()))
        try:
            status, said = await asyncio.wait_for(line.post(header, delivery.content), TIMEOUT_S)
        except (OSError, EOFError, TimeoutError):
            line.close()
            answers.refusals["no answer"] += 1
            answers.refused_at.append(time.monotonic())
            return False
        if status == HTTPStatus.OK:
            answers.good_at.append(time.monotonic())
            answers.acked.add(delivery.event_key)
            if b"accepted" in said:
                answers.accepted[delivery.event_key] += 1
            else:
                answers.duplicates_count += 1
            return True
        if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.REQUEST_TIMEOUT):
            line.close()  # what was refused unread spoils the connection
            answers.refusals[str(status)] += 1
            answers.refused_at.append(time.monotonic())
            return False
        answers.unexpected[status] += 1
        return True


#: When, which, and how long to wait after that.
_Due = tuple[float, int, float]


class _Line:
    """A connection that is kept, by hand: an HTTP client would take more of the machine than all it delivers to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, signature: str, content: bytes) -> tuple[int, bytes]:
        """Status and body. Raises OSError or EOFError where there is no answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(post_head(len(content), [f"Stripe-Signature: {signature}"]) + content)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        if b"connection: close" in head:
            self.close()
        return int(head.split()[1]), body

    def close(self) -> None:
        """The next post begins a new one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
