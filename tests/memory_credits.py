"""Which credits must be judged again in the ledger in memory: those of whoever paid, or on what was paid for."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from domain.known import Touched
from domain.transactions import Line, Transaction

#: (provider, customer or subscription): from when on credits may be others now, and why.
_Moments = dict[tuple[str, str], list[tuple[datetime, str]]]


def with_credits(
    transactions: Mapping[str, Transaction], directly: Mapping[str, set[str]], touched: Touched
) -> dict[str, set[str]]:
    """The causes by transaction of what is touched directly, and of the credits that this or a charge reaches."""
    payers: _Moments = {place: [moment] for place, moment in touched.credits.items()}
    charged: _Moments = {place: [moment] for place, moment in touched.credited.items()}
    for key, named in directly.items():
        paid, cause = transactions[key], min(named)
        payers.setdefault(_payer(paid), []).append((paid.occurred_at, cause))
        for place in _subscriptions(paid, paid.lines):
            charged.setdefault(place, []).append((paid.occurred_at, cause))
    causes = {key: set(named) for key, named in directly.items()}
    for paid in transactions.values():
        for asking in _asking(paid, payers, charged):
            if paid.occurred_at >= min(moment for moment, _ in asking):
                causes.setdefault(paid.key, set()).add(min(cause for _, cause in asking))
    return causes


def _payer(paid: Transaction) -> tuple[str, str]:
    return paid.provider, paid.provider_customer_key or ""


def _subscriptions(paid: Transaction, lines: Iterable[Line]) -> set[tuple[str, str]]:
    return {(paid.provider, line.subscription_key) for line in lines if line.subscription_key is not None}


def _asking(paid: Transaction, payers: _Moments, charged: _Moments) -> Iterator[list[tuple[datetime, str]]]:
    """What asks for a payment with credits: its customer, and the subscriptions that they are on."""
    credited = [line for line in paid.lines if line.net_minor < 0]
    if credited and _payer(paid) in payers:
        yield payers[_payer(paid)]
    yield from (charged[place] for place in _subscriptions(paid, credited) if place in charged)
