"""Tables that a program manager can read, played on the ledger in memory: who did what on which day, what is owed then.

    on 2026-01-01   product   Inbox
    on 2026-01-01   partner   ada in gold tagged vip
    on 2026-01-01   trigger   inbox: 20 percent of Inbox, once per customer
    on 2026-03-01   customer  cus_1 is acme of ada, in DE
    on 2026-03-02   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
    on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1, tax 19.80
    on 2026-03-09   stripe    re_1 of in_1 refunded 24.50 USD
    expect          14.90 USD to ada by inbox for Inbox in in_1, pending

Lines arrive in the order they are written, a second apart, whatever day they are of. What stands between two other
lines is all that amounts to something (`expect nothing`), and any products (`expect sub_1/Inbox active`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from domain.commissions import CommissionState, move, released
from domain.facts import (
    BillingEvent,
    CustomerSeen,
    InvoiceLine,
    InvoicePaid,
    InvoicePayment,
    ProductStatus,
    Reversal,
    ReversalKind,
    ReversalLine,
    Source,
    SubscriptionItem,
    SubscriptionSeen,
)
from domain.money import exponent, format_money
from domain.windows import epoch_ms
from tests.domain.table_words import WORDS, trigger_document
from tests.simulation.in_memory import MemoryStage, TableTrigger
from tests.simulation.world import Named, PartnerTerms

_STATUSES = {
    "incomplete": ProductStatus.NONE,
    "trialing": ProductStatus.TRIAL,
    "active": ProductStatus.ACTIVE,
    "paused": ProductStatus.CHURNED,
    "cancelled": ProductStatus.CHURNED,
}
_RANKS = {"created": 0, "cancelled": 2}
_TAKEN = {
    "re": ReversalKind.REFUND,
    "ch": ReversalKind.REFUNDED,
    "dp": ReversalKind.DISPUTE,
    "cn": ReversalKind.CREDIT_NOTE,
}

Act = Callable[[MemoryStage], None]


@dataclass
class Step:
    """One line of a table."""

    text: str
    act: Act | None = None
    fact: BillingEvent | None = None
    expected: list[str] = field(default_factory=list)


def play(table: str) -> int:
    """Line by line; every expectation is asserted where it stands. How many there were."""
    return sum(len(step.expected) for step in _played(MemoryStage(), table))


def stage_of(table: str) -> MemoryStage:
    """What a table leaves behind, to look at in other ways."""
    stage = MemoryStage()
    _played(stage, table)
    return stage


def _played(stage: MemoryStage, table: str) -> list[Step]:
    steps = list(read(table))
    for step in steps:
        _take(stage, step)
        _compare(stage, step.expected, step.text)
    return steps


def play_in_any_order(table: str, seed: int) -> int:
    """What people set first, then all facts shuffled and twice, in batches of any size: it ends as the table does.

    How many expectations there were at the end. For tables in which nobody approves, pays, holds or declines.
    """
    stage, steps, random = MemoryStage(), list(read(table)), Random(seed)
    for step in steps:
        if step.act is not None:
            step.act(stage)
    facts = [step.fact for step in steps if step.fact is not None] * 2
    random.shuffle(facts)
    while facts:
        count = random.choice([1, 2, len(facts)])
        stage.play(facts[:count])
        del facts[:count]
    _compare(stage, steps[-1].expected, f"shuffled by {seed}")
    assert stage.judge_everything() == []
    return len(steps[-1].expected)


def read(table: str) -> Iterator[Step]:
    """The steps of a table, each with what is expected after it. Raises ValueError for a line nobody can read."""
    reader, step = _Reader(), None
    for line in table.splitlines():
        text = re.sub(r"\s+", " ", line.partition("#")[0]).strip()
        if text.startswith("expect "):
            assert step is not None, "nothing has happened yet"
            step.expected.append(text.removeprefix("expect "))
        elif text:
            if step is not None:
                yield step
            step = reader.step(text)
    if step is not None:
        yield step


def acts(table: str) -> bool:
    """Whether people or the calendar move commissions in it."""
    return any(text in table for text in ("   people", "   calendar"))


def _take(stage: MemoryStage, step: Step) -> None:
    if step.act is not None:
        step.act(stage)
    if step.fact is not None:
        stage.play([step.fact])


# What is owed.


def _compare(stage: MemoryStage, expected: list[str], after: str) -> None:
    money = sorted(line for line in expected if " to " in line)
    if money or "nothing" in expected:
        assert _owed(stage) == money, f"after: {after}"
    for line in expected:
        if line not in money and line != "nothing":
            place, _, status = line.rpartition(" ")
            subscription, _, name = place.partition("/")
            history = stage.ledger.histories.get(("stripe", subscription), {}).get(_id(name), ())
            assert (history[-1].status if history else "unknown") == status, f"{place} after: {after}"


def _owed(stage: MemoryStage) -> list[str]:
    return sorted(_shown(stage, key) for key, c in stage.ledger.commissions.items() if c.amount_minor)


def _shown(stage: MemoryStage, key: str) -> str:
    commission = stage.ledger.commissions[key]
    c, said = commission.claimant, commission.particulars
    text = f"{format_money(commission.amount_minor, c.currency)} to {c.partner_key} by {c.trigger_key}"
    if c.line_key is not None:
        product = stage.ledger.transactions[c.occasion_key].line(c.line_key).product_key
        text += f" for {_name(product)}"
    if c.transaction_key is not None:
        text += f" in {c.transaction_key.removeprefix('stripe:')}"
    if c.instalment and said is not None and said.due_at is not None:
        text += f" on {said.due_at:%Y-%m-%d}"
    return f"{text}, {commission.state}" + (", adjusting" if commission.part else "")


def _name(product: str | None) -> str:
    return "nothing" if product is None else product.removeprefix("prod_").replace("_", " ").title()


def _id(name: str) -> str:
    return "prod_" + name.lower().replace(" ", "_")


# Reading.


class _Reader:
    """Reads the lines of one table."""

    def __init__(self) -> None:
        self.seconds: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.seen: set[str] = set()
        self.count = 0

    def step(self, text: str) -> Step:
        """One line, `on <day> <who> <what>`."""
        _, day, who, what = text.split(" ", 3)
        kind = {"sub": "subscription", "in_": "invoice"}.get(what[:3], "taken") if who == "stripe" else who
        found = WORDS[kind].fullmatch(what)
        if found is None:
            raise ValueError(f"cannot read: {text}")
        self.count += 1
        made = getattr(self, f"_{kind}")(self._moment(day), **found.groupdict())
        return Step(text, fact=made) if who in ("stripe", "customer") else Step(text, act=made)

    def _moment(self, day: str) -> datetime:
        count = self.seconds[day] = self.seconds.get(day, -1) + 1
        return _noon(day) + timedelta(seconds=count)

    def _source(self, at: datetime, rank: int = 1) -> Source:
        return Source(0, at, rank, f"evt_{self.count:04d}")

    # What people set.

    def _product(self, at: datetime, name: str, since: str | None, alias: str | None) -> Act:
        known = name in self.seen
        self.seen.add(name)
        moment = _noon(since) if since else (at if known else None)
        return lambda stage: stage.say(Named(_id(name), name, moment, (alias,) if alias else ()))

    def _partner(self, at: datetime, key: str, group: str | None, tags: str | None, since: str | None) -> Act:
        known = key in self.seen
        self.seen.add(key)
        moment = _noon(since) if since else (at if known else None)
        return lambda stage: stage.say(PartnerTerms(key, moment, group, tuple((tags or "").split())))

    def _trigger(self, at: datetime, key: str, worth: str, of: str, more: str) -> Act:
        version = self.versions[key] = self.versions.get(key, 0) + 1
        document = trigger_document(key, worth, of, [option for option in more.split(", ") if option])
        since = document.pop("since", None)
        moment = _noon(since) if since else at
        document["effective_from"] = epoch_ms(moment)
        return lambda stage: stage.say(TableTrigger(key, version, moment, document))

    def _people(self, at: datetime, verb: str, what: str | None, reason: str | None) -> Act:
        to = {"approve": "approved", "pay": "paid", "hold": "hold", "decline": "declined", "resume": "pending"}[verb]

        def act(stage: MemoryStage) -> None:
            for key, commission in list(stage.ledger.commissions.items()):
                named = "adjustments" if commission.part else commission.claimant.trigger_key
                if commission.amount_minor and what in (None, named):
                    stage.ledger.set_state(key, move(commission, CommissionState(to), reason))
            stage.judge_everything()

        return act

    def _calendar(self, at: datetime, days: str | None) -> Act:
        def act(stage: MemoryStage) -> None:
            for key, commission in list(stage.ledger.commissions.items()):
                stage.ledger.set_state(key, released(commission, at, int(days) if days else None))

        return act

    # What providers tell.

    def _customer(
        self, at: datetime, key: str, company: str | None, partner: str | None, country: str | None, email: str | None
    ) -> BillingEvent:
        rank = 1 if key in self.seen else 0
        self.seen.add(key)
        return CustomerSeen(
            "stripe", key, self._source(at, rank), company, partner, country=country, email=email, created_at=at
        )

    def _subscription(
        self, at: datetime, key: str, customer: str, partner: str | None, status: str, over: str | None, items: str
    ) -> BillingEvent:
        rank = _RANKS.get(status, 1 if key in self.seen else 0)
        self.seen.add(key)
        ended = status == "cancelled"
        parts = [_matched(WORDS["item"].fullmatch(part), part) for part in items.split(", ")]
        return SubscriptionSeen(
            "stripe",
            key,
            customer,
            self._source(at, rank),
            _noon(over) if over else at,
            _STATUSES[status],
            status,
            ended=ended,
            absorbing=ended,
            currency=parts[0]["currency"].lower(),
            items=tuple(
                SubscriptionItem(
                    _id(p["product"]), (f"price{_id(p['product'])}",), 1, _minor(p["amount"], p["currency"])
                )
                for p in parts
            ),
            partner_key=partner,
        )

    def _invoice(self, at: datetime, key: str, customer: str, lines: str, tax: str | None) -> BillingEvent:
        parts = [_matched(WORDS["line"].fullmatch(part), part) for part in lines.split(" + ")]
        currency = parts[0]["currency"]
        made = tuple(self._line(f"il_{key}_{number}", part) for number, part in enumerate(parts))
        total = sum(line.amount_minor - line.discount_minor for line in made) + _minor(tax or "0", currency)
        return InvoicePaid(
            "stripe", key, customer, self._source(at), at, currency.lower(), made, lines_missing=False,
            total_minor=total, payment_keys=(f"pi_{key}",),
        )  # fmt: skip

    def _line(self, key: str, part: dict[str, Any]) -> InvoiceLine:
        product = None if part["product"] == "nothing" else _id(part["product"])
        price = part["price"] or f"price{product}"
        amount = _minor(part["amount"], part["currency"])
        discount = _minor(part["discount"] or "0", part["currency"])
        return InvoiceLine(
            key,
            part["sub"],
            product,
            (price,) if product else (),
            amount,
            discount,
            1,
            recurring=part["sub"] is not None,
        )

    def _taken(
        self,
        at: datetime,
        key: str,
        invoice: str,
        verb: str,
        amount: str,
        currency: str,
        of: str | None,
        out: str | None,
    ) -> BillingEvent:
        if verb == "settled":
            return InvoicePayment("stripe", invoice, self._source(at), (key,))
        kind = _TAKEN[key[:2]]
        minor = 0 if verb == "opened" else _minor(amount, currency)
        taken = Reversal("stripe", kind, key, self._source(at), currency.lower(), minor)
        if verb in ("failed", "voided", "reinstated"):
            taken = replace(taken, undone_minor=minor)
        if of is not None:
            lines = [_matched(WORDS["line"].fullmatch(part), part) for part in of.split(" + ")]
            taken = replace(
                taken,
                lines=tuple(
                    ReversalLine(_minor(p["amount"], p["currency"]), None, p["sub"], _id(p["product"])) for p in lines
                ),
                refunded_minor=minor if out else 0,
            )
        if kind is ReversalKind.CREDIT_NOTE:
            return replace(taken, invoice_key=invoice)
        return replace(taken, payment_keys=(f"pi_{invoice}",))


def _matched(found: re.Match[str] | None, text: str) -> dict[str, Any]:
    if found is None:
        raise ValueError(f"cannot read: {text}")
    return found.groupdict()


def _noon(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)


def _minor(amount: str, currency: str) -> int:
    units, _, cents = amount.partition(".")
    places = exponent(currency)
    return int(units + cents.ljust(places, "0")[:places]) if places else int(units)
