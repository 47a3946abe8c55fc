"""What a campaign delivers, and what must come of it: one program, many customers of drawn histories, an oracle."""

import random as randoms
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from infra.providers.stripe.example_events import Event, body
from tests import stripe_examples
from tests.simulation.histories import draw_customers
from tests.simulation.oracle import Row, expected, understood
from tests.simulation.world import Change, Payment, TakenBack, World
from tests.stage import LONG_AGO

#: How often an event is delivered, once per entry: providers repeat themselves.
_REPEATS = (1, 1, 1, 2, 3)
#: Events arrive up to so many places away from their order.
_DISORDER = 200


@dataclass(frozen=True)
class Delivery:
    """One request a provider makes until it is answered with 200."""

    event_key: str
    content: bytes


@dataclass(frozen=True)
class Business:
    """A company's program and the histories of its customers, each a world of its own that shares the program."""

    program: World
    customers: list[World]
    deliveries: list[Delivery]

    @property
    def set_up(self) -> list[Change]:
        """The program as it stands before the first delivery."""
        return [change for change in self.program.changes if change.at <= LONG_AGO]

    @property
    def changes(self) -> list[Change]:
        """What a program manager does to it while deliveries arrive."""
        return [change for change in self.program.changes if change.at > LONG_AGO]

    def understood(self) -> set[str]:
        """The triggers whose commissions the oracle can tell."""
        return understood(self.program)

    def expected(self) -> set[Row]:
        """Every commission of those that should amount to something."""
        return set().union(*map(expected, self.customers))


def draw_business(seed: int, deliveries_min: int) -> Business:
    """Of a seed and a size always the same one. Refunds are told by events, as everything else is."""
    random = randoms.Random(seed)
    program, customers = draw_customers(seed, round(deliveries_min / (sum(_REPEATS) / len(_REPEATS))))
    for world in customers:
        world.taken.clear()
        world.facts.clear()
        for payment in world.payments:
            if random.random() < 0.25:
                _refund(world, payment, random)
    events = [event for world in customers for event in world.events for _ in range(random.choice(_REPEATS))]
    places = {id(event): place for place, event in enumerate(events)}
    events.sort(key=lambda event: places[id(event)] + random.uniform(0, _DISORDER))
    return Business(program, customers, [Delivery(event["id"], body(event)) for event in events])


def _refund(world: World, payment: Payment, random: randoms.Random) -> None:
    """Some of a payment goes back, in one or two steps, each told with all that was refunded so far."""
    total = sum(line.amount - line.discount for line in payment.lines) + payment.tax
    if total <= 1:
        return
    steps = sorted(random.sample(range(1, total + 1), k=random.choice([1, 2]) if total > 1 else 1))
    before = 0
    for number, refunded in enumerate(steps):
        at = payment.paid_at + timedelta(seconds=random.randint(0, 86_400 * 20))
        world.events.append(_told(payment, total, before, refunded, at, f"evt_refund_{payment.invoice}_{number}"))
        before = refunded
    key = f"re_{payment.invoice}"
    world.taken.append(TakenBack("refund", key, payment.invoice, steps[-1]))


def _told(payment: Payment, total: int, before: int, refunded: int, at: datetime, key: str) -> Event:
    """By a charge of the days before basil, which names its invoice."""
    return stripe_examples.charge_refunded(
        f"ch_{payment.invoice}",
        total,
        refunded,
        before=before,
        invoice=payment.invoice,
        customer=payment.customer,
        currency=payment.currency,
        at=at.astimezone(UTC),
        key=key,
    )
