"""A subscription billed to two customers: two workers at it in the same moment end where one after the other would."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from domain.commissions import CommissionState
from domain.errors import TryLater
from infra.batch import Translated, process, translated
from infra.clock import system_clock
from infra.inbox import Envelope, claim, give_back
from infra.ledger.moves import move_commission
from infra.locks import lock_customers
from infra.program import ProgramReader
from infra.translating import events_of
from infra.unit_of_work import unit_of_work
from tests.builders import Event, item, line, stripe_events
from tests.stage import Stage

Act = Callable[[], None]

DAY_0 = datetime(2026, 3, 2, tzinfo=UTC)
INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """cus_2 is ada's from the beginning, cus_1 is nobody's yet; ada earns 10 percent of Inbox."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("inbox", "10", rules=INBOX)
    stage.play([customer("cus_1", customer_key="acme"), customer("cus_2", customer_key="other", partner_key="ada")])
    return stage


def customer(key: str, **details: Any) -> Event:
    """What is said of a customer before anything is paid."""
    return stripe_events.customer(key, at=DAY_0, **details)


def of_ada() -> Event:
    """Whose cus_1 is, learnt after its first payment."""
    at = DAY_0 + timedelta(days=3)
    return stripe_events.customer("cus_1", change="updated", at=at, customer_key="acme", partner_key="ada")


def paid(key: str, customer: str, amount: int, day: int, *, subscription: str = "sub_1", told: int = 0) -> Event:
    """A payment for Inbox, told for the `told`-th time."""
    at = DAY_0 + timedelta(days=day)
    return stripe_events.invoice_paid(
        key,
        customer=customer,
        subscription=subscription,
        lines=[line("prod_inbox", amount)],
        paid_at=at,
        at=at + timedelta(hours=told),
        event_key=f"evt_{key}_{told}",
    )


CHARGE = paid("in_1", "cus_1", 10_000, 1)
CREDIT = paid("in_2", "cus_2", -4_000, 2)


def work(stage: Stage, connection: Connection, events: Sequence[Event], meanwhile: Act = lambda: None) -> None:
    """What a worker does of these, its transaction open `meanwhile`; what it cannot have now it gives back."""
    stage.store(events)
    with unit_of_work(connection):
        envelopes = claim(connection, 10)
    batch = [read(stage, each) for each in envelopes]
    try:
        with unit_of_work(connection):
            process(connection, batch, ProgramReader(stage.settings), system_clock())
            meanwhile()
    except TryLater:
        with unit_of_work(connection):
            give_back(connection, envelopes, timedelta(0))


def read(stage: Stage, envelope: Envelope) -> Translated:
    """An envelope with its facts."""
    facts = events_of(envelope, stage.settings)
    assert isinstance(facts, tuple)
    return translated(envelope, facts)


def at_once(stage: Stage, first: Sequence[Event], second: Sequence[Event]) -> None:
    """The first worker has not committed when the second does its work; then whatever was given back is done."""
    with stage.engine.connect() as one, stage.engine.connect() as two:
        work(stage, one, first, meanwhile=lambda: work(stage, two, second))
    settle(stage)


def settle(stage: Stage) -> None:
    """Everything that is open, now."""
    with stage.engine.begin() as connection:
        connection.execute(text("update inbox set next_attempt_at = now() where next_attempt_at is not null"))
    stage.drainer.sweep()
    assert stage.ask("select event_key, state, reason from inbox where state <> 'processed'") == []


def amounts(stage: Stage, trigger: str) -> dict[str, int]:
    """Minor units by transaction."""
    return {row[1]: row[4] for row in stage.commissions() if row[0] == trigger}


CHARGED_AND_CREDITED = {"stripe:in_1": 1000, "stripe:in_2": -400}
#: What is there before, and what is told at the same time as the credit.
STORIES: dict[str, tuple[list[Event], list[Event], dict[str, int]]] = {
    "the charge is told": ([of_ada()], [CHARGE], CHARGED_AND_CREDITED),
    "the charge is told otherwise": (
        [of_ada(), CHARGE],
        [paid("in_1", "cus_1", 2_000, 1, told=1)],
        {"stripe:in_1": 200, "stripe:in_2": -200},
    ),
    "a later charge is told": (
        [of_ada(), CHARGE],
        [paid("in_3", "cus_1", 1_000, 1, told=1)],
        {"stripe:in_1": 1000, "stripe:in_2": -100, "stripe:in_3": 100},
    ),
    "whose the charge's customer is": ([CHARGE], [of_ada()], CHARGED_AND_CREDITED),
}


@pytest.mark.parametrize("credit_first", [True, False])
@pytest.mark.parametrize("story", STORIES)
def test_a_credit_and_its_charge_told_at_once_under_two_customers_meet(
    stage: Stage, story: str, credit_first: bool
) -> None:
    """Whichever of the two workers began first, the credit takes back what its charge earned, and no more."""
    before, news, expected = STORIES[story]
    stage.play(before)
    at_once(stage, *(([CREDIT], news) if credit_first else (news, [CREDIT])))
    assert amounts(stage, "inbox") == expected


@pytest.mark.parametrize("credit_first", [True, False])
def test_an_earlier_payment_of_the_charged_told_at_once_takes_the_credit_its_ground(
    stage: Stage, credit_first: bool
) -> None:
    """What shares no subscription with the credit decides what is left of a limit for the charge."""
    stage.trigger("once", action={"type": "percent", "percent": "10", "limit": {"per_customer": 1}}, rules=INBOX)
    stage.play([of_ada(), CHARGE])
    news = [paid("in_0", "cus_1", 1_000, 0, subscription="sub_2")]
    at_once(stage, *(([CREDIT], news) if credit_first else (news, [CREDIT])))
    assert amounts(stage, "once") == {"stripe:in_0": 100}


