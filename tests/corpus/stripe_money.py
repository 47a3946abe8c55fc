"""Refunds, disputes, credit notes, payments, sessions and the catalogue of every era, beside what each means."""

from collections.abc import Iterator
from typing import Any

from tests import stripe_examples as stripe
from tests.corpus.cases import NOT_USED, UNREADABLE, Case, Expected, moment
from tests.stripe_eras import NAMES, WITHOUT_INVOICE, in_era

Json = dict[str, Any]
Row = tuple[str, str, Json, Expected]

WHEN = moment(stripe.AT)
#: Eras that had a kind of event at all.
SINCE_BASIL, SINCE_2019 = ("dahlia", "clover", "basil"), tuple(era for era in NAMES if era != "2016")


def money_cases() -> Iterator[Case]:
    """Every kind in every era that had it."""
    # Clover changed nothing here that is read.
    for era in (each for each in NAMES if each != "clover"):
        rows = [*_refunds(era), *_disputes(era), *_links(era)]
        rows += [*_notes(era), *_sessions(), *_catalogue(era)] if era in SINCE_2019 else _plans()
        for name, about, event, expect in rows:
            yield Case(f"{name}--{era}", "stripe", about, in_era(event, era), expect)
    yield from _odd()


def _payments(era: str) -> list[str]:
    return ["ch_1"] if era == "2016" else ["ch_1", "pi_1"]


def _reversal(kind: str, key: str, amount: int, **more: Any) -> Json:
    return {
        "fact": "Reversal",
        "kind": kind,
        "reversal_key": key,
        "rank": 1,
        "currency": "usd",
        "amount_minor": amount,
    } | more


def _refunds(era: str) -> Iterator[Row]:
    named = {} if era in WITHOUT_INVOICE else {"invoice": "in_1"}
    invoice = {} if era in WITHOUT_INVOICE else {"invoice_key": "in_1"}
    common: Json = {"payment_keys": _payments(era), "provider_customer_key": "cus_1"}
    event = stripe.charge_refunded(
        "ch_1", 9900, 2500, before=1000, payment_intent="pi_1", customer="cus_1", key="evt_1", **named
    )
    about = "all refunds of a charge so far, not what was added; until basil the charge names its invoice"
    yield "charge.refunded", about, event, [_reversal("refunded", "ch_1", 2500, **invoice, **common)]
    for what in ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"):
        if what.startswith("refund.") and era not in SINCE_BASIL:
            continue
        for status in ("succeeded", "pending", "failed"):
            rank = 0 if what == "refund.created" else 1
            undone = {"undone_minor": 700} if status == "failed" else {}
            event = stripe.refund(
                "re_1", 700, what=what, status=status, charge="ch_1", payment_intent="pi_1", key="evt_1"
            )
            taken = _reversal("refund", "re_1", 700, rank=rank, payment_keys=_payments(era), **undone)
            yield f"{what}-{status}", "one refund; a failed one is undone", event, [taken]


def _disputes(era: str) -> Iterator[Row]:
    def told(what: str, status: str, *moved: int, **more: Any) -> Json:
        given: Json = {"charge": "ch_1", "payment_intent": "pi_1", "key": "evt_1"} | more
        return stripe.dispute("dp_1", 9900, what=what, status=status, moved=moved, **given)

    taken = _reversal("dispute", "dp_1", 9900, payment_keys=_payments(era))
    about = "an inquiry moves no money"
    yield "charge.dispute.created-inquiry", about, told("created", "warning_needs_response"), NOT_USED
    yield "charge.dispute.closed-inquiry", about, told("closed", "warning_closed"), NOT_USED
    about = "funds are withdrawn once a balance transaction says so; the fee is not the customer's"
    started = [taken | {"rank": 0}]
    yield "charge.dispute.created", about, told("created", "needs_response", -9900), started
    yield "charge.dispute.funds_withdrawn", about, told("funds_withdrawn", "under_review", -9900), [taken]
    yield "charge.dispute.created-not-moved", "nothing was withdrawn yet", told("created", "needs_response"), NOT_USED
    won = [taken | {"undone_minor": 9900}]
    about = "a dispute that is won gives the funds back"
    yield "charge.dispute.funds_reinstated", about, told("funds_reinstated", "won", -9900, 9900), won
    yield "charge.dispute.closed-lost", "a lost one does not", told("closed", "lost", -9900), [taken]
    abroad = told("funds_withdrawn", "needs_response", -10500)
    for each in abroad["data"]["object"]["balance_transactions"]:
        each["currency"] = "eur"
    about = "an account settled in another currency: what counts is the disputed amount"
    yield "charge.dispute.funds_withdrawn-abroad", about, abroad, [taken]


