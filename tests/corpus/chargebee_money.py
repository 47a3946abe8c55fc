"""Invoices, credit notes, refunds and reversed payments of Chargebee, beside what each means."""

from collections.abc import Iterator
from typing import Any

from tests import chargebee_events as chargebee
from tests.chargebee_events import NOON, Json, line
from tests.corpus.cases import NOT_USED, UNREADABLE
from tests.corpus.chargebee_people import VERSION, WHEN, Row


def money_cases() -> Iterator[Row]:
    """Every kind in every shape that differs."""
    yield from _invoices()
    yield from _amounts()
    yield from _unpaid()
    yield from _notes()
    yield from _refunds()
    yield from _payments()


def sold(key: str | None, amount: int, **more: Any) -> Json:
    """A line as a fact."""
    usual: Json = {
        "line_key": f"li_{key or 'adhoc'}_sub_1",
        "subscription_key": "sub_1",
        "product_key": key,
        "price_keys": [key] if key else [],
        "amount_minor": amount,
        "discount_minor": 0,
        "quantity": 1,
        "recurring": True,
        "description": key or "Ad hoc",
    }
    return usual | more


def paid(lines: list[Json], total: int, **more: Any) -> Json:
    """Invoice 17 as a fact."""
    usual: Json = {
        "fact": "InvoicePaid",
        "invoice_key": "17",
        "provider_customer_key": "c1",
        "rank": 1,
        "version": VERSION,
        "paid_at": WHEN,
        "currency": "usd",
        "lines": lines,
        "lines_missing": False,
        "total_minor": total,
        "payment_keys": ["txn_17"],
    }
    return usual | more


def taken(kind: str, key: str, amount: int, **more: Any) -> Json:
    """A reversal of invoice 17 as a fact."""
    usual: Json = {
        "fact": "Reversal",
        "kind": kind,
        "reversal_key": key,
        "rank": 1,
        "version": VERSION,
        "currency": "usd",
        "amount_minor": amount,
        "invoice_key": "17",
        "provider_customer_key": "c1",
    }
    return {name: value for name, value in (usual | more).items() if value is not None}


def settled_by(payment: str) -> Json:
    """A payment of invoice 17 as a fact."""
    return {
        "fact": "InvoicePayment",
        "invoice_key": "17",
        "rank": 1,
        "version": VERSION,
        "payment_keys": [payment],
        "provider_customer_key": "c1",
    }


def updated(name: str, invoice: Json, kind: str = "invoice_updated") -> Json:
    """An event with an invoice."""
    return chargebee.event(kind, NOON, f"ev_{name}", invoice=invoice)


def _invoices() -> Iterator[Row]:
    for catalog, kinds in ((1, ("plan", "addon")), (2, ("plan_item_price", "addon_item_price"))):
        lines = [line("chat", 4900, kind=kinds[0]), line("inbox", 19800, kind=kinds[1], quantity=2)]
        whole = chargebee.invoice("17", "c1", lines)
        facts = [paid([sold("chat", 4900), sold("inbox", 19800, quantity=2)], 24700)]
        name = f"invoice_generated--{catalog}"
        yield name, "already paid when it is made", updated(name, whole, "invoice_generated"), facts
        settling = chargebee.transaction("txn_17", "c1", 24700)
        settling["linked_invoices"] = [{"invoice_id": "17", "applied_amount": 24700, "invoice_status": "paid"}]
        event = chargebee.event("payment_succeeded", NOON, f"ev_payment_{catalog}", invoice=whole, transaction=settling)
        about = "the same transaction, and which payment settled it"
        yield f"payment_succeeded--{catalog}", about, event, [*facts, settled_by("txn_17")]
    several = [line("chat", 4900), line("chat", 4900, on="sub_2"), line(None, 300, on=None)]
    facts = [
        paid(
            [
                sold("chat", 4900),
                sold("chat", 4900, line_key="li_chat_sub_2", subscription_key="sub_2"),
                sold(None, 300, line_key="li_adhoc_none", subscription_key=None, recurring=False),
            ],
            10100,
        )
    ]
    whole = chargebee.invoice("17", "c1", several, subscription_id=None)
    about = "a consolidated invoice: each line names its subscription, an ad hoc line nothing"
    yield "invoice_generated-consolidated", about, updated("consolidated", whole, "invoice_generated"), facts
    once = [line("setup", 900, kind="charge_item_price"), line("chat", 100, kind="plan_setup")]
    once.append(line("gift", 50, kind="addon", date_to=chargebee.second(NOON)))
    facts = [
        paid(
            [sold(key, amount, recurring=False) for key, amount in (("setup", 900), ("chat", 100), ("gift", 50))], 1050
        )
    ]
    about = "charges, set-up fees and addons without a period are billed once"
    yield "invoice_updated-one-off", about, updated("once", chargebee.invoice("17", "c1", once)), facts


