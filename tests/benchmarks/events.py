"""Made-up Stripe events in the mix and size a subscription business gets, from a seed: about 6 KB on average."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from infra.providers.stripe import example_events as stripe_events
from infra.providers.stripe.example_events import EXAMPLE_AT, body, item, line

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PRODUCTS = ("Live Chat", "Knowledge Base", "Surveys", "Inbox", "Analytics", "Phone", "Campaigns", "Academy")


def bodies(count: int, seed: int) -> Iterator[bytes]:
    """`count` bodies; equal seeds give equal bytes. Every id and amount differs from event to event."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _body(chance)


def _body(chance: random.Random) -> bytes:
    at = EXAMPLE_AT + timedelta(seconds=chance.randrange(90 * 86_400))
    customer = _key(chance, "cus_", 14)
    subscription = _key(chance, "sub_", 24)
    sold = [_product(chance) for _ in range(chance.choice((1, 1, 2, 2, 3)))]
    common: dict[str, Any] = {"customer": customer, "event_key": _key(chance, "evt_", 24)}
    if chance.random() < 0.6:
        lines = [
            line(
                product,
                amount,
                price=price,
                subscription=subscription,
                description=f"1 x {name} (at ${amount / 100} / month)",
            )
            for name, product, price, amount in sold
        ]
        event = stripe_events.invoice_paid(
            _key(chance, "in_", 24),
            lines=lines,
            subscription=subscription,
            paid_at=at,
            metadata=_metadata(chance),
            **common,
        )
    else:
        items = [item(product, price=price, amount=amount) for _, product, price, amount in sold]
        event = stripe_events.subscription(subscription, items=items, metadata=_metadata(chance), **common)
    return body(event)


def _product(chance: random.Random) -> tuple[str, str, str, int]:
    name = chance.choice(_PRODUCTS)
    return name, _key(chance, "prod_", 14), _key(chance, "price_", 24), chance.randrange(900, 99_900)


def _metadata(chance: random.Random) -> dict[str, str]:
    if chance.random() < 0.5:
        return {}
    return {"customer_key": f"customer-{chance.randrange(10**6)}", "partner_key": f"partner-{chance.randrange(500)}"}


def _key(chance: random.Random, prefix: str, length: int) -> str:
    return prefix + "".join(chance.choices(_LETTERS, k=length))