def test_a_credit_told_while_its_charge_is_declined_takes_nothing_back(stage: Stage) -> None:
    """A person's refusal waits for the worker that writes a credit on it down, and is reckoned with."""
    stage.play([of_ada(), CHARGE])
    with stage.engine.connect() as one, stage.engine.connect() as two:

        def decline() -> None:
            with unit_of_work(two):
                key = stage.ask("select key from commissions")[0][0]
                move_commission(two, ProgramReader(stage.settings), key, CommissionState.DECLINED, "no", "person:pm")

        def declined_too_soon() -> None:
            with pytest.raises(TryLater):
                decline()

        work(stage, one, [CREDIT], meanwhile=declined_too_soon)
        decline()
    assert amounts(stage, "inbox") == {"stripe:in_1": 1000}


def test_what_is_written_down_while_a_person_declines_reckons_with_it(stage: Stage) -> None:
    """The other way round: the worker gives the credit back until the refusal is committed."""
    stage.play([of_ada(), CHARGE])
    with stage.engine.connect() as one, stage.engine.connect() as two, unit_of_work(two):
        key = stage.ask("select key from commissions")[0][0]
        move_commission(two, ProgramReader(stage.settings), key, CommissionState.DECLINED, "no", "person:pm")
        work(stage, one, [CREDIT])
    settle(stage)
    assert amounts(stage, "inbox") == {"stripe:in_1": 1000}


@pytest.mark.parametrize("payment_first", [True, False])
def test_a_product_and_its_payment_told_at_once_under_two_customers_meet(stage: Stage, payment_first: bool) -> None:
    """A parent pays for what its child subscribed to: neither worker writes the product's history without the other."""
    over = stripe_events.subscription(
        "sub_1", customer="cus_2", items=[item("prod_inbox")], status="canceled", change="deleted",
        at=DAY_0 + timedelta(days=2), started_at=DAY_0,
    )  # fmt: skip
    at_once(stage, *(([CHARGE], [over]) if payment_first else ([over], [CHARGE])))
    history = stage.ask("select status, effective_at from product_history order by effective_at")
    assert history == [("active", DAY_0 + timedelta(days=1)), ("churned", DAY_0 + timedelta(days=2))]


def test_other_subscriptions_of_others_are_not_waited_for(stage: Stage) -> None:
    """While one customer's payment is being written down, another's is, too."""
    with stage.engine.connect() as one, stage.engine.connect() as two:

        def other() -> None:
            work(stage, two, [paid("in_4", "cus_2", 5_000, 1, subscription="sub_4")])
            assert amounts(stage, "inbox") == {"stripe:in_4": 500}

        work(stage, one, [CHARGE], meanwhile=other)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
def test_a_product_is_whose_subscription_it_is_whoever_pays(stage: Stage, order: list[int]) -> None:
    """A parent that pays for what its child subscribed to comes to own none of it, in whatever order it is told."""
    begun = stripe_events.subscription(
        "sub_1", customer="cus_2", items=[item("prod_inbox")], status="trialing", at=DAY_0
    )
    told = [begun, CHARGE, paid("in_5", "cus_1", 5_000, 40)]
    for place in order:
        stage.play([told[place]])
    assert stage.ask("select provider_customer_key, status from products") == [("cus_2", "active")]


def bought() -> dict[str, Any]:
    """5.00 USD for the first product that a customer buys."""
    action = {"type": "flat", "amount": 500, "currency": "usd", "limit": {"per_customer": 1}}
    return {"event": "product_created", "action": action, "now": DAY_0 - timedelta(days=60)}


def owed(stage: Stage) -> list[tuple[str, str]]:
    """Subscription and partner of what is paid for products that were bought."""
    return stage.ask("""
        select split_part(subject, ':', 3), partner_key from commissions where trigger_key = 'bought'
        and amount_minor <> 0 order by 1
    """)


def test_a_product_that_turns_out_to_be_another_s_leaves_room_for_the_next(stage: Stage) -> None:
    """What a parent paid for is its child's: the parent's next product is its first, and the child's pays, too."""
    stage.trigger("bought", **bought())
    stage.play([of_ada(), CHARGE, paid("in_2", "cus_1", 5_000, 2, subscription="sub_2")])
    before = owed(stage)
    stage.play([stripe_events.subscription("sub_1", customer="cus_2", items=[item("prod_inbox")], at=DAY_0)])
    assert (len(before), len(owed(stage))) == (1, 2)


def test_nobody_s_occasions_are_judged_while_another_worker_has_them(stage: Stage) -> None:
    """A parent's payment changes its child's product: the child is waited for, and its product is paid for once."""
    stage.trigger("bought", **bought())
    begun = stripe_events.subscription(
        "sub_1", customer="cus_2", items=[item("prod_inbox")], status="incomplete", at=DAY_0
    )
    stage.play([begun])
    customer = stage.ask("select customer from provider_customers where provider_customer_key = 'cus_2'")[0][0]
    with stage.engine.connect() as holder, stage.engine.connect() as one, unit_of_work(holder):
        assert lock_customers(holder, [customer])
        work(stage, one, [CHARGE])
        assert owed(stage) == []
    settle(stage)
    assert len(owed(stage)) == 1
