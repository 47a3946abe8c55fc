"""Transactions: one paid invoice, its lines netted per (subscription, product). Integers in minor units throughout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain import ids
from domain.facts import InvoiceLine, InvoicePaid, Source
from domain.money import share_of


class Basis(StrEnum):
    """What a percent is taken of."""

    #: After discounts: what the customer paid, without tax.
    NET = "net"
    #: Before discounts, without tax.
    GROSS = "gross"


@dataclass(frozen=True, slots=True)
class Line:
    """One product's share of a payment, or one provider line that names no product."""

    key: str
    subscription_key: str | None
    product_key: str | None
    price_keys: tuple[str, ...]
    #: Before discounts, without tax; negative for credits.
    gross_minor: int
    discount_minor: int
    quantity: int | None
    #: False for one-off charges: they do not prove that a subscription item exists.
    recurring: bool
    #: What refunds, credit notes and disputes took back of `net_minor`: from 0 to all of it.
    reversed_minor: int = 0
    #: The provider's ids of the invoice lines netted here: credit notes name them.
    parts: tuple[str, ...] = ()
    #: Who bills the product that a posted line was led to; None: the transaction's own provider. See `references`.
    product_provider: str | None = None

    @property
    def net_minor(self) -> int:
        """What was paid for it, without tax."""
        return self.gross_minor - self.discount_minor

    def amount_minor(self, basis: Basis) -> int:
        """The amount as paid, which rules read."""
        net_minor = self.net_minor
        return net_minor if basis is Basis.NET else _listed(net_minor, self.gross_minor)

    def left_minor(self, basis: Basis) -> int:
        """The amount as it stands after reversals, which commissions are taken of."""
        if not self.reversed_minor:
            return self.amount_minor(basis)
        return self.worth_minor(self.net_minor - self.reversed_minor, basis)

    def worth_minor(self, money_minor: int, basis: Basis) -> int:
        """What a part of the money paid for a charge stands for: what goes back is money, not list price."""
        return share_of(self.amount_minor(basis), money_minor, self.net_minor)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One payment. `source` is the newest event that described it: that one's lines count."""

    key: str
    provider: str
    #: None: nobody is named on the payment.
    provider_customer_key: str | None
    currency: str
    occurred_at: datetime
    source: Source
    lines: tuple[Line, ...]
    metadata: Mapping[str, str] | None = None
    #: Every tax that was paid on top of the lines: refunds give it back, too.
    tax_minor: int = 0

    @property
    def net_minor(self) -> int:
        """The whole payment without tax, after discounts."""
        return sum(line.net_minor for line in self.lines)

    @property
    def reversed_minor(self) -> int:
        """What was taken back of it, without tax."""
        return sum(line.reversed_minor for line in self.lines)

    def amount_minor(self, basis: Basis) -> int:
        """The whole payment as paid, which rules read."""
        net_minor = self.net_minor
        return (
            net_minor
            if basis is Basis.NET
            else _listed(net_minor, sum(line.amount_minor(basis) for line in self.lines))
        )

    def left_minor(self, basis: Basis) -> int:
        """The whole payment as it stands after reversals, which commissions are taken of.

        Its charges as they stand, and of them the part that is left of what credits on the same invoice left to pay:
        nothing once all of the money went back, whatever discounts the basis keeps in.
        """
        if not self.reversed_minor:
            return self.amount_minor(basis)
        charges = [line for line in self.lines if line.net_minor > 0]
        net_minor, net_left_minor = self.net_minor, self.net_minor - self.reversed_minor
        charged_minor = sum(line.net_minor for line in charges)
        charged_left_minor = charged_minor - self.reversed_minor
        if net_minor <= 0 or charged_left_minor == 0:
            return net_left_minor
        listed_minor = sum(line.amount_minor(basis) for line in charges)
        listed_left_minor = sum(line.left_minor(basis) for line in charges)
        part = net_left_minor * listed_left_minor * charged_minor
        return share_of(self.amount_minor(basis), part, net_minor * listed_minor * charged_left_minor)

    def worth_minor(self, money_minor: int, basis: Basis) -> int:
        """What some of the money of a positive payment stands for."""
        return share_of(self.amount_minor(basis), money_minor, self.net_minor)

    def place_of(self, line: Line) -> tuple[str, str | None, str | None]:
        """(provider, subscription, product) of what a line paid for, as far as it is known."""
        return line.product_provider or self.provider, line.subscription_key, line.product_key

    def line(self, key: str) -> Line:
        """The line with this key; KeyError if there is none."""
        for line in self.lines:
            if line.key == key:
                return line
        raise KeyError(key)


def _listed(net_minor: int, gross_minor: int) -> int:
    """Discounts stay in what was paid, or credited, before them; they make no payment of nothing into one."""
    same_sign = (gross_minor > 0) == (net_minor > 0) and (gross_minor < 0) == (net_minor < 0)
    return gross_minor if same_sign else net_minor


def transaction_of(event: InvoicePaid) -> Transaction:
    """The transaction that a paid invoice is, its lines netted. A zero invoice is a transaction too."""
    grouped: dict[str, list[InvoiceLine]] = {}
    for line in event.lines:
        grouped.setdefault(ids.line_key(line.subscription_key, line.product_key, line.line_key), []).append(line)
    lines = tuple(_netted(key, grouped[key]) for key in sorted(grouped))
    untaxed_minor = sum(line.net_minor for line in lines)
    return Transaction(
        key=ids.transaction_key(event.provider, event.invoice_key),
        provider=event.provider,
        provider_customer_key=event.provider_customer_key,
        currency=event.currency,
        occurred_at=event.paid_at,
        source=event.source,
        lines=lines,
        metadata=event.metadata,
        tax_minor=0 if event.total_minor is None else max(0, event.total_minor - untaxed_minor),
    )


def _netted(key: str, parts: Sequence[InvoiceLine]) -> Line:
    charges = [part for part in parts if part.amount_minor > 0] or list(parts)
    return Line(
        key=key,
        subscription_key=parts[0].subscription_key,
        product_key=parts[0].product_key,
        price_keys=tuple(dict.fromkeys(price for part in charges for price in sorted(part.price_keys))),
        gross_minor=sum(part.amount_minor for part in parts),
        discount_minor=sum(part.discount_minor for part in parts),
        quantity=max((part.quantity for part in charges if part.quantity is not None), default=None),
        recurring=any(part.recurring for part in parts),
        parts=tuple(sorted({part.line_key for part in parts})),
    )
