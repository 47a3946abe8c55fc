"""How many stored events one drain brings to committed effects in a second, and where the time goes.

    python -m tests.benchmarks.drain [--count 5000] [--profile]

Paid invoices of two lines under twenty triggers, and changes of the same subscriptions, in the order 2 to 1.
"""

import argparse
import cProfile
import os
import pstats
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, text

from infra.database import make_engine, upgrade_to_head
from infra.embedded import Addresses, servers
from infra.log import configure_logging
from infra.long_lived import spare_what_is_loaded
from tests.benchmarks.results import Result, cpu_s_of, table
from tests.benchmarks.shop import EVENTS, customers, events, open_shop
from tests.conftest import reachable_folder
from tests.stage import Stage
from worker.drain import Drain
from worker.hands import Hands
from worker.processes import process_specs
from worker.supervisor import Supervisor

TARGET_PER_S = 2_500
_WORKS_WITHIN_S = 300.0


@dataclass
class Drained:
    """What one drain cost."""

    count: int = 0
    wall_s: float = 0.0
    client_s: float = 0.0
    server_s: float = 0.0
    statements: int = 0

    def note(self) -> str:
        """Per event."""
        client_us, server_us = self.client_s / self.count * 1e6, self.server_s / self.count * 1e6
        return f"CPU per event: worker {client_us:.0f} us, its PostgreSQL backends {server_us:.0f} us"


def work_as_a_worker_does() -> None:
    """Its log, written to nowhere, and its garbage collection."""
    configure_logging("worker", fd=os.open(os.devnull, os.O_WRONLY), log_format="json")
    spare_what_is_loaded()


def drained(
    stage: Stage,
    told: Iterable[Mapping[str, Any]],
    profile: cProfile.Profile | None = None,
    *,
    by: Drain | Hands | None = None,
) -> Drained:
    """Store events, then drain them all; the stage's own drain does it unless another is named."""
    stage.store(told)
    found = Drained()
    with _statements_counted(stage.engine, found):
        server_before_s = _server_cpu_s(stage.engine)
        began_s, cpu_s = time.monotonic(), time.process_time()
        if profile is not None:
            profile.enable()
        report = (by or stage.drainer).run(slice_s=600)
        if profile is not None:
            profile.disable()
        found.wall_s, found.client_s = time.monotonic() - began_s, time.process_time() - cpu_s
        found.server_s = _server_cpu_s(stage.engine) - server_before_s
    assert not report.failed_count
    found.count = report.processed_count
    return found


def measure(engine: Engine, count: int, profile: cProfile.Profile | None = None) -> list[Result]:
    """Drain `count` events as one process of the worker does; a profile is of what one of its hands does."""
    stage = Stage(engine)
    open_shop(stage)
    hands = stage.drainer if profile is not None else Hands(engine, stage.settings)
    drained(stage, customers(count // EVENTS), by=hands)
    found = drained(stage, events(count, random.Random(7)), profile, by=hands)
    per_event = f"{found.statements / found.count:.2f} statements per event"
    cpu_s = found.client_s + found.server_s
    return [
        Result("drain, one process", found.count / found.wall_s, "events/s", TARGET_PER_S, note=found.note()),
        Result("  by its CPU time alone", found.count / cpu_s, "events/s", TARGET_PER_S, note=per_event),
    ]


def measure_worker(engine: Engine, addresses: Addresses, folder: Path, count: int) -> list[Result]:
    """The same events, drained by the worker as Procfile starts it: two pool processes that find them waiting."""
    stage = Stage(engine)
    open_shop(stage)
    drained(stage, customers(count // EVENTS))
    stage.store(events(count, random.Random(7)))
    with (folder / "worker.log").open("wb") as log:
        settings = {"DATA_DIR": str(folder), "LOG_FORMAT": "json"}
        supervisor = Supervisor(process_specs(addresses, settings, only=("worker",)), output_fd=log.fileno())
        supervisor.start()
        try:
            began_s = _wait_until(stage, "select exists (select from inbox where claimed_by is not null)")
            ended_s = _wait_until(stage, "select not exists (select from inbox where next_attempt_at is not null)")
        finally:
            supervisor.stop()
    return [Result("  the worker, two processes", count / (ended_s - began_s), "events/s", TARGET_PER_S)]


def _wait_until(stage: Stage, question: str) -> float:
    """When the answer turned true, in monotonic seconds."""
    until_s = time.monotonic() + _WORKS_WITHIN_S
    while not stage.ask(question)[0][0]:
        assert time.monotonic() < until_s, "the worker does not get there"
        time.sleep(0.02)
    return time.monotonic()


@contextmanager
def _statements_counted(engine: Engine, found: Drained) -> Iterator[None]:
    def count(*_: object) -> None:
        found.statements += 1

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", count)


def _server_cpu_s(engine: Engine) -> float:
    """What the server's processes for this database have used so far; they stay while the pool does."""
    ours = "select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
    with engine.connect() as connection:
        pids = connection.scalars(text(ours)).all()
    return cpu_s_of(*pids)


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=5000)
    arguments.add_argument("--profile", action="store_true")
    given = arguments.parse_args()
    work_as_a_worker_does()
    profile = cProfile.Profile() if given.profile else None
    with reachable_folder() as folder, servers(folder / "servers", database_url=None, redis_url=None) as addresses:
        engine = make_engine(addresses.database_url, application_name="benchmark")
        upgrade_to_head(engine)
        results = measure(engine, given.count, profile)
        engine.dispose()
    sys.stdout.write(table(results) + "\n")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
