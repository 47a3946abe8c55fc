"""What a company states beside what Stripe tells, drawn from a seed: customers, links, products, payments, refunds.

It refers to what the history holds as well as to nothing at all, early and late, and says some things twice.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from domain import ids
from domain.facts import (
    COMPANY,
    PERSONS_WORD,
    BillingEvent,
    CustomerLinked,
    CustomerSeen,
    InvoiceLine,
    InvoicePaid,
    ProductClaimed,
    ProductStatus,
    Reversal,
    ReversalKind,
    ReversalLine,
    Source,
    SubscriptionItem,
    SubscriptionSeen,
)
from tests.simulation import program
from tests.simulation.histories import END, START
from tests.simulation.world import World

PRODUCTS = ("prod_chat", "prod_inbox", "pbook_own")
Statement = tuple[BillingEvent, ...]


def statements(world: World, seed: int) -> list[Statement]:
    """The facts of each statement, in the order in which they were made."""
    company = _Company(world, Random(f"stated {seed}"))
    for _ in range(company.random.randint(6, 16)):
        company.say_something()
    company.give_back(Random(f"given back {seed}"))
    return sorted(company.said, key=lambda facts: facts[0].source.occurred_at)


class _Company:
    def __init__(self, world: World, random: Random) -> None:
        self.random = random
        self.said: list[Statement] = []
        content = [event["data"]["object"] for event in world.events]
        #: Who bought what at Stripe: (customer, subscription, products).
        self.bought = [
            (each["customer"], each["id"], sorted({item["price"]["product"] for item in each["items"]["data"]}))
            for each in content
            if each["object"] == "subscription"
        ]
        self.stripe_customers = sorted({each["id"] for each in content if each["object"] == "customer"}) or ["cus_0"]
        self.company_keys = [*(f"acme_{key}" for key in self.stripe_customers), "alone"]

    def say_something(self) -> None:
        """One statement of any kind."""
        source = self._source()
        match self.random.choice(["customer", "link", "product", "product", "claim", "payment", "payment", "payment"]):
            case "customer":
                self.said.append((self._customer(source),))
            case "link":
                self.said.append((self._customer(source), self._link(source)))
            case "product":
                self.said.append(self._product(source))
            case "claim" if self.bought:
                self.said.append((self._claim(source),))
            case _:
                self.said.append((self._payment(source),))

    def _source(self) -> Source:
        at = START + timedelta(seconds=self.random.randint(0, int((END - START).total_seconds())))
        return Source(0, at, 1, f"said_{self.random.randrange(10**6):06d}_{len(self.said)}")

    def _some_time(self) -> datetime:
        return (START + (END - START) * self.random.random()).astimezone(UTC).replace(microsecond=0)

    def _partner(self) -> str | None:
        return self.random.choice([*program.PARTNERS, None])

    def _customer(self, source: Source) -> CustomerSeen:
        key = self.random.choice(self.company_keys)
        return CustomerSeen(
            COMPANY, key, source, customer_key=key, partner_key=self._partner(),
            country=self.random.choice(["DE", "US", None]),
            email=self._email(),
            attributed_at=self.random.choice([None, self._some_time()]),
        )  # fmt: skip

    def _email(self) -> str | None:
        """An address that Stripe has somebody by, or none."""
        return self.random.choice(
            [None, *(f" {key.removeprefix('cus_')}@Example.com" for key in self.stripe_customers)]
        )

    def _link(self, source: Source) -> CustomerLinked:
        word = Source(PERSONS_WORD, source.occurred_at, 1, source.event_key)
        return CustomerLinked(
            "stripe", self.random.choice(self.stripe_customers), word, self.random.choice(self.company_keys)
        )

    def _product(self, source: Source) -> Statement:
        number = self.random.randint(0, 2)
        status = self.random.choice([ProductStatus.TRIAL, ProductStatus.ACTIVE, ProductStatus.CHURNED])
        product = PRODUCTS[(number + self.random.choice([0, 0, 0, 1])) % len(PRODUCTS)]
        item = SubscriptionItem(product, (), 1, self.random.choice([None, 5_000]))
        owner = self.company_keys[number % len(self.company_keys)]
        seen = SubscriptionSeen(
            COMPANY, f"lic_{number}", owner, source, self._some_time(), status, status.value,
            ended=status is ProductStatus.CHURNED, absorbing=False, currency="usd", items=(item,),
        )  # fmt: skip
        partner = self._partner()
        if partner is None:
            return (seen,)
        since = self.random.choice([None, seen.effective_at])
        return seen, ProductClaimed(COMPANY, f"lic_{number}", item.product_key, source, partner, None, since, owner)

    def _claim(self, source: Source) -> ProductClaimed:
        customer, subscription, products = self.random.choice(self.bought)
        product = self.random.choice(products)
        partner = self.random.choice(program.PARTNERS)
        return ProductClaimed("stripe", subscription, product, source, partner, provider_customer_key=customer)

    def _payment(self, source: Source) -> InvoicePaid:
        lines = tuple(self._line(place) for place in range(1, self.random.randint(1, 3) + 1))
        return InvoicePaid(
            COMPANY, f"order-{len(self.said)}", self.random.choice(self.company_keys), source,
            self.random.choice([source.occurred_at, self._some_time()]), self.random.choice(["usd", "usd", "eur"]),
            lines, lines_missing=False,
        )  # fmt: skip

    def give_back(self, random: Random) -> None:
        """Some of what was paid, told early or late; some of that did not come about."""
        paid = [fact for facts in self.said for fact in facts if isinstance(fact, InvoicePaid)]
        for number, payment in enumerate(paid):
            total = sum(line.amount_minor for line in payment.lines)
            if not total or random.random() < 0.5:
                continue
            at = START + (END - START) * random.random()
            amount = random.randint(1, total)
            line = random.choice([None, *payment.lines])
            of_line = () if line is None else (ReversalLine(amount, line_key=line.line_key),)
            told = Reversal(
                COMPANY, ReversalKind.CREDIT_NOTE if of_line else ReversalKind.REFUND, f"back_{number}",
                Source(0, at, 1, f"said_back_{number}"), payment.currency, amount, invoice_key=payment.invoice_key,
                lines=of_line, provider_customer_key=payment.provider_customer_key,
            )  # fmt: skip
            self.said.append((told,))
            if random.random() < 0.3:
                undone = replace(told, source=replace(told.source, event_key=f"said_undone_{number}"))
                self.said.append((replace(undone, undone_minor=amount),))

    def _line(self, place: int) -> InvoiceLine:
        reference, product = self._refers_to()
        key = reference or f"#{place}"
        amount = self.random.choice([0, 4_900, self.random.randint(1, 30_000)])
        return InvoiceLine(key, reference, product, (), amount, 0, None, recurring=False)

    def _refers_to(self) -> tuple[str | None, str | None]:
        number = self.random.randint(0, 2)
        kinds: list[tuple[str | None, str | None]] = [
            (None, None),
            (None, self.random.choice(PRODUCTS)),
            (f"lic_{number}", None),
            (f"lic_{number}/{PRODUCTS[number]}", None),
            ("lic_x", None),
        ]
        if self.bought:
            _, subscription, products = self.random.choice(self.bought)
            kinds += [(subscription, None), (ids.product_key_of(subscription, self.random.choice(products)), None)] * 2
        return self.random.choice(kinds)
