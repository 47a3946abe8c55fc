"""Histories drawn from a seed: customers and their subscriptions, as Stripe would tell of them.

Awkward on purpose: several changes within one second, events reported twice, customers who are linked or attributed
late, credits, swaps, ends that count from earlier, payments of nothing, currencies without cents.
"""

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import Event, ItemExample, LineExample
from tests.simulation import program
from tests.simulation.taking_back import take_back
from tests.simulation.world import Described, Linked, PaidLine, Payment, Said, Shown, World

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
END = START + timedelta(days=120)
_PRICES = {
    "prod_chat": ("price_chat", program.ALIAS[0]),
    "prod_inbox": ("price_inbox", "price_inbox_yearly"),
    "prod_base": ("price_base",),
    program.UNDESCRIBED: ("price_surveys",),
}
#: Product, price, amount, discount.
Billed = tuple[str | None, str | None, int, int]
_STATUSES = ("active", "active", "active", "past_due", "unpaid", "paused", "trialing", "incomplete")


def draw(seed: int, customers_max: int = 4, basis: str | None = None) -> World:
    """The history of a seed, the same one every time; the basis is drawn apart from it, unless one is asked for."""
    random = Random(seed)
    world = World(seed, tame=random.random() < 0.6)
    world.basis = basis or Random(f"basis {seed}").choice(["net", "net", "gross"])
    program.set_up(world, random)
    program.disturb(world, random, START, END)
    company = _Company(world, random)
    for number in range(random.randint(1, customers_max)):
        company.customer(f"cus_{number}")
    return world


def draw_customers(seed: int, events_min: int) -> tuple[World, list[World]]:
    """One program, and customers until they have that many events: each one's history is a world, by a seed of its own,
    with that program.
    """
    random = Random(seed)
    alone = World(seed, tame=random.random() < 0.6)
    program.set_up(alone, random)
    program.disturb(alone, random, START, END)
    company = _Company(alone, random)
    worlds: list[World] = []
    while sum(len(world.events) for world in worlds) < events_min:
        company.world = World(
            (seed + 1) * 1_000_000 + len(worlds),
            alone.tame,
            offers=alone.offers,
            partners=alone.partners,
            names=alone.names,
            changes=alone.changes,
        )
        company.customer(f"cus_{len(worlds)}")
        worlds.append(company.world)
    return alone, worlds


@dataclass
class _Subscription:
    key: str
    customer: str
    currency: str
    items: dict[str, ItemExample]
    status: str
    started_at: datetime
    partner: str | None = None
    charged: list[str] = field(default_factory=list)


