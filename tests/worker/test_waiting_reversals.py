"""Reversals as the worker meets them: what leads nowhere waits with a reason, and nobody is judged unlocked."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from domain.errors import TryLater
from domain.facts import BillingEvent, InvoicePayment, Reversal, ReversalKind, Source
from infra.batch import BatchResult, Translated, process
from infra.inbox import WAITING_MAX, Envelope, claim, waiting_until
from infra.ledger.held import lock_name
from infra.locks import lock_customers
from infra.program import ProgramReader
from infra.unit_of_work import unit_of_work
from tests.builders import fact_of, line, stripe_events
from tests.stage import Stage

PAID_AT = datetime(2026, 3, 2, tzinfo=UTC)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
Row = tuple[str, str, str | None]


class Work:
    """A worker's own connection, and facts that no Stripe event of ours tells as envelopes."""

    def __init__(self, stage: Stage, connection: Connection) -> None:
        self.stage = stage
        self.connection = connection

    def told(self, *facts: BillingEvent) -> BatchResult:
        """Store each fact's envelope unless it is there, claim what is due, and work on all that is claimed."""
        by_key = {fact.source.event_key: fact for fact in facts}
        with unit_of_work(self.connection):
            for key in by_key:
                self.connection.execute(
                    text("""
                        insert into inbox (provider, event_key, event_type, occurred_at, body_codec, body_bytes, body)
                        values ('stripe', :key, 'refund.created', now(), 0, 0, '') on conflict do nothing
                    """),
                    {"key": key},
                )
        with unit_of_work(self.connection):
            envelopes = claim(self.connection, 10)
        batch = [Translated(each, (by_key[each.event_key],)) for each in envelopes]
        with unit_of_work(self.connection):
            return process(self.connection, batch, ProgramReader(self.stage.settings), NOW)

    def inbox(self) -> list[Row]:
        """(event, state, reason) of the facts' envelopes."""
        query = "select event_key, state, reason from inbox where event_type = 'refund.created' order by 1"
        return [(key, state, reason) for key, state, reason in self.stage.ask(query)]

    def due(self) -> list[str]:
        """The events that are due now."""
        return [key for (key,) in self.stage.ask("select event_key from inbox where next_attempt_at <= now()")]


@pytest.fixture
def work(engine: Engine) -> Iterator[Work]:
    """acme and other, both ada's, who earns 10 percent of every payment."""
    stage = Stage(engine)
    stage.partner("ada")
    stage.trigger("all", "10")
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", partner_key="ada", at=PAID_AT),
            stripe_events.customer("cus_2", customer_key="other", partner_key="ada", at=PAID_AT),
        ]
    )
    with engine.connect() as connection:
        yield Work(stage, connection)


def paid(key: str, customer: str = "cus_1") -> stripe_events.Event:
    """100.00 USD for an Inbox."""
    return stripe_events.invoice_paid(key, customer=customer, lines=[line("prod_inbox", 10000)], paid_at=PAID_AT)


def source(event_key: str) -> Source:
    """The moment after the payment."""
    return Source(0, PAID_AT + timedelta(days=1), 1, event_key)


def refund(event_key: str, *payments: str, amount_minor: int = 4000, invoice: str | None = None) -> Reversal:
    """A sighting of the refund re_1."""
    return Reversal("stripe", ReversalKind.REFUND, "re_1", source(event_key), "usd", amount_minor, 0, invoice, payments)


def link(event_key: str, invoice: str, *payments: str) -> InvoicePayment:
    """What settled an invoice."""
    return InvoicePayment("stripe", invoice, source(event_key), payments)


def test_a_refund_waits_for_its_payment_and_is_due_the_moment_it_comes(work: Work) -> None:
    """It is recorded and waits by name; once the invoice is there, the money is booked and the refund is settled."""
    began = work.told(refund("evt_r", invoice="in_1"))
    assert [mark.next_attempt_at for mark in began.marks] == [NOW + WAITING_MAX]
    missing = "refund re_1 takes back of stripe:in_1, which is not known yet"
    assert work.inbox() == [("evt_r", "waiting", missing)]
    work.told(fact_of(paid("in_1")))
    assert [row[4] for row in work.stage.commissions()] == [600]
    assert work.due() == ["evt_r"]
    work.told(refund("evt_r", invoice="in_1"))
    assert ("evt_r", "processed", None) in work.inbox()
    assert [row[4] for row in work.stage.commissions()] == [600]


def test_a_refund_waits_for_the_link_to_its_invoice(work: Work) -> None:
    """Until something says which invoice the payment settled, the reason names the payment."""
    work.stage.play([paid("in_1")])
    work.told(refund("evt_r", "pi_1"))
    assert work.inbox() == [
        ("evt_r", "waiting", "refund re_1 names pi_1, and no invoice paid by it is known yet")
    ]  # fmt: skip
    work.told(link("evt_l", "in_1", "pi_1"))
    assert [row[4] for row in work.stage.commissions()] == [600]
    assert work.due() == ["evt_r"]


