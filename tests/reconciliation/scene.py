"""A program, its provider's account over HTTP, and a reconciler between them on a clock of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine

from infra.database import make_engine
from infra.fingerprint import Fingerprint, fingerprint
from infra.providers.stripe.client import StripeApi
from infra.reconciliation.reconciler import Reconciler
from infra.reconciliation.runs import list_runs, request
from infra.reconciliation.stripe_provider import StripeProvider
from infra.settings import Settings
from infra.unit_of_work import unit_of_work_on
from tests.builders import item, line, stripe_events
from tests.chargebee_site import ChargebeeSite
from tests.conftest import new_database
from tests.fake_stripe import FakeStripe
from tests.stage import Stage
from tests.stripe_account import StripeAccount

TODAY = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
#: So many steps no run of a test takes.
STEPS_MAX = 500


AccountT = TypeVar("AccountT", StripeAccount, ChargebeeSite)


@dataclass
class SceneOf(Generic[AccountT]):
    """Both sides, and what time it is."""

    stage: Stage
    account: AccountT
    reconciler: Reconciler
    now: datetime = TODAY
    provider: str = "stripe"

    @property
    def fake(self) -> FakeStripe:
        """The provider over HTTP."""
        return self.account.fake

    def request(self, **asked: Any) -> int:
        """Ask for a run."""
        with self.stage.engine.begin() as connection:
            return request(connection, self.provider, self.now, **{"requested_by": "cli", **asked})

    def steps(self) -> None:
        """Work on what is due now, and on what is in the inbox."""
        self.reconciler.work(slice_s=0)
        self.stage.drainer.sweep()

    def run(self, **asked: Any) -> dict[str, Any]:
        """Ask for a run and see it through, time going on where it waits; the run."""
        run_id = self.request(**asked)
        for _ in range(STEPS_MAX):
            self.steps()
            if (found := self.read(run_id))["state"] in ("finished", "failed"):
                return found
            if found["next_attempt_at"] >= int(self.now.timestamp() * 1000):
                self.now = datetime.fromtimestamp(found["next_attempt_at"] / 1000 + 0.001, UTC)
        raise AssertionError(f"the run does not end: {found}")

    def read(self, run_id: int) -> dict[str, Any]:
        """A run as it stands."""
        with unit_of_work_on(self.stage.engine) as connection:
            (found,) = list_runs(connection, run_id=run_id)
            assert isinstance(found, dict)
            return found

    def state(self) -> Fingerprint:
        """All that the API shows, as a hash."""
        return state_of(self.stage)


Scene = SceneOf[StripeAccount]


def state_of(stage: Stage) -> Fingerprint:
    """All that the API shows of a program, as a hash."""
    with unit_of_work_on(stage.engine) as connection:
        return fingerprint(connection)


def set_up(engine: Engine, settings: Settings | None = None) -> Stage:
    """Ada's and grace's offers on everything."""
    stage = Stage(engine, settings)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.partner("grace")
    stage.trigger("trg_inbox", "20", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    return stage


@contextmanager
def program(server_url: str, template: str) -> Iterator[Stage]:
    """The same program on a database of its own."""
    with new_database(server_url, template) as url:
        engine = make_engine(url, application_name="tests", pool_size=2)
        try:
            yield set_up(engine)
        finally:
            engine.dispose()


def reconciler_on(engine: Engine, fake: FakeStripe, scene: Scene) -> Reconciler:
    """A reconciler on a database, with the scene's clock."""
    api = StripeApi("sk_test_" + "x" * 24, fake.api_base, timeout_s=(2.0, 2.0), network_retries_max=0)
    return Reconciler(engine, scene.stage.settings, {"stripe": StripeProvider(api)}, lambda: scene.now)


def customer(number: int, at: datetime) -> stripe_events.Event:
    """Customer `number`, ada's or grace's."""
    return stripe_events.customer(
        f"cus_{number}", at=at, customer_key=f"company {number}", partner_key=("ada", "grace")[number % 2]
    )


def bought(number: int, at: datetime, **fields: Any) -> list[stripe_events.Event]:
    """Customer `number` buys Inbox and Live Chat and pays."""
    both = [item("prod_inbox", amount=9900), item("prod_chat", amount=4900)]
    return [
        customer(number, at),
        stripe_events.subscription(f"sub_{number}", customer=f"cus_{number}", items=both, at=at, **fields),
        paid(f"in_{number}", number, at),
    ]


def paid(key: str, number: int, at: datetime) -> stripe_events.Event:
    """Customer `number` pays for both."""
    lines = [line("prod_inbox", 9900), line("prod_chat", 4900)]
    return stripe_events.invoice_paid(
        key, customer=f"cus_{number}", subscription=f"sub_{number}", paid_at=at, lines=lines
    )


def cancelled(number: int, at: datetime, started_at: datetime) -> stripe_events.Event:
    """Customer `number` leaves."""
    both = [item("prod_inbox", amount=9900), item("prod_chat", amount=4900)]
    return stripe_events.subscription(
        f"sub_{number}",
        customer=f"cus_{number}",
        items=both,
        status="canceled",
        change="deleted",
        at=at,
        started_at=started_at,
    )
