"""Payments of a drawn history told once more, otherwise: of another moment, another's, with other lines or amounts.

Nothing of this is what a provider usually does; whatever it does, the newest word counts, and order does not matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from domain.facts import BillingEvent, InvoicePaid, Source

Told = tuple[BillingEvent, ...]


def retold(events: Iterable[Told], random: Random) -> list[Told]:
    """What is told of some payments later on; a subscription moves to another customer with all its payments."""
    paid = {fact.invoice_key: fact for facts in events for fact in facts if isinstance(fact, InvoicePaid)}
    if random.random() < 0.4:
        again = _moved(random.choice(sorted(paid)), list(paid.values()), random)
    else:
        chosen = random.sample(sorted(paid), min(len(paid), random.randint(1, 4)))
        again = [_otherwise(paid[key], random) for key in chosen]
    return [(each,) for each in again]


def passed_on(events: Iterable[Told], random: Random) -> list[Told]:
    """Single payments become another customer's, and leave the rest of their subscription with whose it was."""
    paid = {fact.invoice_key: fact for facts in events for fact in facts if isinstance(fact, InvoicePaid)}
    payers = sorted({each.provider_customer_key or "" for each in paid.values()})
    chosen = random.sample(sorted(paid), min(len(paid), random.randint(1, 3)))
    return [(replace(_later(paid[key], random), provider_customer_key=random.choice(payers)),) for key in chosen]


def _otherwise(paid: InvoicePaid, random: Random) -> InvoicePaid:
    told = _later(paid, random)
    match random.choice(["moment", "moment", "lines", "amounts"]):
        case "moment":
            away = timedelta(days=random.randint(-20, 20), seconds=random.randint(0, 2))
            return replace(told, paid_at=paid.paid_at + away)
        case "lines":
            return replace(told, lines=paid.lines[1:])
        case _:
            lines = (
                replace(line, amount_minor=line.amount_minor + random.choice([-5_000, 1, 5_000])) for line in paid.lines
            )
            return replace(told, lines=tuple(lines))


def _moved(key: str, paid: Sequence[InvoicePaid], random: Random) -> list[InvoicePaid]:
    """Two customers become one: all that was billed together with this invoice is another's."""
    of = {each.invoice_key: {line.subscription_key for line in each.lines} - {None} for each in paid}
    owner = random.choice(sorted({each.provider_customer_key or "" for each in paid}))
    together = [each for each in paid if each.invoice_key == key or of[each.invoice_key] & of[key]]
    return [replace(_later(each, random), provider_customer_key=owner) for each in together]


def _later(paid: InvoicePaid, random: Random) -> InvoicePaid:
    at = paid.source.occurred_at + timedelta(seconds=random.randint(86_400, 86_400 * 40))
    return replace(paid, source=Source(0, at, 1, f"evt_again_{random.randrange(10**9):09d}"))