def test_what_another_worker_has_at_hand_is_not_taken_for_lost(work: Work) -> None:
    """A waiting refund that is being looked at again keeps its lease when its payment comes."""
    work.stage.play([paid("in_1")])
    work.told(refund("evt_r", "pi_1"))
    with work.stage.engine.begin() as connection:
        connection.execute(text("update inbox set next_attempt_at = now() where event_key = 'evt_r'"))
    with work.stage.engine.connect() as another:
        with unit_of_work(another):
            assert [envelope.event_key for envelope in claim(another, 10)] == ["evt_r"]
        work.told(link("evt_l", "in_1", "pi_1"))
        assert work.due() == []


def test_a_sighting_that_names_less_is_worked_like_the_one_that_named_more(work: Work) -> None:
    """What is recorded of a refund leads to its customer: the customer is locked, and the difference is booked."""
    work.stage.play([paid("in_1")])
    work.told(refund("evt_r", invoice="in_1"))
    work.told(refund("evt_s", amount_minor=5000))
    assert work.inbox() == [("evt_r", "processed", None), ("evt_s", "processed", None)]
    assert [row[4] for row in work.stage.commissions()] == [500]


@pytest.mark.parametrize("name", ["cust", "stripe"])
def test_nobodys_payment_is_judged_while_another_worker_has_the_customer(work: Work, name: str) -> None:
    """A refund that only the books lead to a customer waits for either of the customer's locks."""
    work.stage.play([paid("in_1")])
    work.told(refund("evt_r", invoice="in_1"))
    customer = work.stage.ask("select customer from provider_customers where provider_customer_key = 'cus_1'")[0][0]
    with work.stage.engine.connect() as holder, unit_of_work(holder):
        assert lock_customers(holder, [customer if name == "cust" else lock_name("stripe", "cus_1")])
        with pytest.raises(TryLater, match="another worker is busy with a customer"):
            work.told(refund("evt_s", amount_minor=5000))
    assert [row[4] for row in work.stage.commissions()] == [600]


def test_another_customer_s_credits_are_not_judged_while_another_worker_has_them(work: Work) -> None:
    """A subscription is billed to somebody else by now: a refund of the charge concerns whoever is credited for it."""
    lines = {"in_1": ("cus_1", line("prod_inbox", 10000)), "in_2": ("cus_2", line("prod_inbox", -4000))}
    for day, (key, (customer, billed)) in enumerate(lines.items()):
        at = PAID_AT + timedelta(days=day)
        work.stage.play(
            [stripe_events.invoice_paid(key, customer=customer, subscription="sub_1", lines=[billed], paid_at=at)]
        )
    assert {row[1]: row[4] for row in work.stage.commissions()} == {"stripe:in_1": 1000, "stripe:in_2": -400}
    with work.stage.engine.connect() as holder, unit_of_work(holder):
        assert lock_customers(holder, [lock_name("stripe", "cus_2")])
        with pytest.raises(TryLater, match="whom this concerns"):
            work.told(refund("evt_r", invoice="in_1", amount_minor=8000))
    work.told(refund("evt_s", invoice="in_1", amount_minor=8000))
    assert {row[1]: row[4] for row in work.stage.commissions()} == {"stripe:in_1": 200, "stripe:in_2": -200}


def test_an_invoice_and_its_refund_never_pass_each_other_by(work: Work) -> None:
    """Whoever tells of a refund of an invoice waits while another worker records that invoice."""
    with work.stage.engine.connect() as holder, unit_of_work(holder):
        assert lock_customers(holder, ["stripe:invoice:in_1"])
        assert [e.envelope.event_key for e in work.told(refund("evt_r", invoice="in_1")).busy] == ["evt_r"]
        # The first is due again soon, and may be claimed along with the other.
        another = replace(refund("evt_s", "pi_1"), reversal_key="re_2")
        assert {e.envelope.event_key for e in work.told(refund("evt_r", invoice="in_1"), another).busy} <= {"evt_r"}


def test_a_payment_that_two_customers_claim_is_nobodys_dead_end(work: Work) -> None:
    """A link that moves from one customer's invoice to another's takes the refund along, in one batch."""
    work.stage.play([paid("in_1"), paid("in_2", "cus_2")])
    work.told(link("evt_l", "in_2", "pi_1"), refund("evt_r", "pi_1"))
    assert {row[1]: row[4] for row in work.stage.commissions()} == {"stripe:in_1": 1000, "stripe:in_2": 600}
    work.told(link("evt_m", "in_1", "pi_1"))
    assert {row[1]: row[4] for row in work.stage.commissions()} == {"stripe:in_1": 600, "stripe:in_2": 1000}


@pytest.mark.parametrize(
    ("age", "delay"),
    [
        (timedelta(0), timedelta(minutes=5)),
        (timedelta(minutes=50), timedelta(minutes=5)),
        (timedelta(hours=10), timedelta(hours=1)),
        (timedelta(days=100), timedelta(days=1)),
        (timedelta(hours=-1), timedelta(minutes=5)),
    ],
)
def test_the_older_what_waits_the_less_often_it_is_looked_at(age: timedelta, delay: timedelta) -> None:
    """At first every few minutes, at last once a day, and never at once, whatever the provider's clock says."""
    envelope = Envelope(1, "stripe", "evt_1", "refund.created", NOW - age, None, None, 1, 0, None, 0)
    assert waiting_until(envelope, NOW) == NOW + delay
