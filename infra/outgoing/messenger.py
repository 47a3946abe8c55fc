"""Deliver what is due: claim, write what it says, send, mark. Safe to run anywhere, any number of times.

Each endpoint has its own turn: one that hangs holds up nothing but what is its own.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from infra import crashpoint
from infra.clock import Clock, system_clock
from infra.outgoing.deliveries import (
    Claimed,
    DeliveryMark,
    DeliveryState,
    bury_undeliverable,
    claim,
    delivered,
    failed,
    forget_delivered,
    mark,
    save_payloads,
)
from infra.outgoing.endpoints import forget_earlier_secrets, stop_endpoint
from infra.outgoing.payloads import payloads_of
from infra.outgoing.seals import Seal, SealBroken
from infra.outgoing.sending import GONE, TIMEOUT_S, Sender
from infra.program import ProgramReader
from infra.settings import Settings
from infra.unit_of_work import unit_of_work_on

log = structlog.get_logger()

#: How soon another endpoint's turn begins while one of them takes its time.
_LOOK_AGAIN_S = 0.25


@dataclass(slots=True)
class PostReport:
    """What one round delivered."""

    delivered_count: int = 0
    failed_count: int = 0


class Messenger:
    """Delivers from one database, in one thread."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Clock = system_clock,
        *,
        stopping: threading.Event | None = None,
        timeout_s: float = TIMEOUT_S,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Once `stopping` is set, nothing more is claimed. `trust` says whose certificates are believed."""
        self._engine = engine
        self._allowed = settings.webhook_targets_allowed
        self._seal = Seal(settings.sealing_keys)
        self._reader = ProgramReader(settings)
        self._clock = clock
        self._stopping = stopping or threading.Event()
        self._timeout_s = timeout_s
        self._trust = trust

    def run(self) -> PostReport:
        """Deliver until nothing is due, and forget what was delivered long ago.

        Raises only when the database is out of reach.
        """
        report = PostReport()
        groups = self._take({})
        if not groups:
            return report
        # Not asyncio.run: it would wait for a resolver that hangs, with everything marked and done.
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._deliver(groups, report))
        finally:
            loop.close()
        if report.delivered_count:
            with unit_of_work_on(self._engine) as connection:
                forget_delivered(connection)
        return report

    async def _deliver(self, groups: Mapping[str, Sequence[Claimed]], report: PostReport) -> None:
        turns: dict[str, asyncio.Task[list[DeliveryMark]]] = {}
        self._trust = self._trust or ssl.create_default_context()
        sender = Sender(self._allowed, self._trust, timeout_s=self._timeout_s)
        try:
            while groups or turns:
                for endpoint, group in groups.items():
                    turns[endpoint] = asyncio.create_task(self._turn(sender, group))
                await asyncio.wait(turns.values(), timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
                for endpoint in [endpoint for endpoint, turn in turns.items() if turn.done()]:
                    self._mark(endpoint, turns.pop(endpoint).result(), report)
                groups = self._take(turns)
        finally:
            # The database went away in the middle: what is under way is given up, and sent again when its lease ends.
            for turn in turns.values():
                turn.cancel()
            await asyncio.gather(*turns.values(), return_exceptions=True)
            await sender.close()

    def _take(self, busy: Mapping[str, object]) -> dict[str, list[Claimed]]:
        """What is due, by endpoint, with what each delivery says written down."""
        if self._stopping.is_set():
            return {}
        with unit_of_work_on(self._engine) as connection:
            claimed = claim(connection, busy)
            if not busy:
                bury_undeliverable(connection)
                forget_earlier_secrets(connection)
        groups: dict[str, list[Claimed]] = {}
        for delivery in self._written(claimed):
            groups.setdefault(delivery.endpoint_key, []).append(delivery)
        return groups

    def _written(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        new = [delivery for delivery in claimed if delivery.payload is None]
        if not new:
            return list(claimed)
        try:
            with unit_of_work_on(self._engine) as connection:
                payloads = payloads_of(connection, self._reader.read(connection), new)
                save_payloads(connection, payloads)
        except DBAPIError:
            raise
        except Exception as error:
            log.exception("deliveries.unwritten", count=len(new))
            reason = f"what it says could not be written: {type(error).__name__}, a fault of this program"
            marks = [failed(delivery, reason, self._clock()) for delivery in new]
            self._write(lambda connection: mark(connection, marks))
            payloads = {}
        written = (replace(d, payload=payloads[d.id]) if d.id in payloads else d for d in claimed)
        return [delivery for delivery in written if delivery.payload is not None]

    async def _turn(self, sender: Sender, group: Sequence[Claimed]) -> list[DeliveryMark]:
        return await asyncio.gather(*(self._send(sender, delivery) for delivery in group))

    async def _send(self, sender: Sender, delivery: Claimed) -> DeliveryMark:
        now = self._clock()
        try:
            sent = await sender.send(replace(delivery, secrets=self._seal.open_all(delivery.secrets)), now)
        except SealBroken as error:
            return failed(delivery, str(error), now)
        except Exception as error:
            log.exception("delivery.broke", delivery=delivery.key)
            return failed(delivery, f"{type(error).__name__}: a fault of this program", self._clock())
        crashpoint.reach("after_send")
        if sent.reason is None:
            return delivered(delivery, sent.status)
        if sent.status == GONE:
            reason = "answered 410: it wants no more"
            return DeliveryMark(delivery.id, delivery.attempts, DeliveryState.DEAD, None, GONE, reason)
        return failed(delivery, sent.reason, self._clock(), status=sent.status)

    def _mark(self, endpoint: str, marks: Sequence[DeliveryMark], report: PostReport) -> None:
        gone = any(each.last_status == GONE for each in marks)

        def work(connection: Connection) -> None:
            mark(connection, marks)
            if gone:
                stop_endpoint(connection, endpoint, "it answered 410 Gone")

        self._write(work)
        if gone:
            log.warning("endpoint.stopped", endpoint=endpoint, status=GONE)
        taken = sum(each.state is DeliveryState.DELIVERED for each in marks)
        dead = sum(each.state is DeliveryState.DEAD for each in marks)
        report.delivered_count += taken
        report.failed_count += len(marks) - taken
        (log.info if taken == len(marks) else log.warning)(
            "deliveries.sent",
            endpoint=endpoint,
            delivered_count=taken,
            failed_count=len(marks) - taken,
            dead_count=dead,
        )

    def _write(self, work: Callable[[Connection], object]) -> None:
        with unit_of_work_on(self._engine) as connection:
            work(connection)