class _Company:
    """Writes a world, event by event."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.random = random
        self.count = 0

    def number(self) -> int:
        self.count += 1
        return self.count

    def tell(self, event: Event) -> None:
        """Add an event; sometimes the provider makes two of one fact."""
        self.world.events.append(event)
        if self.random.random() < 0.1:
            twin = copy.deepcopy(event)
            twin["id"] = f"evt_{self.random.randrange(10**6):06d}_{self.number()}"
            self.world.events.append(twin)
            self._note_partner(twin)

    def _note_partner(self, twin: Event) -> None:
        """What a twin says counts as said by it as well."""
        content, at = twin["data"]["object"], datetime.fromtimestamp(twin["created"], UTC)
        partner = (content.get("metadata") or {}).get("partner_key")
        if content["object"] == "customer":
            rank = 0 if twin["type"].endswith("created") else 1
            country = content["address"]["country"]
            self.world.described.append(Described(at, rank, twin["id"], content["id"], country))
            if partner:
                self.world.said.append(Said(at, twin["id"], content["id"], partner))
            if company_key := content["metadata"].get("customer_key"):
                self.world.linked.append(Linked(at, rank, twin["id"], content["id"], company_key))
        if content["object"] == "subscription" and partner:
            self.world.said.append(Said(at, twin["id"], content["customer"], partner, content["id"]))

    def event_key(self) -> str:
        return f"evt_{self.random.randrange(10**6):06d}_{self.number()}"

    def some_time(self, after: datetime, days_max: int = 25) -> datetime:
        """Later, often within the same second or the next, but in a tame history."""
        soon = [3, 60] if self.world.tame else [0, 0, 1]
        step = self.random.choice([*soon, self.random.randint(2, 86_400 * days_max)])
        return after + timedelta(seconds=step)

    # Customers.

    def customer(self, key: str) -> None:
        """One customer of the company, sometimes under two names, and what they buy."""
        names = [key, f"{key}_eu"] if self.random.random() < 0.25 else [key]
        at = START + timedelta(seconds=self.random.randint(0, 86_400 * 20))
        company_key = f"acme_{key}"
        for name in names:
            kind = "created"
            for _ in range(self.random.randint(1, 3)):
                linked = company_key if len(names) > 1 or self.random.random() < 0.4 else None
                partner = self.random.choice([*program.PARTNERS, None, None])
                self._customer_event(name, kind, at, linked, partner)
                kind, at = "updated", self.some_time(at, 40)
            for _ in range(self.random.randint(1, 2)):
                self.subscription(name)
        if self.random.random() < 0.3:
            self._one_off(key)

    def _customer_event(self, name: str, kind: str, at: datetime, linked: str | None, partner: str | None) -> None:
        event_key = self.event_key()
        metadata = {k: v for k, v in (("customer_key", linked), ("partner_key", partner)) if v}
        if partner:
            self.world.said.append(Said(at, event_key, name, partner))
        if linked:
            self.world.linked.append(Linked(at, 0 if kind == "created" else 1, event_key, name, linked))
        rank, country = 0 if kind == "created" else 1, self.random.choice(["DE", "US"])
        self.world.described.append(Described(at, rank, event_key, name, country))
        self.tell(stripe.customer(name, change=kind, at=at, event_key=event_key, metadata=metadata, country=country))

    def _one_off(self, customer: str) -> None:
        """An invoice without a subscription: one product, one line that names none."""
        at = START + timedelta(days=self.random.randint(1, 100))
        lines = [("prod_base", self._amount()), (None, self._amount())]
        self._invoice(customer, None, "usd", at, [(product, None, amount, 0) for product, amount in lines])

    # Subscriptions.

    def subscription(self, customer: str) -> None:
        """One subscription from its first event to wherever the dice leave it."""
        at = START + timedelta(seconds=self.random.randint(0, 86_400 * 40))
        chosen = self.random.sample(sorted(_PRICES), self.random.randint(1, 3))
        sub = _Subscription(
            f"sub_{self.number()}",
            customer,
            self.random.choice(["usd", "usd", "usd", "eur", "jpy", "kwd"]),
            {product: self._item(product) for product in chosen},
            self.random.choice(["incomplete", "trialing", "active", "active"]),
            at,
            self.random.choice([*program.PARTNERS, *[None] * 9]),
        )
        self._subscription_event(sub, "created", at, None)
        for _ in range(self.random.randint(2, 8)):
            at = self.some_time(at)
            if not self._step(sub, at):
                break

    def _step(self, sub: _Subscription, at: datetime) -> bool:
        """One thing that happens to a subscription; False: it was the last."""
        match self.random.choice(["pay", "pay", "pay", "mixed", "credit", "status", "swap", "add", "remove", "end"]):
            case "pay":
                self._bill(sub, at, [(product, None, self._amount(), 0) for product in sub.items])
            case "mixed":
                self._bill(sub, at, self._prorations(sub))
            case "credit":
                back: list[Billed] = [(p, None, -self._amount(), 0) for p in sorted(set(sub.charged))[:2]]
                self._bill(sub, at, back or [(None, None, -100, 0)])
            case "status":
                was, sub.status = sub.status, self.random.choice(_STATUSES)
                self._subscription_event(sub, "updated", at, {"status": was})
            case "swap" | "add" | "remove" as how:
                self._change_items(sub, how, at)
            case "end":
                self._end(sub, at)
                if self.random.random() < 0.5:  # a last invoice, after it was over
                    self._bill(sub, self.some_time(at), [(product, None, self._amount(), 0) for product in sub.items])
                return False
        return True

    def _change_items(self, sub: _Subscription, how: str, at: datetime) -> None:
        was = stripe.subscription_items(sub.key, list(sub.items.values()), 0, sub.currency)
        left = sorted(set(_PRICES) - set(sub.items))
        if how in ("swap", "remove") and len(sub.items) > (how == "remove"):
            del sub.items[self.random.choice(sorted(sub.items))]
        if how in ("swap", "add") and left:
            product = self.random.choice(left)
            sub.items[product] = self._item(product)
        self._subscription_event(sub, "updated", at, {"items": was})

    def _end(self, sub: _Subscription, at: datetime) -> None:
        """Sometimes reported late: it counts from when it was over."""
        was, sub.status = sub.status, "canceled"
        ended_at = at - timedelta(days=0 if self.world.tame else self.random.choice([0, 0, 3]))
        self._subscription_event(sub, "deleted", at, {"status": was}, ended_at=max(ended_at, sub.started_at))

    def _subscription_event(
        self, sub: _Subscription, kind: str, at: datetime, previous: dict[str, Any] | None, **details: Any
    ) -> None:
        event_key = self.event_key()
        if sub.partner:
            self.world.said.append(Said(at, event_key, sub.customer, sub.partner, sub.key))
        event = stripe.subscription(
            sub.key,
            customer=sub.customer,
            items=list(sub.items.values()),
            status=sub.status,
            change=kind,
            at=at,
            started_at=sub.started_at,
            event_key=event_key,
            currency=sub.currency,
            metadata={"partner_key": sub.partner} if sub.partner else {},
            previous=previous if self.random.random() < 0.9 else None,
            **details,
        )
        listed = event["data"]["object"]["items"]
        shown = tuple((item.product, item.price) for item in sub.items.values())
        self.world.shown.append(Shown(at, sub.key, sub.customer, sub.status, shown))
        if len(listed["data"]) > 1 and self.random.random() < 0.05 and not self.world.tame:
            listed["data"], listed["has_more"] = listed["data"][:1], True
        self.tell(event)

    # Invoices.

    def _bill(self, sub: _Subscription, at: datetime, billed: list[Billed]) -> None:
        sub.charged += [product for product, _, amount, _ in billed if product and amount > 0]
        discounted = [
            (p, sub.items[p].price if p in sub.items else q, a, a // 4 if self.random.random() < 0.2 and a > 0 else d)
            for p, q, a, d in billed
            if p is not None or q is None
        ]
        self._invoice(sub.customer, sub.key, sub.currency, at, discounted)

    def _prorations(self, sub: _Subscription) -> list[Billed]:
        """Charges, credits and a line without a product on one invoice, netted to anything at all."""
        lines: list[Billed] = [(None, None, self._amount(), 0)]
        for product in sorted({*sub.items, *sub.charged}):
            lines.append((product, None, self.random.choice([-1, 1]) * self._amount(), 0))
            if self.random.random() < 0.3:
                lines.append((product, None, -self._amount(), 0))
        return lines

    def _invoice(
        self,
        customer: str,
        subscription: str | None,
        currency: str,
        at: datetime,
        billed: list[Billed],
    ) -> None:
        key = f"in_{self.number()}"
        told = [
            PaidLine(f"il_{key}_{n}", subscription, product, self._price(product, price), amount, discount)
            for n, (product, price, amount, discount) in enumerate(billed)
        ]
        total = sum(line.amount - line.discount for line in told)
        tax = self.random.choice([0, 0, total // 5]) if total > 0 else 0
        self.world.payments.append(Payment(key, customer, at, currency, tuple(told), tax))
        take_back(self.world, self.random, self.world.payments[-1])
        lines = [
            LineExample(
                line.product,
                line.price,
                line.amount,
                key=line.key,
                discount=line.discount,
                proration=line.amount < 0,
                of_subscription=subscription is not None and line.product is not None,
            )
            for line in told
        ]
        for change in ("paid", "payment_succeeded")[: self.random.choice([1, 2])]:
            event_at = at + timedelta(seconds=self.random.choice([0, 1, 2]))
            details: dict[str, Any] = {"change": change, "paid_at": at, "at": event_at, "event_key": self.event_key()}
            event = stripe.invoice_paid(
                key, customer=customer, lines=lines, subscription=subscription, currency=currency, **details
            )
            event["data"]["object"]["total"] += tax
            self.tell(event)

    def _price(self, product: str | None, price: str | None) -> str | None:
        return None if product is None else price or self.random.choice(_PRICES[product])

    def _item(self, product: str) -> ItemExample:
        price = self.random.choice(_PRICES[product])
        return stripe.item(product, price=price, amount=self._amount(), quantity=self.random.choice([1, 1, 3]))

    def _amount(self) -> int:
        return self.random.choice([4900, 7900, 3900, 9900, 1, 15, 333, self.random.randint(1, 20_000), 0])
