"""A provider: sends at a set rate, and sends again whatever was not answered with 200, with growing patience."""

import asyncio
import random as randoms
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from infra.providers.stripe.verify import sign
from tests.chaos.business import Delivery

#: Longer than the receiver's own deadline.
TIMEOUT_S = 8.0
_AT_ONCE_MAX = 64
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
        self._url = f"http://127.0.0.1:{port}/webhooks/stripe"
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
        limits = httpx.Limits(max_connections=_AT_ONCE_MAX, max_keepalive_connections=_AT_ONCE_MAX)
        places = asyncio.Semaphore(_AT_ONCE_MAX)
        async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits) as client, asyncio.TaskGroup() as tasks:
            began_s = time.monotonic()
            for number, delivery in enumerate(self._deliveries):
                wait_s = began_s + number / self._rate - time.monotonic()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                if self._given_up.is_set():
                    return
                tasks.create_task(self._deliver(client, places, delivery, randoms.Random(number)))

    async def _deliver(
        self, client: httpx.AsyncClient, places: asyncio.Semaphore, delivery: Delivery, random: randoms.Random
    ) -> None:
        again_s = _AGAIN_FIRST_S
        while not self._given_up.is_set():
            async with places:
                if await self._try(client, delivery):
                    self._open_count -= 1
                    return
            await asyncio.sleep(again_s * random.uniform(0.75, 1.25))
            again_s = min(again_s * 2, _AGAIN_MAX_S)

    async def _try(self, client: httpx.AsyncClient, delivery: Delivery) -> bool:
        """Whether it is done: acknowledged, or refused in a way that no repetition changes."""
        answers = self.answers
        header = sign(delivery.content, self._secret, int(time.time()))
        try:
            answer = await client.post(self._url, content=delivery.content, headers={"stripe-signature": header})
        except httpx.TransportError:
            answers.refusals["no answer"] += 1
            answers.refused_at.append(time.monotonic())
            return False
        if answer.status_code == httpx.codes.OK:
            answers.good_at.append(time.monotonic())
            answers.acked.add(delivery.event_key)
            if answer.json()["status"] == "accepted":
                answers.accepted[delivery.event_key] += 1
            else:
                answers.duplicates_count += 1
            return True
        if answer.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.REQUEST_TIMEOUT):
            answers.refusals[str(answer.status_code)] += 1
            answers.refused_at.append(time.monotonic())
            return False
        answers.unexpected[answer.status_code] += 1
        return True