def _amounts() -> Iterator[Row]:
    lines = [line("chat", 5000, discount=300, tax=470), line("inbox", 1000, tax=100)]
    facts = [paid([sold("chat", 5000, discount_minor=300), sold("inbox", 1000)], 6270)]
    whole = chargebee.invoice("17", "c1", lines)
    yield "invoice_updated-exclusive-tax", "tax on top is in the total and in no line", updated("tax", whole), facts
    lines = [line("chat", 5000, discount=300, tax=427)]
    whole = chargebee.invoice("17", "c1", lines, price_type="tax_inclusive")
    facts = [paid([sold("chat", 4573, discount_minor=300)], 4700)]
    yield "invoice_updated-inclusive-tax", "tax inside comes off the line", updated("inclusive", whole), facts
    lines = [line("chat", 4000), line("inbox", 2000), line("surveys", 1000)]
    coupon = {"object": "discount", "entity_type": "document_level_coupon", "amount": 100, "entity_id": "TEN"}
    whole = chargebee.invoice("17", "c1", lines, discounts=[coupon], total=6900)
    facts = [
        paid(
            [
                sold("chat", 4000, discount_minor=57),
                sold("inbox", 2000, discount_minor=29),
                sold("surveys", 1000, discount_minor=14),
            ],
            6900,
        )
    ]
    about = "where only the document says what a coupon took, it is spread by largest remainder"
    yield "invoice_updated-document-coupon", about, updated("coupon", whole), facts
    lines = [line("chat", 4000), line("inbox", 2000)]
    rows = [
        {"line_item_id": "li_chat_sub_1", "discount_amount": 60},
        {"line_item_id": "li_inbox_sub_1", "discount_amount": 40},
    ]
    whole = chargebee.invoice("17", "c1", lines, line_item_discounts=rows, discounts=[coupon], total=5900)
    facts = [paid([sold("chat", 4000, discount_minor=60), sold("inbox", 2000, discount_minor=40)], 5900)]
    yield "invoice_updated-line-discounts", "what the rows say of each line counts", updated("rows", whole), facts
    settled: Json = {"amount_paid": 0, "credits_applied": 4900, "linked_payments": []}
    whole = chargebee.invoice("17", "c1", [line("chat", 4900)], **settled)
    facts = [paid([sold("chat", 4900)], 4900)]
    del facts[0]["payment_keys"]
    yield "invoice_updated-credits", "settled by credits, it counts in full", updated("credits", whole), facts
    whole = chargebee.invoice("17", "c1", [line("chat", 490)], currency_code="JPY")
    facts = [paid([sold("chat", 490)], 490, currency="jpy")]
    yield "invoice_updated-jpy", "yen have no minor unit", updated("jpy", whole), facts
    shown = chargebee.invoice("17", "c1", [line("chat", 4900)], line_items_next_offset='["1","2"]', total=9800)
    facts = [paid([sold("chat", 4900)], 9800, lines_missing=True)]
    yield "invoice_updated-more-lines", "only the first lines are in it", updated("more", shown), facts
    nothing = chargebee.invoice("17", "c1", [])
    facts = [paid([], 0)]
    del facts[0]["payment_keys"]
    yield "invoice_generated-zero", "paid because there is nothing to pay", updated("zero", nothing), facts


