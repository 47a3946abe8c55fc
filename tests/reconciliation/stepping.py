"""A process that works on runs and on what they store until nothing is open, to be killed in the middle.

`python -m tests.reconciliation.stepping <database url> <api base>`, with CRASHPOINT in the environment.
"""

import sys
import time

from infra.clock import system_clock
from infra.database import make_engine
from infra.providers.stripe.client import StripeApi
from infra.reconciliation.reconciler import Reconciler
from infra.reconciliation.stripe_provider import StripeProvider
from infra.rows import fetch
from infra.settings import load_settings
from worker.drain import Drain


def step_to_the_end(database_url: str, api_base: str) -> None:
    """Work until no run is open."""
    engine = make_engine(database_url, application_name="tests", pool_size=2)
    settings = load_settings({}, env_file=None)
    api = StripeApi("sk_test_" + "x" * 24, api_base, timeout_s=(5.0, 5.0), network_retries_max=0)
    reconciler = Reconciler(engine, settings, {"stripe": StripeProvider(api)}, system_clock)
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
