"""`python -m tests.chaos --minutes 5 --seed 7`: break the program under load, and judge what became of it.

`--matrix 20` kills it at every named line instead, that many times each. Exits 1 when anything is off.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import structlog

from tests.chaos.campaign import run_campaign
from tests.chaos.matrix import run_matrix


def main() -> int:
    """Run one campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long it is broken (5)")
    parser.add_argument("--rate", type=float, default=50.0, help="deliveries a second (50)")
    parser.add_argument("--quiet", type=float, default=30.0, help="how soon it is to be at rest after that, in s (30)")
    parser.add_argument("--seed", type=int, help="of the histories and the faults; drawn unless given")
    parser.add_argument("--matrix", type=int, metavar="TIMES", help="kill at every named line so many times instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep what the processes logged there")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seed = options.seed if options.seed is not None else int(time.time()) % 1_000_000
    if options.matrix:
        verdicts = [each for found in run_matrix(seed, options.matrix, _say).values() for each in found]
    else:
        verdicts = [
            run_campaign(
                seed, options.minutes * 60, options.rate, told=_say, log=options.log, quiet_within_s=options.quiet
            )
        ]
    for verdict in verdicts:
        if not (options.matrix and verdict.is_good):
            sys.stdout.writelines(f"{line}\n" for line in verdict.lines())
    if options.json is not None:
        documents = [verdict.document() for verdict in verdicts]
        options.json.write_text(json.dumps(documents if options.matrix else documents[0], indent=2) + "\n")
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