def _links(era: str) -> Iterator[Row]:
    link: Json = {"fact": "InvoicePayment", "invoice_key": "in_1", "rank": 1}
    if era in SINCE_BASIL:
        about = "which payment settled an invoice; no money by itself"
        by_intent = stripe.invoice_payment(
            "inpay_1", "in_1", {"type": "payment_intent", "payment_intent": "pi_1"}, key="evt_1"
        )
        yield "invoice_payment.paid", about, by_intent, [link | {"payment_keys": ["pi_1"]}]
        by_charge = stripe.invoice_payment("inpay_1", "in_1", {"type": "charge", "charge": "ch_1"}, key="evt_1")
        yield "invoice_payment.paid-charge", about, by_charge, [link | {"payment_keys": ["ch_1"]}]
        outside = {"type": "payment_record", "payment_record": "pr_1"}
        about = "paid outside of Stripe: nothing leads back to it"
        yield "invoice_payment.paid-outside", about, stripe.invoice_payment("inpay_1", "in_1", outside), NOT_USED
    named: Json = {} if era in WITHOUT_INVOICE else {"invoice": "in_1"}
    content = stripe.charge("ch_1", 9900, payment_intent="pi_1", customer="cus_1", **named)
    paid = [link | {"payment_keys": _payments(era), "provider_customer_key": "cus_1"}]
    about = "a charge is no transaction; until basil it says which invoice it paid"
    expect: Expected = NOT_USED if era in WITHOUT_INVOICE else paid
    yield "charge.succeeded", about, stripe.event("charge.succeeded", content, key="evt_1"), expect
    if era != "2016":
        intent = {"id": "pi_1", "object": "payment_intent", "customer": "cus_1", "latest_charge": "ch_1"} | named
        both = [link | {"payment_keys": ["pi_1", "ch_1"], "provider_customer_key": "cus_1"}]
        expect = NOT_USED if era in WITHOUT_INVOICE else both
        about = "a payment intent is no transaction either"
        yield "payment_intent.succeeded", about, stripe.event("payment_intent.succeeded", intent, key="evt_1"), expect


def _notes(era: str) -> Iterator[Row]:
    def told(*lines: Json, **more: Any) -> Json:
        return stripe.credit_note("cn_1", "in_1", lines, customer="cus_1", key="evt_1", **more)

    def said(total: int, *lines: Json, **more: Any) -> list[Json]:
        note = _reversal("credit_note", "cn_1", total, invoice_key="in_1", lines=list(lines))
        return [note | {"rank": 0, "provider_customer_key": "cus_1"} | more]

    one = {"amount_minor": 2500, "line_key": "il_1"}
    about = "a credit note takes from the line that it names, tax on top apart"
    yield "credit_note.created", about, told(stripe.note_line("cnli_1", 2500, of="il_1", tax=500)), said(3000, one)
    inside = told(stripe.note_line("cnli_1", 3000, of="il_1", included=500))
    yield "credit_note.created-tax-inside", "tax inside is taken out once", inside, said(3000, one)
    off = told(stripe.note_line("cnli_1", 3000, of="il_1", discount=500))
    yield "credit_note.created-discount", "what was discounted is not credited", off, said(2500, one)
    custom = told(stripe.note_line("cnli_1", 800))
    about = "a line of its own is spread over the whole invoice"
    yield "credit_note.created-custom-line", about, custom, said(800, {"amount_minor": 800})
    paid_out = told(stripe.note_line("cnli_1", 2500, of="il_1"), refunds=[("re_1", 2500)])
    about = "what was paid out as a refund is told by that refund too, and counts once"
    yield (
        "credit_note.created-refunded",
        about,
        paid_out,
        said(2500, one, refunded_minor=2500, refunds=[["re_1", 2500]]),
    )
    before = told(stripe.note_line("cnli_1", 2500, of="il_1"), kind="pre_payment")
    yield "credit_note.created-before-payment", "it lowers its lines all the same", before, said(2500, one)
    changed = told(stripe.note_line("cnli_1", 2500, of="il_1"), what="updated")
    yield "credit_note.updated", "told again", changed, said(2500, one, rank=1)
    void = told(stripe.note_line("cnli_1", 2500, of="il_1"), what="voided")
    yield "credit_note.voided", "a voided one is undone", void, said(2500, one, rank=1, undone_minor=2500)
    long = told(stripe.note_line("cnli_1", 2500, of="il_1"), has_more=True)
    about = "only its first page of lines: the rest must be fetched"
    yield "credit_note.created-long", about, long, said(2500, one, lines_missing=True)


