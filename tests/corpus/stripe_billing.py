"""Customers, subscriptions and paid invoices of every era, beside what each means."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.builders import ERAS, item, line, stripe_events
from tests.corpus.cases import NOT_USED, UNREADABLE, Case, Expected

Json = dict[str, Any]
AT = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
ENDED = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)
#: What is read of these looks alike in every era: the newest and the oldest stand for all.
ALIKE = (
    "customer.created",
    "customer.deleted",
    "customer.subscription.updated-",
    "invoice.payment_succeeded",
    "invoice.finalized",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.payment_failed",
    "invoice.created",
    "invoice.paid-jpy",
    "invoice.paid-zero",
    "invoice.paid-but-open",
)
WHEN, WHEN_ENDED = "2026-04-01T12:00:00Z", "2026-03-31T09:30:00Z"


def billing_cases() -> Iterator[Case]:
    """Every kind in every era that had it."""
    for era, shaped in ERAS.items():
        for name, about, event, expect in (*_customers(), *_subscriptions(era), *_invoices(era), *_amounts(era)):
            if name.startswith(ALIKE) and era not in ("dahlia", "2016"):
                continue
            yield Case(f"{name}--{era}", "stripe", about, shaped(event), expect)
    yield from _odd()


Row = tuple[str, str, Json, Expected]


def _customers() -> Iterator[Row]:
    made = stripe_events.customer(
        "cus_1",
        customer_key="acme",
        partner_key="ada",
        member_key="bea",
        name="Acme",
        at=AT,
        event_key="evt_1",
    )
    said = {
        "fact": "CustomerSeen",
        "provider_customer_key": "cus_1",
        "rank": 0,
        "customer_key": "acme",
        "partner_key": "ada",
        "member_key": "bea",
        "email": "1@example.com",
        "name": "Acme",
        "country": "US",
        "metadata": {"customer_key": "acme", "partner_key": "ada", "member_key": "bea"},
        "created_at": WHEN,
    }
    yield "customer.created", "a customer names its partner, its member and the company's own id", made, [said]
    gone = stripe_events.customer("cus_1", change="deleted", at=AT, event_key="evt_2")
    yield (
        "customer.deleted",
        "a deletion carries the last full object",
        gone,
        [
            {
                "fact": "CustomerSeen",
                "provider_customer_key": "cus_1",
                "rank": 2,
                "email": "1@example.com",
                "country": "US",
                "metadata": {},
                "deleted": True,
                "created_at": WHEN,
            }
        ],
    )


def _product(era: str, product: str, price: str) -> str:
    """Plans of 2016 name no product."""
    return price if era == "2016" else product


def _items(era: str) -> list[Json]:
    return [
        {
            "product_key": _product(era, "prod_inbox", "price_inbox"),
            "price_keys": ["price_inbox"],
            "quantity": 3,
            "amount_minor": 29700,
        }
    ]


def _seen(era: str, status: str, provider_status: str, **more: Any) -> Json:
    return {
        "fact": "SubscriptionSeen",
        "subscription_key": "sub_1",
        "provider_customer_key": "cus_1",
        "rank": 1,
        "effective_at": WHEN,
        "status": status,
        "provider_status": provider_status,
        "ended": False,
        "absorbing": False,
        "currency": "usd",
        "items": _items(era),
    } | more


def _subscriptions(era: str) -> Iterator[Row]:
    inbox = [item("prod_inbox", amount=9900, quantity=3)]

    def told(change: str, status: str, **more: Any) -> Json:
        return stripe_events.subscription(
            "sub_1", customer="cus_1", items=inbox, change=change, status=status, at=AT, event_key="evt_1", **more
        )

    started = told("created", "trialing", metadata={"partner_key": "ada"})
    seen = _seen(era, "trial", "trialing", rank=0, partner_key="ada")
    yield "customer.subscription.created-trialing", "a trial of one product, three units", started, [seen]
    for status, ours in (
        ("incomplete", "none"),
        ("active", "active"),
        ("past_due", "active"),
        ("unpaid", "churned"),
        ("paused", "churned"),
    ):
        yield (
            f"customer.subscription.updated-{status}",
            f"{status} is {ours} here",
            told("updated", status),
            [_seen(era, ours, status)],
        )
    over = {"effective_at": WHEN_ENDED, "ended": True, "absorbing": True}
    yield (
        "customer.subscription.deleted",
        "it ended when it says, not when it was told",
        told("deleted", "canceled", ended_at=ENDED),
        [_seen(era, "churned", "canceled", rank=2, **over)],
    )
    expired = told("updated", "incomplete_expired")
    yield (
        "customer.subscription.updated-incomplete_expired",
        "never paid for, and over for good",
        expired,
        [_seen(era, "churned", "incomplete_expired", ended=True, absorbing=True)],
    )
    leaving = told("updated", "active", cancel_at_period_end=True)
    yield (
        "customer.subscription.updated-leaving",
        "a cancellation at the period's end changes nothing yet",
        leaving,
        [_seen(era, "active", "active")],
    )


def _line(key: str, amount: int, **more: Any) -> Json:
    return {
        "line_key": key,
        "subscription_key": "sub_1",
        "product_key": "prod_inbox",
        "price_keys": ["price_inbox"],
        "amount_minor": amount,
        "discount_minor": 0,
        "quantity": 1,
        "recurring": True,
        "description": "Monthly",
    } | more


def _paid(lines: list[Json], total: int, **more: Any) -> Json:
    return {
        "fact": "InvoicePaid",
        "invoice_key": "in_1",
        "provider_customer_key": "cus_1",
        "rank": 1,
        "paid_at": WHEN,
        "currency": "usd",
        "lines": lines,
        "lines_missing": False,
        "metadata": {},
        "total_minor": total,
    } | more


def _told(*lines: Any, change: str = "paid", **more: Any) -> Json:
    given: Json = {"customer": "cus_1", "subscription": "sub_1", "event_key": "evt_1", "paid_at": AT} | more
    return stripe_events.invoice_paid("in_1", lines=lines, change=change, **given)


def _invoices(era: str) -> Iterator[Row]:
    old = era == "2016"
    first, second = ("sub_1", "sub_1#2") if old else ("il_1", "il_2")
    inbox = {"product_key": _product(era, "prod_inbox", "price_inbox")}
    chat = {"product_key": _product(era, "prod_chat", "price_chat"), "price_keys": ["price_chat"]}

    two = (
        line("prod_inbox", 9900, key="il_1", description="Monthly"),
        line("prod_chat", 4900, key="il_2", description="Monthly"),
    )
    both = [_line(first, 9900, **inbox), _line(second, 4900, **chat)]
    for change in ("paid", "payment_succeeded", *(() if old else ("updated", "finalized"))):
        about = "two products on one subscription are two lines, whichever event says so"
        yield f"invoice.{change}", about, _told(*two, change=change), [_paid(both, 14800)]
    for change in ("voided", "marked_uncollectible", "payment_failed", "created"):
        yield f"invoice.{change}", "no transaction", _told(*two, change=change, status="open"), NOT_USED
    open_ = _told(*two, status="open")
    yield "invoice.paid-but-open", "the invoice's own status counts, whatever the event is called", open_, NOT_USED


def _amounts(era: str) -> Iterator[Row]:
    old = era == "2016"
    first = "sub_1" if old else "il_1"
    inbox = {"product_key": _product(era, "prod_inbox", "price_inbox")}
    taxed = (
        _told(line("prod_inbox", 2000, key="il_1", description="Monthly", tax=333, tax_inclusive=True))
        if not old
        else None
    )
    if taxed is not None:
        about = "tax inside the amount is taken out once, also where it is told in two places"
        yield "invoice.paid-tax-inside", about, taxed, [_paid([_line(first, 1667)], 2000)]
    on_top = _told(line("prod_inbox", 2000, key="il_1", description="Monthly", tax=400))
    yield "invoice.paid-tax-on-top", "tax on top is not in the line", on_top, [
        _paid([_line(first, 2000, **inbox)], 2400)
    ]  # fmt: skip
    coupon = _told(line("prod_inbox", 2500, key="il_1", description="Monthly", discount=250))
    yield "invoice.paid-coupon", "a discount stays beside the amount", coupon, [
        _paid([_line(first, 2500, discount_minor=250, **inbox)], 2250)
    ]  # fmt: skip
    swap = _told(
        line("prod_inbox", -2500, key="il_1", description="Monthly", proration=True),
        line("prod_inbox", 25000, key="il_2", description="Monthly"),
    )
    if not old:
        yield "invoice.paid-swap", "a proration credit is negative money of the same product", swap, [
            _paid([_line("il_1", -2500), _line("il_2", 25000)], 22500)
        ]  # fmt: skip
    nothing = _told(line("prod_inbox", 0, key="il_1", description="Monthly"))
    yield "invoice.paid-zero", "an invoice of nothing is paid, and told", nothing, [
        _paid([_line(first, 0, **inbox)], 0)
    ]  # fmt: skip
    yen = _told(line("prod_inbox", 2500, key="il_1", description="Monthly"), currency="jpy")
    yield "invoice.paid-jpy", "minor units of a currency without decimals", yen, [
        _paid([_line(first, 2500, **inbox)], 2500, currency="jpy")
    ]  # fmt: skip


def _odd() -> Iterator[Case]:
    manual = stripe_events.invoice_paid(
        "in_1",
        customer=None,
        event_key="evt_1",
        lines=[
            line(None, 700, key="il_1", description="Monthly"),
            line("prod_shirt", 2900, key="il_2", description="Monthly", quantity=2),
        ],
    )
    lines = [
        _line("il_1", 700, subscription_key=None, product_key=None, price_keys=[], recurring=False),
        _line(
            "il_2",
            2900,
            subscription_key=None,
            product_key="prod_shirt",
            price_keys=["price_shirt"],
            quantity=2,
            recurring=False,
        ),
    ]
    paid = _paid(lines, 3600, provider_customer_key=None)
    yield Case(
        "invoice.paid-manual--dahlia", "stripe", "nobody, no subscription, a line without product", manual, [paid]
    )
    expanded = stripe_events.invoice_paid("in_1", customer="cus_1", event_key="evt_1", lines=[])
    expanded["data"]["object"]["payments"] = {
        "object": "list",
        "data": [
            {"id": "inpay_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}, "status": "paid"},
            {"id": "inpay_2", "payment": {"type": "charge", "charge": {"id": "ch_2"}}, "status": "paid"},
        ],
    }
    about = "expanded payments lead from their refunds to the invoice"
    linked = _paid([], 0, payment_keys=["pi_1", "ch_2"])
    yield Case("invoice.paid-payments-expanded--dahlia", "stripe", about, expanded, [linked])
    stripped = stripe_events.invoice_paid("in_1", customer="cus_1", event_key="evt_1", lines=[])
    del stripped["data"]["object"]["parent"]
    about = "a shape that names no subscription anywhere is unknown: it needs an adapter"
    yield Case("invoice.paid-without-parent--dahlia", "stripe", about, stripped, UNREADABLE)
    yield _metered()


def _metered() -> Case:
    metered = stripe_events.subscription(
        "sub_1",
        customer="cus_1",
        at=AT,
        event_key="evt_1",
        items=[item("prod_a", amount=None, quantity=None), item("prod_b", amount=500)],
        change="updated",
        currency="kwd",
    )
    seen = _seen("dahlia", "active", "active", currency="kwd") | {
        "items": [
            {"product_key": "prod_a", "price_keys": ["price_a"], "quantity": None, "amount_minor": None},
            {"product_key": "prod_b", "price_keys": ["price_b"], "quantity": 1, "amount_minor": 500},
        ]
    }
    about = "what is metered has neither quantity nor amount"
    return Case("customer.subscription.updated-metered--dahlia", "stripe", about, metered, [seen])
