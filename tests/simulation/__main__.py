"""`python -m tests.simulation --seeds 0:1000`: play many histories on a server of our own; exits 1 after any fault."""

import argparse
import sys

import structlog
from sqlalchemy import make_url

from infra.database import make_engine, upgrade_to_head
from infra.embedded import servers
from tests.conftest import new_database, reachable_folder
from tests.simulation.histories import draw
from tests.simulation.trial import AT_ONCE, IN_ORDER, SHUFFLED, faults_of


def main() -> int:
    """Play every seed of the range; what is wrong goes to standard output."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0:100", help="from:to, the latter excluded")
    parser.add_argument("--customers", type=int, default=4, help="customers per history at most")
    options = parser.parse_args()
    first, last = (int(part) for part in options.seeds.split(":"))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    failed = 0
    with reachable_folder() as folder, servers(folder / "servers", database_url=None, redis_url=None) as addresses:
        url = make_url(addresses.database_url).set(drivername="postgresql+psycopg")
        server = url.render_as_string(hide_password=False)
        with new_database(server) as template_url:
            engine = make_engine(template_url, application_name="simulation", pool_size=1)
            upgrade_to_head(engine)
            engine.dispose()
            for seed in range(first, last):
                world = draw(seed, options.customers)
                found = faults_of(server, str(make_url(template_url).database), world, (AT_ONCE, SHUFFLED, IN_ORDER))
                failed += bool(found)
                sys.stdout.writelines(f"seed {seed}: {fault}\n" for fault in found[:10])
                sys.stdout.flush()
    sys.stdout.write(f"{last - first} histories, {failed} at fault\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
