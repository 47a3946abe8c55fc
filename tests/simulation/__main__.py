"""`python -m tests.simulation --seeds 20000`: play that many histories in memory; `--seeds 75:76` plays one again.

With `--server` they are played on PostgreSQL, a server of our own. What is wrong goes to standard output; exits 1 then.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import structlog

from tests.conftest import own_servers
from tests.simulation.histories import draw
from tests.simulation.in_memory import faults_of_seed
from tests.simulation.trial import AT_ONCE, IN_ORDER, SHUFFLED, faults_of

_PORTION = 25
_SHOWN_MAX = 10


def main() -> int:
    """Play every seed of the range."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0:100", help="how many, or from:to, the latter excluded")
    parser.add_argument("--server", action="store_true", help="on PostgreSQL instead of in memory")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    first, _, last = options.seeds.rpartition(":")
    seeds = range(int(first or 0), int(last))
    began_s = time.monotonic()
    failed = 0
    for seed, found in _on_server(seeds) if options.server else _in_memory(seeds):
        failed += bool(found)
        sys.stdout.writelines(f"seed {seed}: {fault}\n" for fault in found[:_SHOWN_MAX])
        sys.stdout.flush()
    rate = len(seeds) / max(time.monotonic() - began_s, 0.001)
    sys.stdout.write(f"{len(seeds)} histories in three orders each, {failed} at fault, {rate:.1f} seeds/s\n")
    return 1 if failed else 0


def _in_memory(seeds: range) -> Iterator[tuple[int, list[str]]]:
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(_played, seeds, chunksize=_PORTION)


def _played(seed: int) -> tuple[int, list[str]]:
    return seed, faults_of_seed(seed)


def _on_server(seeds: range) -> Iterator[tuple[int, list[str]]]:
    with own_servers() as (server_url, template, _):
        for seed in seeds:
            yield seed, faults_of(server_url, template, draw(seed), (AT_ONCE, SHUFFLED, IN_ORDER))


if __name__ == "__main__":
    sys.exit(main())
