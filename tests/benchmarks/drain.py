"""How many stored events one drain brings to committed effects in a second, and where the time goes.

    python -m tests.benchmarks.drain [--count 5000] [--profile]

Paid invoices of two lines under twenty triggers, and changes of the same subscriptions, in the order 2 to 1.
"""

import argparse
import cProfile
import pstats
import random
import time

import structlog
from sqlalchemy import Engine, event

from infra.database import make_engine, upgrade_to_head
from infra.embedded import servers
from tests.benchmarks.shop import EVENTS, customers, events, open_shop
from tests.conftest import reachable_folder
from tests.stage import Stage


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=5000)
    arguments.add_argument("--profile", action="store_true")
    given = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with reachable_folder() as folder, servers(folder / "servers", database_url=None, redis_url=None) as addresses:
        engine = make_engine(addresses.database_url, application_name="benchmark")
        upgrade_to_head(engine)
        _measure(engine, given.count, profiled=given.profile)
        engine.dispose()


def _measure(engine: Engine, count: int, *, profiled: bool) -> None:
    stage = Stage(engine)
    open_shop(stage)
    stage.store(customers(count // EVENTS))
    stage.drainer.run(slice_s=600)
    stage.store(events(count, random.Random(7)))
    statements = _count_statements(engine)
    profile = cProfile.Profile()
    began_s = time.monotonic()
    if profiled:
        profile.enable()
    report = stage.drainer.run(slice_s=600)
    profile.disable()
    seconds = time.monotonic() - began_s
    booked = stage.ask("select count(*), coalesce(sum(amount_minor), 0) from commissions")[0]
    print(f"{report.processed_count} events in {seconds:.2f} s: {report.processed_count / seconds:.0f} events/s")  # noqa: T201
    print(f"{statements['count']} statements, {report.failed_count} failed, {booked[0]} commissions")  # noqa: T201
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


def _count_statements(engine: Engine) -> dict[str, int]:
    found = {"count": 0}

    def count(*_: object) -> None:
        found["count"] += 1

    event.listen(engine, "before_cursor_execute", count)
    return found


if __name__ == "__main__":
    main()
