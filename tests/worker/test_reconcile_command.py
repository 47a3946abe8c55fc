"""`attribution reconcile` on a real database and a Stripe over HTTP: what it prints, stores and refuses."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from infra.clock import system_clock
from tests.chargebee_site import ChargebeeSite
from tests.fake_chargebee import fake_chargebee
from tests.fake_stripe import FakeStripe, Trouble, fake_stripe
from tests.reconciliation import chargebee_scene, taking_back
from tests.reconciliation.chargebee_scene import catalogue
from tests.reconciliation.scene import DAY, bought, paid, set_up
from tests.stage import Stage
from tests.stripe_account import StripeAccount
from tests.worker.command_line import Answer, Attribution

Reconcile = Callable[..., Answer]


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe over HTTP."""
    with fake_stripe() as running:
        yield running


@pytest.fixture
def reconcile(attribution: Attribution, fake: FakeStripe) -> Reconcile:
    """Run `attribution reconcile ...` with a key for the fake."""

    def run(*arguments: str, **settings: str) -> Answer:
        key = {"STRIPE_API_KEY": "sk_test_" + "x" * 24, "STRIPE_API_BASE": fake.api_base}
        return attribution("reconcile", *arguments, **{**key, **settings})

    return run


@pytest.fixture
def stage(engine: Engine, fake: FakeStripe) -> Stage:
    """Two customers bought and paid yesterday; only the first is known here, and one payment no event tells of."""
    stage, account, yesterday = set_up(engine), StripeAccount(fake), system_clock() - DAY
    stage.play(account.happens(*bought(1, yesterday)))
    account.happens(*bought(2, yesterday))
    account.shows(paid("in_9", 2, yesterday)["data"]["object"])
    return stage


def test_it_says_what_it_found_and_did(reconcile: Reconcile, stage: Stage) -> None:
    """Events by type, both sides in numbers, the money by what became of it; and then it is so."""
    answer = reconcile("stripe")
    assert answer.code == 0, answer.err
    assert "6 events listed, 3 were missing and are stored" in answer.out
    assert "1 customer.subscription.created" in answer.out
    assert "444.00 USD paid at the provider, 444.00 USD here" in answer.out
    assert "Every paid line is accounted for." in answer.out
    assert [row[1] for row in stage.commissions()] == ["stripe:in_1", "stripe:in_2", "stripe:in_9"]
    again = reconcile("stripe", "--json").document
    assert (again["report"]["events"]["missing"], again["report"]["invoices"]["repaired"]) == (0, 0)


def test_it_says_what_was_taken_back_unheard(reconcile: Reconcile, stage: Stage, fake: FakeStripe) -> None:
    """A refund that no event tells is named by a dry run, then made up for: the commission is what is left of it."""
    yesterday = system_clock() - DAY
    stage.play(taking_back.stripe_bought(yesterday)[2:])  # what links the payment to the invoice
    fake.lists["/v1/refunds"] = [taking_back.refund(made=yesterday)["data"]["object"]]
    assert "refunds to repair: re_1" in reconcile("stripe", "--dry-run").out
    answer = reconcile("stripe")
    assert answer.code == 0, answer.err
    rows = [line.split() for line in answer.out.splitlines()]
    assert ["refunds", "1", "1", "1", "0", "0", "0", "1", "0"] in rows
    assert ["credit", "notes", *["0"] * 8] in rows
    assert ["disputes", *["0"] * 8] in rows
    assert ("stripe:in_1", 1485) in {(row[1], row[4]) for row in stage.commissions()}


def test_a_dry_run_only_says_so(reconcile: Reconcile, stage: Stage) -> None:
    """What would be stored is named, and nothing is."""
    answer = reconcile("stripe", "--dry-run")
    assert answer.code == 0
    assert "3 would be stored" in answer.out
    assert "invoices to repair: in_2, in_9" in answer.out
    assert "Not every paid line is accounted for." in answer.out
    assert len(stage.commissions()) == 1
    document = reconcile("stripe", "--dry-run", "--json").document
    assert document["dry_run"] is True
    assert document["report"]["invoices"]["missing"] == 2


def test_since_narrows_what_is_looked_at(reconcile: Reconcile, stage: Stage) -> None:
    """From a moment on, a day or a time; nothing was paid in the last hour."""
    hour_ago = (system_clock() - timedelta(hours=1)).isoformat()
    document = reconcile("stripe", "--since", hour_ago, "--dry-run", "--json").document
    assert (document["report"]["events"]["listed"], document["report"]["invoices"]["provider"]) == (0, 0)
    assert reconcile("stripe", "--since", "2026-01-01", "--json").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("paypal",), 2, "paypal"),
        (("stripe", "--since", "yesterday"), 2, "2026-03-01T12:00:00Z"),
        (("stripe", "--since", "2999-01-01"), 2, "future"),
    ],
)
def test_wrong_usage_is_told(reconcile: Reconcile, arguments: tuple[str, ...], code: int, says: str) -> None:
    """An unknown provider and a time that is none are refused before anything is looked at."""
    answer = reconcile(*arguments)
    assert answer.code == code
    assert says in answer.err


@pytest.mark.parametrize(
    ("provider", "settings", "says"),
    [
        ("stripe", {}, "set STRIPE_API_KEY"),
        ("chargebee", {}, "set CHARGEBEE_SITE and CHARGEBEE_API_KEY"),
        ("chargebee", {"CHARGEBEE_SITE": "acme"}, "set CHARGEBEE_API_KEY"),
        ("chargebee", {"CHARGEBEE_API_KEY": "test_key"}, "set CHARGEBEE_SITE"),
    ],
)
def test_without_a_key_it_says_which_setting(
    attribution: Attribution, provider: str, settings: dict[str, str], says: str
) -> None:
    """Nobody's books can be read without an API key: what is not set is named, and what is set is not."""
    answer = attribution("reconcile", provider, **settings)
    assert (answer.code, answer.err.rstrip().endswith(says)) == (2, True), answer.err


def test_chargebees_books_are_read_with_a_site_and_a_key(attribution: Attribution, engine: Engine) -> None:
    """With both set, what Chargebee has and we lack is stored and said."""
    stage, yesterday = set_up(engine), system_clock() - DAY
    with fake_chargebee() as fake:
        ChargebeeSite(fake).happens(*catalogue(yesterday), *chargebee_scene.bought(1, yesterday))
        key = {"CHARGEBEE_API_KEY": "test_key", "CHARGEBEE_API_BASE": fake.api_base, "CHARGEBEE_REQUESTS_PER_S": "100"}
        answer = attribution("reconcile", "chargebee", **key)
    assert answer.code == 0, answer.err
    assert "4 events listed, 4 were missing and are stored" in answer.out
    assert "148.00 USD paid at the provider, 148.00 USD here" in answer.out
    assert [row[1] for row in stage.commissions()] == ["chargebee:inv_1"]


def test_a_provider_that_stays_silent_is_left_to_the_worker(
    reconcile: Reconcile, stage: Stage, fake: FakeStripe
) -> None:
    """Told to wait for an hour, it says so and fails; once there are answers, the same command goes on with it."""
    fake.troubles.append(Trouble(429, headers={"Retry-After": "3600"}))
    answer = reconcile("stripe")
    assert answer.code == 1
    assert "asked to slow down" in answer.err
    assert stage.ask("select id, state from reconciliations") == [(1, "requested")]
    assert reconcile("stripe").code == 0
    assert stage.ask("select id, state from reconciliations") == [(1, "finished")]
