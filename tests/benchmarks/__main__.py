"""Everything that DESIGN section 10 gives a number for, measured on servers of its own: `make bench`.

    python -m tests.benchmarks [--quick] [--only receive drain latency growth preview] [--json FILE]

Nothing else should run meanwhile; what did is in the report as the load before. fsync is on, as everywhere.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from infra.database import make_engine, upgrade_to_head
from infra.embedded import Addresses, servers
from tests.benchmarks import drain, growing, latency, previewing, receiving
from tests.benchmarks.results import Result, document, machine, table
from tests.benchmarks.shop import EVENTS, copy_past
from tests.conftest import new_database, reachable_folder


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    seconds: float = 10
    events: int = 10_000
    lines: int = 200_000
    transactions: int = 200_000
    of_one: int = 10_000
    triggers: int = 1_000


QUICK = Size(seconds=4, events=2_000, lines=20_000, transactions=20_000, of_one=1_000, triggers=200)
#: Lines that a customer's five events come to, two of three of them payments of two lines.
_LINES_PER_CUSTOMER = EVENTS * 4 / 3


class Bench:
    """One PostgreSQL and one Redis; of them a fresh database per measurement."""

    def __init__(self, addresses: Addresses, folder: Path, size: Size) -> None:
        self._addresses = addresses
        self._folder = folder
        self._size = size

    def receive(self) -> list[Result]:
        """The receiver's process, under load."""
        with self._database() as (_, url):
            return receiving.measure(url, self._addresses.redis_url, self._folder, self._size.seconds)

    def drain(self) -> list[Result]:
        """One drain in this process, then a whole worker."""
        with self._database() as (engine, _):
            alone = drain.measure(engine, self._size.events)
        with self._database() as (engine, url):
            here = Addresses(url, self._addresses.redis_url)
            return alone + drain.measure_worker(engine, here, self._folder, self._size.events)

    def latency(self) -> list[Result]:
        """Receiver and worker, at a steady rate."""
        with self._database() as (engine, url):
            return latency.measure(engine, Addresses(url, self._addresses.redis_url), self._folder, self._size.seconds)

    def growth(self) -> list[Result]:
        """The same payments after different pasts."""
        size = self._size
        return growing.measure(self._engine, size.transactions, size.of_one, size.triggers)

    def preview(self) -> list[Result]:
        """A draft over a past."""
        customers = 400
        with self._database() as (engine, url):
            drain.measure(engine, customers * EVENTS)
            copy_past(engine, round(self._size.lines / (customers * _LINES_PER_CUSTOMER)) - 1)
            return previewing.measure(engine, url)

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        with self._database() as (engine, _):
            yield engine

    @contextmanager
    def _database(self) -> Iterator[tuple[Engine, str]]:
        with new_database(self._addresses.database_url) as url:
            engine = make_engine(url, application_name="benchmark")
            upgrade_to_head(engine)
            try:
                yield engine, url
            finally:
                engine.dispose()


def main() -> None:
    """Measure what is asked for, print the table, write the document."""
    parts: dict[str, Callable[[Bench], list[Result]]] = {
        name: getattr(Bench, name) for name in ("receive", "drain", "latency", "growth", "preview")
    }
    arguments = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a minute, for a look: less of everything")
    arguments.add_argument("--only", nargs="+", choices=tuple(parts), default=list(parts), help="some of it")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there, too")
    given = arguments.parse_args()
    where = machine()
    drain.work_as_a_worker_does()
    results: list[Result] = []
    with reachable_folder() as folder, servers(folder / "servers", database_url=None, redis_url=None) as addresses:
        bench = Bench(addresses, folder, QUICK if given.quick else Size())
        for name in given.only:
            sys.stderr.write(f"{name} ...\n")
            results += parts[name](bench)
    sys.stdout.write(f"{where['processors']} processors, load before {where['load_before']}\n{table(results)}\n")
    if given.json is not None:
        given.json.write_text(json.dumps(document(results, where), indent=2) + "\n")


if __name__ == "__main__":
    main()