def _unpaid() -> Iterator[Row]:
    for status in ("posted", "payment_due", "not_paid", "pending", "voided"):
        whole = chargebee.invoice("17", "c1", [line("chat", 4900)], status=status)
        no_longer = NOT_USED if status == "pending" else [taken("unpaid", "17/unpaid", 4900)]
        yield f"invoice_updated-{status}", "not paid, or no longer: no transaction", updated(status, whole), no_longer
    due = chargebee.invoice("17", "c1", [line("chat", 4900)], status="payment_due")
    about = "an invoice that nobody has paid yet"
    yield "invoice_generated-payment_due", about, updated("new", due, "invoice_generated"), NOT_USED
    part = chargebee.transaction("txn_p", "c1", 1)
    part["linked_invoices"] = [{"invoice_id": "17", "applied_amount": 1, "invoice_status": "payment_due"}]
    due = chargebee.invoice("17", "c1", [line("chat", 4900)], status="payment_due")
    event = chargebee.event("payment_succeeded", NOON, "ev_part", invoice=due, transaction=part)
    about = "a part of an invoice is paid: no transaction yet"
    yield "payment_succeeded-in-part", about, event, [settled_by("txn_p")]
    draft = chargebee.invoice("draft_inv_1", "c1", [line("chat", 4900)], status="pending")
    yield (
        "pending_invoice_created",
        "a draft's id changes",
        updated("draft", draft, "pending_invoice_created"),
        NOT_USED,
    )
    odd = chargebee.invoice("17", "c1", [line("chat", 4900)], status="settled")
    yield "invoice_updated-unknown-status", "a status that nobody has explained yet", updated("odd", odd), UNREADABLE
    parts = [{"amount_minor": 4900, "line_key": "li_chat_sub_1", "subscription_key": "sub_1", "product_key": "chat"}]
    void = chargebee.invoice("17", "c1", [line("chat", 4900)], status="voided", paid_at=chargebee.second(NOON))
    facts = [taken("credit_note", "17/annulled", 4900, lines=parts)]
    yield "invoice_updated-voided-after-payment", "void takes all of it back", updated("void", void), facts
    gone = chargebee.invoice("17", "c1", [line("chat", 4900)], deleted=True)
    facts = [taken("credit_note", "17/annulled", 4900, lines=parts, rank=2)]
    yield "invoice_deleted", "a deleted invoice was no sale", updated("gone", gone, "invoice_deleted"), facts
    never = chargebee.invoice("17", "c1", [line("chat", 4900)], status="not_paid", deleted=True)
    facts = [taken("unpaid", "17/unpaid", 4900, rank=2)]
    about = "its payments are taken off an invoice before it is deleted"
    yield "invoice_deleted-unpaid", about, updated("never", never, "invoice_deleted"), facts


def _notes() -> Iterator[Row]:
    credited = [line("chat", 1200, key="li_n", tax=120, reference_line_item_id="li_chat_sub_1")]
    note = chargebee.credit_note("CN-1", "17", "c1", credited)
    parts = [{"amount_minor": 1200, "line_key": "li_chat_sub_1", "subscription_key": "sub_1", "product_key": "chat"}]
    facts = [taken("credit_note", "CN-1", 1320, lines=parts, rank=0)]
    event = chargebee.event("credit_note_created", NOON, credit_note=note)
    yield "credit_note_created", "it takes from the lines that it names, and the tax on them", event, facts
    refunds = [
        {"txn_id": "r1", "applied_amount": 500, "txn_status": "success"},
        {"txn_id": "r2", "applied_amount": 9, "txn_status": "failure"},
    ]
    event = chargebee.event("credit_note_updated", NOON, credit_note=note | {"linked_refunds": refunds})
    facts = [taken("credit_note", "CN-1", 1320, lines=parts, refunded_minor=500)]
    yield "credit_note_updated-refunded", "what was paid out of it counts once", event, facts
    event = chargebee.event("credit_note_updated", NOON, "ev_void_note", credit_note=note | {"status": "voided"})
    facts = [taken("credit_note", "CN-1", 1320, lines=parts, undone_minor=1320)]
    yield "credit_note_updated-voided", "voided, it takes nothing", event, facts
    event = chargebee.event("credit_note_deleted", NOON, credit_note=note | {"deleted": True})
    facts = [taken("credit_note", "CN-1", 1320, lines=parts, undone_minor=1320, rank=2)]
    yield "credit_note_deleted", "deleted, it takes nothing", event, facts
    alone = chargebee.credit_note("CN-2", None, "c1", credited)
    event = chargebee.event("credit_note_created", NOON, "ev_alone", credit_note=alone)
    yield "credit_note_created-standalone", "credits without an invoice lower no sale", event, NOT_USED
    store = chargebee.credit_note("CN-3", "17", "c1", credited, type="store")
    event = chargebee.event("credit_note_created", NOON, "ev_store", credit_note=store)
    yield "credit_note_created-store", "store credits are a gift", event, NOT_USED
    lost = chargebee.credit_note("CN-4", "17", "c1", credited, reason_code="chargeback")
    event = chargebee.event("credit_note_created", NOON, "ev_chargeback", credit_note=lost)
    facts = [taken("credit_note", "CN-4", 1320, lines=parts, rank=0)]
    yield "credit_note_created-chargeback", "a chargeback is told by its credit note", event, facts
    named = [{"cn_id": "CN-5", "cn_total": 4900, "cn_status": "adjusted"}]
    whole = chargebee.invoice("17", "c1", [line("chat", 4900)], adjustment_credit_notes=named)
    facts = [paid([sold("chat", 4900)], 4900), taken("credit_note", "CN-5", 4900)]
    about = "an invoice that was written off names the credit note that did it"
    yield "invoice_updated-written-off", about, updated("off", whole), facts