def _session(amount: int, gross: int, **more: Any) -> list[Json]:
    line = {
        "line_key": "cs_1",
        "subscription_key": None,
        "product_key": None,
        "price_keys": [],
        "amount_minor": gross,
        "discount_minor": more.pop("discount", 0),
        "quantity": None,
        "recurring": False,
    }
    paid = {
        "fact": "InvoicePaid",
        "invoice_key": "cs_1",
        "provider_customer_key": "cus_1",
        "rank": 1,
        "paid_at": WHEN,
        "currency": "usd",
        "lines": [line],
        "lines_missing": False,
        "metadata": {"order": "7"},
        "total_minor": amount,
        "payment_keys": ["pi_1"],
    }
    return [paid | more]


def _free() -> list[Json]:
    (paid,) = _session(0, 0)
    return [{name: value for name, value in paid.items() if name != "payment_keys"}]


def _sessions() -> Iterator[Row]:
    def told(amount: int, **more: Any) -> Json:
        given: Json = {"customer": "cus_1", "payment_intent": "pi_1", "metadata": {"order": "7"}, "key": "evt_1"} | more
        return stripe.checkout_session("cs_1", amount, **given)

    about = "a one-off payment is a transaction of its own; what was bought is not in the event"
    yield "checkout.session.completed", about, told(3000), _session(3000, 3000)
    beside = told(3500, tax=400, discount=300, shipping=100)
    about = "tax and shipping are not what was sold, a discount stands beside it"
    yield "checkout.session.completed-taxed", about, beside, _session(3500, 3300, discount=300)
    free = told(0, payment_status="no_payment_required", payment_intent=None)
    yield "checkout.session.completed-free", "a payment of nothing", free, _free()
    unpaid = told(3000, payment_status="unpaid")
    yield "checkout.session.completed-unpaid", "not paid yet", unpaid, NOT_USED
    later = told(3000, what="async_payment_succeeded")
    yield "checkout.session.async_payment_succeeded", "paid some days later", later, _session(3000, 3000)
    invoiced = told(3000, invoice="in_1")
    link = {"fact": "InvoicePayment", "invoice_key": "in_1", "rank": 1, "payment_keys": ["pi_1"]}
    about = "with an invoice, that one is the transaction"
    yield "checkout.session.completed-invoiced", about, invoiced, [link | {"provider_customer_key": "cus_1"}]
    about = "an invoice that is to come will be the transaction"
    yield "checkout.session.completed-to-be-invoiced", about, told(3000, makes_invoice=True), NOT_USED
    subscribed = told(3000, mode="subscription", subscription="sub_1", invoice="in_1", payment_intent=None)
    yield "checkout.session.completed-subscription", "its invoices are the money", subscribed, NOT_USED
    yield "checkout.session.completed-setup", "no money at all", told(0, mode="setup"), NOT_USED


