"""Which credits must be judged again in the ledger in memory: those of whoever paid, or on what was paid for."""

from collections.abc import Collection, Iterable, Iterator, Mapping
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


def beyond(transactions: Mapping[str, Transaction], found: Mapping[str, str], told: Collection[str]) -> dict[str, str]:
    """The causes of credits on all that was charged together with what a credit among `found` is, or was, of.

    `told`: what was told anew, and may have stood elsewhere before.
    """
    since: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
    for key, cause in found.items():
        credit = transactions[key]
        for charge in _charges_of(credit, transactions.values(), told):
            for place in _subscriptions(charge, charge.lines):
                since.setdefault(place, []).append((credit.occurred_at, cause))
    causes: dict[str, str] = {}
    for paid in transactions.values():
        for place in _subscriptions(paid, [line for line in paid.lines if line.net_minor < 0]) & since.keys():
            named = [cause for moment, cause in since[place] if paid.occurred_at >= moment]
            if named:
                causes[paid.key] = min(named + [causes.get(paid.key, named[0])])
    return {key: cause for key, cause in causes.items() if key not in found}


def _charges_of(credit: Transaction, all_paid: Iterable[Transaction], told: Collection[str]) -> Iterator[Transaction]:
    """Of each credit line the latest charge before it, and the latest of those that were not told anew."""
    for line in credit.lines:
        if line.net_minor >= 0 or line.subscription_key is None or line.product_key is None:
            continue
        earlier = [
            paid
            for paid in all_paid
            if (paid.provider, paid.currency) == (credit.provider, credit.currency)
            and (paid.occurred_at, paid.key) < (credit.occurred_at, credit.key)
            and any(
                (each.subscription_key, each.product_key) == (line.subscription_key, line.product_key)
                and each.net_minor > 0
                for each in paid.lines
            )
        ]
        earlier.sort(key=lambda paid: (paid.occurred_at, paid.key))
        yield from earlier[-1:]
        yield from [paid for paid in earlier if paid.key not in told][-1:]