def _refunds() -> Iterator[Row]:
    refund = chargebee.transaction("txn_r", "c1", 500, kind="refund", refunded_txn_id="txn_17")
    note = chargebee.credit_note("CN-1", "17", "c1", [line("chat", 1200)])
    linked = refund | {"linked_credit_notes": [chargebee.linked_note(note, 500)]}
    paid_out = taken("refund", "txn_r", 500, payment_keys=["txn_17"])
    facts = [taken("credit_note", "CN-1", 1200, refunded_minor=500), paid_out]
    event = chargebee.event("payment_refunded", NOON, transaction=linked)
    yield "payment_refunded", "a refund, and the credit note that it pays out", event, facts
    event = chargebee.event("refund_initiated", NOON, transaction=linked | {"status": "in_progress"})
    yield "refund_initiated", "what is under way says nothing yet", event, NOT_USED
    event = chargebee.event("transaction_updated", NOON, transaction=linked | {"status": "failure"})
    facts = [taken("credit_note", "CN-1", 1200), paid_out | {"undone_minor": 500}]
    yield "transaction_updated-refund-failed", "undone; the credit note stands", event, facts
    event = chargebee.event("payment_refunded", NOON, "ev_unlinked", transaction=refund)
    facts = [taken("refund", "txn_r", 500, payment_keys=["txn_17"], invoice_key=None)]
    yield "payment_refunded-unlinked", "nothing but the payment leads to the invoice", event, facts


def _payments() -> Iterator[Row]:
    settling = chargebee.transaction("txn_17", "c1", 4900)
    settling["linked_invoices"] = [{"invoice_id": "17", "applied_amount": 4900, "invoice_status": "not_paid"}]
    lost = taken("dispute", "txn_17", 4900, payment_keys=["txn_17"])
    event = chargebee.event("payment_failed", NOON, transaction=settling | {"status": "late_failure"})
    yield "payment_failed-late", "a payment that had succeeded is gone", event, [lost]
    event = chargebee.event("payment_failed", NOON, "ev_declined", transaction=settling | {"status": "failure"})
    yield "payment_failed", "it never succeeded", event, NOT_USED
    back = chargebee.transaction("txn_b", "c1", 4900, kind="payment_reversal", reference_transaction_id="txn_17")
    event = chargebee.event(
        "transaction_created", NOON, transaction=back | {"linked_invoices": settling["linked_invoices"]}
    )
    facts = [lost | {"payment_keys": ["txn_17"], "rank": 0}]
    yield "transaction_created-payment-reversal", "counted by the payment it undoes", event, facts
    payments = [
        {"txn_id": "txn_17", "applied_amount": 4900, "txn_status": "late_failure"},
        {"txn_id": "txn_18", "applied_amount": 4900, "txn_status": "success"},
    ]
    again = chargebee.invoice("17", "c1", [line("chat", 4900)], linked_payments=payments)
    restored = taken("dispute", "txn_17", 4900, undone_minor=4900)
    facts = [paid([sold("chat", 4900)], 4900, payment_keys=["txn_18"]), restored]
    yield "invoice_updated-paid-again", "another payment has settled it since", updated("again", again), facts
    free = chargebee.transaction("txn_u", "c1", 100, linked_invoices=[])
    event = chargebee.event("transaction_created", NOON, "ev_unused", transaction=free)
    yield "transaction_created-unused", "a payment that settles nothing", event, NOT_USED
    hold = chargebee.transaction("txn_a", "c1", 100, kind="authorization")
    event = chargebee.event("transaction_created", NOON, "ev_hold", transaction=hold)
    yield "transaction_created-authorization", "no money moved", event, NOT_USED
