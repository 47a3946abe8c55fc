"""Stripe's refunds, disputes, credit notes and checkout sessions, from the stored event to the ledger."""

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from infra.settings import load_settings
from tests import stripe_examples as stripe
from tests.builders import as_2020, line, stripe_events
from tests.fake_stripe import FakeStripe, Trouble, fake_stripe
from tests.stage import LONG_AGO, Stage
from tests.stripe_eras import in_era

DAY = timedelta(days=1)
PAID_AT = datetime(2026, 4, 1, tzinfo=UTC)
LATER = PAID_AT + DAY


def staged(engine: Engine, **settings: str) -> Stage:
    """acme is ada's: 10 percent of every payment, 20 more of Inbox."""
    stage = Stage(engine, load_settings(settings, env_file=None))
    stage.product("Inbox", "prod_inbox")
    stage.product("Chat", "prod_chat")
    stage.partner("ada")
    stage.trigger("all", "10")
    stage.trigger("inbox", "20", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    stage.play([stripe_events.customer("cus_1", customer_key="acme", partner_key="ada", at=LONG_AGO)])
    return stage


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """Without a key: nobody can be asked."""
    return staged(engine)


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe that answers."""
    with fake_stripe() as running:
        yield running


@pytest.fixture
def asking(engine: Engine, fake: FakeStripe) -> Stage:
    """With a key for it."""
    return staged(engine, STRIPE_API_KEY="sk_test_1", STRIPE_API_BASE=fake.api_base)


def invoice(key: str = "in_1", **of: Any) -> stripe.Json:
    """100.00 USD: 60 for Inbox, 40 for Chat."""
    lines = [line("prod_inbox", 6000, key=f"il_{key}_1"), line("prod_chat", 4000, key=f"il_{key}_2")]
    return stripe_events.invoice_paid(key, customer="cus_1", lines=lines, paid_at=PAID_AT, **of)


def with_payments(event: stripe.Json, **named: str) -> stripe.Json:
    """An invoice of 2020, which names what it was paid with."""
    older = as_2020(event)
    older["data"]["object"] |= named
    return older


def earned(stage: Stage) -> tuple[int, int]:
    """(on everything, on Inbox)."""
    found = {row[0]: row[4] for row in stage.commissions()}
    return found.get("all", 0), found.get("inbox", 0)


def waiting(stage: Stage) -> list[tuple[Any, ...]]:
    """(event, reason) of what waits."""
    return stage.ask("select event_key, reason from inbox where state = 'waiting' order by 1")


def test_a_charge_that_names_its_invoice_lowers_it_by_all_its_refunds(stage: Stage) -> None:
    """Until basil nothing else is needed; the running total counts, in any order and however often."""
    told = [
        in_era(
            stripe.charge_refunded("ch_1", 10000, total, payment_intent="pi_1", invoice="in_1", at=LATER + n * DAY),
            "2020",
        )
        for n, total in enumerate((1000, 2500, 2500, 5000))
    ]
    stage.play([with_payments(invoice()), *random.Random(3).sample(told, len(told))])
    assert earned(stage) == (500, 600)
    stage.replay()
    assert earned(stage) == (500, 600)
    assert waiting(stage) == []


def test_a_refund_of_today_waits_for_the_payment_that_leads_to_its_invoice(stage: Stage) -> None:
    """It waits by name, and counts by itself the moment Stripe says which invoice the payment settled."""
    refund = stripe.refund("re_1", 5000, charge="ch_1", payment_intent="pi_1", key="evt_r")
    stage.play([invoice(), refund])
    assert waiting(stage) == [("evt_r", "refund re_1 names ch_1, pi_1, and no invoice paid by it is known yet")]
    assert earned(stage) == (1000, 1200)
    payment = {"type": "payment_intent", "payment_intent": "pi_1"}
    stage.play([stripe.invoice_payment("inpay_1", "in_1", payment)])
    assert earned(stage) == (500, 600)
    stage.drainer.run()
    assert stage.ask("select state from inbox where event_key = 'evt_r'") == [("processed",)]


MONEY: dict[str, Callable[[], list[stripe.Json]]] = {
    "a refund told by itself and by its charge": lambda: [
        stripe.refund("re_1", 2500, charge="ch_1", payment_intent="pi_1", at=LATER),
        stripe.charge_refunded("ch_1", 10000, 2500, payment_intent="pi_1", customer="cus_1", at=LATER),
    ],
    "a credit note and the refund that pays it out": lambda: [
        stripe.credit_note(
            "cn_1",
            "in_1",
            [stripe.note_line("cnli_1", 1500, of="il_in_1_1"), stripe.note_line("cnli_2", 1000, of="il_in_1_2")],
            refunds=[("re_1", 2500)],
            at=LATER,
        ),
        stripe.refund("re_1", 2500, charge="ch_1", payment_intent="pi_1", at=LATER),
        stripe.charge_refunded("ch_1", 10000, 2500, payment_intent="pi_1", at=LATER),
    ],
    "a dispute of part of it": lambda: [
        stripe.dispute("dp_1", 2500, status="warning_needs_response", charge="ch_1", payment_intent="pi_1", at=LATER),
        stripe.dispute(
            "dp_1", 2500, what="funds_withdrawn", moved=[-2500], charge="ch_1", payment_intent="pi_1", at=LATER + DAY
        ),
        stripe.dispute(
            "dp_1",
            2500,
            what="closed",
            status="lost",
            moved=[-2500],
            charge="ch_1",
            payment_intent="pi_1",
            at=LATER + 2 * DAY,
        ),
    ],
}


@pytest.mark.parametrize("story", MONEY)
def test_a_quarter_taken_back_counts_once(stage: Stage, story: str) -> None:
    """Whoever reports it, how often, and in what order: a quarter of every commission is taken back."""
    payment = {"type": "payment_intent", "payment_intent": "pi_1"}
    told = [invoice(), stripe.invoice_payment("inpay_1", "in_1", payment), *MONEY[story]()]
    order = random.Random(story).sample(told, len(told))
    for event in order:
        stage.play([event])
    stage.drainer.run()
    assert earned(stage) == (750, 900)
    assert waiting(stage) == []


def test_what_failed_was_won_or_voided_is_given_back(stage: Stage) -> None:
    """A refund that fails later, a dispute that is won and a credit note that is voided leave the whole commission."""
    paid = with_payments(invoice(), charge="ch_1", payment_intent="pi_1")
    note = [stripe.note_line("cnli_1", 1500, of="il_in_1_1")]
    refund = {"charge": "ch_1", "payment_intent": "pi_1"}
    told = [
        stripe.refund("re_1", 2500, **refund),
        stripe.refund("re_1", 2500, what="charge.refund.updated", status="failed", at=LATER + DAY, **refund),
        stripe.dispute("dp_1", 2500, moved=[-2500], at=LATER, **refund),
        stripe.dispute(
            "dp_1", 2500, what="funds_reinstated", status="won", moved=[-2500, 2500], at=LATER + DAY, **refund
        ),
        stripe.credit_note("cn_1", "in_1", note, at=LATER),
        stripe.credit_note("cn_1", "in_1", note, what="voided", at=LATER + DAY),
    ]
    stage.play([paid, *told[::2]])
    # The note takes 15.00 off Inbox; the other 50.00 fall on 45.00 and 40.00, so 18.53 of Inbox are left.
    assert earned(stage) == (350, 371)
    stage.play([*told[1::2]])
    assert earned(stage) == (1000, 1200)


def test_with_a_key_stripe_is_asked_what_a_payment_settled(asking: Stage, fake: FakeStripe) -> None:
    """A refund that nothing leads on from is looked up, and counts without any further event."""
    fake.lists["/v1/invoice_payments"] = [
        {"id": "inpay_1", "invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}
    ]
    asking.play([invoice(), stripe.refund("re_1", 5000, payment_intent="pi_1")])
    assert earned(asking) == (500, 600)
    assert waiting(asking) == []
    before = len(fake.requests)
    asking.play([stripe.refund("re_2", 1000, payment_intent="pi_1")])
    assert len(fake.requests) == before
    assert earned(asking) == (400, 480)


def test_what_stripe_does_not_know_either_waits(asking: Stage, fake: FakeStripe) -> None:
    """Neither invoice nor session: the refund waits, visible, like without a key."""
    fake.lists |= {"/v1/invoice_payments": [], "/v1/checkout/sessions": []}
    asking.play([invoice(), stripe.refund("re_1", 5000, payment_intent="pi_1", key="evt_r")])
    assert waiting(asking) == [("evt_r", "refund re_1 names pi_1, and no invoice paid by it is known yet")]


def test_a_payment_that_stripe_never_heard_of_is_no_dead_letter(asking: Stage, fake: FakeStripe) -> None:
    """The refund of a test body waits like one that leads nowhere."""
    unknown = b'{"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such charge"}}'
    fake.troubles += [Trouble(400, body=unknown)]
    asking.play([stripe.refund("re_1", 5000, charge="ch_00000000000000", key="evt_r")])
    assert [key for key, _ in waiting(asking)] == ["evt_r"]


def test_stripe_s_own_patience_is_the_next_attempt(asking: Stage, fake: FakeStripe) -> None:
    """Asked to slow down for half an hour, the event is due again no sooner."""
    fake.troubles += [Trouble(429, headers={"Retry-After": "1800"})]
    asking.play([invoice(has_more=True)])
    due = "select state, next_attempt_at > now() + interval '25 minutes' from inbox where event_type = 'invoice.paid'"
    assert asking.ask(due) == [("received", True)]


# --- checkout


def session(what: str = "completed", **more: Any) -> stripe.Json:
    """100.00 USD paid once in a checkout session."""
    given: stripe.Json = {"customer": "cus_1", "payment_intent": "pi_1", "at": PAID_AT} | more
    return stripe.checkout_session("cs_test_a1", 10000, what=what, **given)


def test_a_session_without_its_items_counts_on_the_whole(stage: Stage) -> None:
    """Told once or twice it is one transaction with one line, and a refund leads to it by its payment."""
    stage.play([session(), session(key="evt_again")])
    assert stage.ask("select key, provider_customer_key from transactions") == [("stripe:cs_test_a1", "cus_1")]
    assert stage.ask("select line_key, product_key, gross_minor from transaction_lines") == [
        ("line:cs_test_a1", None, 10000)
    ]
    assert earned(stage) == (1000, 0)
    stage.play([stripe.charge_refunded("ch_1", 10000, 5000, payment_intent="pi_1", at=LATER)])
    assert earned(stage) == (500, 0)
    assert waiting(stage) == []


def test_with_a_key_the_session_is_told_with_its_items(asking: Stage, fake: FakeStripe) -> None:
    """What was bought is fetched: a line per product, net of discount and tax."""
    fake.lists["/v1/checkout/sessions/cs_test_a1/line_items"] = [
        {"id": "li_1", "amount_total": 6600, "amount_tax": 600, "amount_discount": 100, "quantity": 2,
         "price": {"id": "price_1", "product": "prod_inbox"}, "description": "Inbox"},
        {"id": "li_2", "amount_total": 3400, "amount_tax": 0, "quantity": 1,
         "price": {"id": "price_2", "product": {"id": "prod_chat"}}},
    ]  # fmt: skip
    asking.play([session(tax=600, discount=100)])
    assert asking.ask("select product_key, gross_minor, discount_minor from transaction_lines order by 1") == [
        ("prod_chat", 3400, 0),
        ("prod_inbox", 6100, 100),
    ]
    assert earned(asking) == (940, 1200)


def test_a_session_that_stripe_does_not_know_is_worked_as_it_is(asking: Stage, fake: FakeStripe) -> None:
    """A test body's session cannot be fetched: it has one line without a product, and is no dead letter."""
    asking.play([session()])
    assert fake.requests[0].path == "/v1/checkout/sessions/cs_test_a1/line_items"
    assert asking.ask("select state from inbox where event_type = 'checkout.session.completed'") == [("processed",)]
    fake.troubles.append(Trouble(500))
    asking.play([session(key="evt_later")])
    assert asking.ask("select state from inbox where event_key = 'evt_later'") == [("received",)]


def test_a_session_with_an_invoice_counts_once(stage: Stage) -> None:
    """The invoice is the transaction, in every order; the session only says what it was paid with."""
    told = [invoice(), session(invoice="in_1"), stripe.refund("re_1", 5000, payment_intent="pi_1")]
    for number, order in enumerate(itertools.permutations(told)):
        stage.play([event | {"id": f"evt_{number}_{place}"} for place, event in enumerate(order)])
    stage.drainer.run()
    assert stage.ask("select key from transactions") == [("stripe:in_1",)]
    assert earned(stage) == (500, 600)


def test_a_payment_that_comes_days_later_counts_from_then(stage: Stage) -> None:
    """Completed but unpaid is no transaction; the later success is."""
    stage.play([session(payment_status="unpaid")])
    assert stage.ask("select count(*) from transactions") == [(0,)]
    stage.play([session("async_payment_succeeded", at=LATER)])
    assert stage.ask("select occurred_at from transactions") == [(LATER,)]


# --- thin events, accounts, modes, test bodies


def thin(kind: str, of: str, key: str, event_key: str) -> stripe.Json:
    """A thin event as v2 sends it."""
    related = {"id": key, "type": of, "url": "https://127.0.0.1/never/asked"}
    return {
        "id": event_key,
        "object": "v2.core.event",
        "type": kind,
        "created": stripe.second(PAID_AT),
        "livemode": False,
        "related_object": related,
    }


def test_a_thin_event_is_fetched_and_worked_like_a_snapshot(asking: Stage, fake: FakeStripe) -> None:
    """The object comes from where its kind and id say, never from the address in the event."""
    fake.objects["/v1/invoices/in_1"] = invoice()["data"]["object"]
    asking.play([thin("v1.invoice.paid", "invoice", "in_1", "evt_t")])
    assert [request.path for request in fake.requests] == ["/v1/invoices/in_1"]
    assert earned(asking) == (1000, 1200)
    asking.play([invoice()])
    assert earned(asking) == (1000, 1200)


def test_without_a_key_a_thin_event_waits(stage: Stage) -> None:
    """Visible, with the remedy; one of a type that is not used is ignored."""
    stage.play([thin("v1.invoice.paid", "invoice", "in_1", "evt_t"), thin("v2.core.health.x", "x", "x_1", "evt_u")])
    reason = "the event names its object (invoice) without carrying it; set STRIPE_API_KEY to fetch the rest"
    assert waiting(stage) == [("evt_t", reason)]
    assert stage.ask("select state from inbox where event_key = 'evt_u'") == [("ignored",)]


def test_a_thin_event_whose_object_is_gone_is_dead(asking: Stage) -> None:
    """No retry brings it back; a person sees it."""
    asking.play([thin("v1.invoice.paid", "invoice", "in_9", "evt_t")])
    assert asking.ask("select state, reason from inbox where event_key = 'evt_t'") == [
        ("dead", "Stripe refused /v1/invoices/in_9 with status 404")
    ]


def test_events_of_another_account_are_stored_and_ignored(stage: Stage) -> None:
    """Nothing is guessed: an account that the program does not name is not its own."""
    stage.play([{**invoice(), "account": "acct_other"}])
    assert stage.ask("select state, reason, account from inbox where event_type = 'invoice.paid'") == [
        ("ignored", "an event of account acct_other, which STRIPE_ACCOUNTS does not name", "acct_other")
    ]
    assert earned(stage) == (0, 0)


def test_events_of_a_named_account_count_and_are_asked_about_in_its_name(engine: Engine, fake: FakeStripe) -> None:
    """With STRIPE_ACCOUNTS they are worked; what is fetched for them is fetched from that account."""
    stage = staged(engine, STRIPE_ACCOUNTS="acct_a,acct_b", STRIPE_API_KEY="sk_test_1", STRIPE_API_BASE=fake.api_base)
    fake.lists["/v1/invoices/in_1/lines"] = invoice()["data"]["object"]["lines"]["data"]
    stage.play([{**invoice(has_more=True), "account": "acct_b"}])
    assert earned(stage) == (1000, 1200)
    assert {name.lower(): value for name, value in fake.requests[0].headers.items()}["stripe-account"] == "acct_b"


@pytest.mark.parametrize(("mode", "counted"), [("any", (1000, 1200)), ("test", (1000, 1200)), ("live", (0, 0))])
def test_only_the_mode_that_is_asked_for_counts(engine: Engine, mode: str, counted: tuple[int, int]) -> None:
    """Events of the other mode are stored and ignored."""
    stage = staged(engine, STRIPE_MODE=mode)
    with engine.begin() as connection:
        connection.execute(text("update inbox set livemode = true, state = 'received', next_attempt_at = now()"))
    stage.play([invoice()])
    assert earned(stage) == counted


def test_bodies_of_the_test_button_harm_nothing(stage: Stage) -> None:
    """Ids of zeros and states that contradict their type: nothing is dead, and nobody earns anything."""
    stage.play([invoice()])
    zeros = "00000000000000"
    told = [
        stripe.charge_refunded(f"ch_{zeros}", 100, 100, invoice=None),
        stripe.dispute(f"dp_{zeros}", 1000, what="funds_reinstated", moved=[-1000], charge=f"ch_{zeros}"),
        stripe.dispute(f"dp_{zeros}", 1000, what="closed", status="warning_needs_response"),
        stripe.refund(f"re_{zeros}", 100, charge=f"ch_{zeros}"),
        stripe.credit_note(f"cn_{zeros}", f"in_{zeros}", [stripe.note_line("cnli_1", 5)]),
        stripe.checkout_session(f"cs_{zeros}", 3000, customer=f"cus_{zeros}", payment_intent=f"pi_{zeros}"),
        stripe.product(f"prod_{zeros}", "myproduct", what="deleted"),
        stripe.price("plan_00000000000000", f"prod_{zeros}", what="deleted"),
        stripe_events.invoice_paid(f"in_{zeros}", customer=f"cus_{zeros}", lines=[], change="voided"),
        stripe_events.invoice_paid(f"in_{zeros}", customer=f"cus_{zeros}", lines=[line("p", 100)], change="paid"),
    ]
    stage.play(told)
    assert stage.ask("select count(*) from inbox where state = 'dead'") == [(0,)]
    assert earned(stage) == (1000, 1200)
    assert sum(row[4] for row in stage.commissions()) == 2200