def _catalogue(era: str) -> Iterator[Row]:
    named = {"fact": "ProductDescribed", "product_key": "prod_1", "name": "Inbox"}
    made = stripe.product("prod_1", "Inbox", what="created", description="Mail", key="evt_1")
    yield "product.created", "what a product is called", made, [named | {"rank": 0, "description": "Mail"}]
    off = stripe.product("prod_1", "Inbox", active=False, key="evt_1")
    yield "product.updated-inactive", "no longer sold", off, [named | {"rank": 1, "archived": True}]
    gone = stripe.product("prod_1", "Inbox", what="deleted", key="evt_1")
    yield "product.deleted", "gone for good", gone, [named | {"rank": 2, "archived": True, "deleted": True}]
    price = "plan" if era == "2019" else "price"
    for what, rank in (("created", 0), ("updated", 1), ("deleted", 2)):
        of = {"fact": "PriceDescribed", "price_key": "price_1", "product_key": "prod_1", "rank": rank}
        about = "which product it is a price of"
        yield f"{price}.{what}", about, stripe.price("price_1", "prod_1", what=what, key="evt_1"), [of]


def _plans() -> Iterator[Row]:
    plan = {"fact": "ProductDescribed", "product_key": "gold", "name": "gold", "rank": 0}
    about = "a plan of 2016 is price and product in one"
    yield "plan.created", about, stripe.price("gold", "prod_1", key="evt_1"), [plan]


def _odd() -> Iterator[Case]:
    nothing = stripe.charge_refunded("ch_1", 100, 100, key="evt_1", invoice=None)
    about = "neither an invoice nor a payment intent: nothing that is counted was paid by it"
    yield Case("charge.refunded-of-nothing--2020", "stripe", about, in_era(nothing, "2020"), NOT_USED)
    bare = stripe.dispute("dp_1", 9900, key="evt_1")
    del bare["data"]["object"]["balance_transactions"]
    about = "without balance transactions nobody knows what was withdrawn: it needs an adapter"
    yield Case("charge.dispute.created-bare--dahlia", "stripe", about, bare, UNREADABLE)
    other = stripe.refund("re_1", 700, key="evt_1")
    other["data"]["object"]["object"] = "payout"
    yield Case("refund.created-of-payout--dahlia", "stripe", "not what its type promises", other, UNREADABLE)
    whole = stripe.charge_refunded("ch_1", 9900, 2500, key="evt_1", customer={"id": "cus_1", "object": "customer"})
    whole["data"]["object"]["payment_intent"] = {"id": "pi_1", "object": "payment_intent"}
    taken = _reversal("refunded", "ch_1", 2500, payment_keys=["ch_1", "pi_1"], provider_customer_key="cus_1")
    yield Case("charge.refunded-expanded--dahlia", "stripe", "expanded objects are their ids", whole, [taken])
    told = stripe.checkout_session("cs_1", 1000, key="evt_1")
    del told["data"]["object"]["amount_total"]
    yield _of_2019()
    for field in ("mode", "payment_status", "invoice"):
        partial = stripe.checkout_session("cs_1", 1000, key="evt_1")
        del partial["data"]["object"][field]
        about = f"a session of today always has {field}: guessing it could make money"
        yield Case(f"checkout.session.completed-no-{field}--dahlia", "stripe", about, partial, UNREADABLE)
    about = "a paid session without an amount is of an unknown shape"
    yield Case("checkout.session.completed-amountless--2019", "stripe", about, told, UNREADABLE)


def _of_2019() -> Case:
    oldest = stripe.checkout_session("cs_1", 3000, customer="cus_1", payment_intent="pi_1", key="evt_1")
    content = oldest["data"]["object"]
    for field in ("mode", "payment_status", "status", "invoice", "invoice_creation", "total_details"):
        del content[field]
    about = "the oldest sessions have neither mode nor status: completed was paid"
    (paid,) = _session(3000, 3000)
    return Case("checkout.session.completed-oldest--2019", "stripe", about, oldest, [paid | {"metadata": {}}])
