"""A process that works on runs and on what they store until nothing is open, to be killed in the middle.

`python -m tests.reconciliation.stepping <database url> <provider> <api base>`, with CRASHPOINT in the environment.
"""

import sys
import time

from infra.clock import system_clock
from infra.database import make_engine
from infra.reconciliation.providers import providers_of
from infra.reconciliation.reconciler import Reconciler
from infra.rows import fetch
from infra.settings import load_settings
from worker.drain import Drain


def step_to_the_end(database_url: str, provider: str, api_base: str) -> None:
    """Work until no run is open."""
    engine = make_engine(database_url, application_name="tests", pool_size=2)
    settings = load_settings(
        {
            f"{provider.upper()}_API_KEY": "sk_test_" + "x" * 24,
            f"{provider.upper()}_API_BASE": api_base,
            "CHARGEBEE_REQUESTS_PER_S": "100",
        },
        env_file=None,
    )
    reconciler = Reconciler(engine, settings, providers_of(settings), system_clock)
    drain = Drain(engine, settings)
    while True:
        drain.sweep()
        reconciler.work()
        with engine.connect() as connection:
            if not fetch(connection, "select from reconciliations where next_attempt_at is not null"):
                return
        time.sleep(0.1)


if __name__ == "__main__":
    step_to_the_end(*sys.argv[1:])
