"""Statements as they stand in the inbox: whole, with the moment they were made, so that a replay says the same.

Fields may be added with a default and never change their meaning: rows outlive code.
"""

from datetime import datetime
from typing import Final

import msgspec

CUSTOMER_STATED: Final = "customer.stated"
PRODUCT_STATED: Final = "product.stated"
PRODUCT_CLAIMED: Final = "product.claimed"
TRANSACTION_STATED: Final = "transaction.stated"
TRANSACTION_REVERSED: Final = "transaction.reversed"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What every statement has."""

    stated_at: datetime


class CustomerStated(Statement, frozen=True, kw_only=True):
    """A customer as the company describes it from now on, and what was said this time of whose it is."""

    customer_key: str
    email: str | None = None
    name: str | None = None
    country: str | None = None
    metadata: dict[str, str] | None = None
    #: Said this time; None: nothing was said of it.
    partner_key: str | None = None
    member_key: str | None = None
    attributed_at: datetime | None = None
    #: A provider's customer id that is this customer's, at whichever provider has it.
    provider_key: str | None = None


class ProductStated(Statement, frozen=True, kw_only=True):
    """One product that the company bills itself, as it is from `effective_at` on."""

    subscription_key: str
    customer_key: str
    #: The book entry's external key, else its own.
    product_key: str
    status: str
    effective_at: datetime
    amount: int | None = None
    currency: str | None = None
    quantity: int | None = 1
    partner_key: str | None = None
    member_key: str | None = None
    #: From when on it is the partner's, where the moment of the purchase was given.
    attributed_at: datetime | None = None


class ProductClaimed(Statement, frozen=True, kw_only=True):
    """Which partner sold one product that a provider bills."""

    provider: str
    subscription_key: str
    product_key: str
    provider_customer_key: str | None = None
    partner_key: str
    member_key: str | None = None


class LineStated(msgspec.Struct, frozen=True, kw_only=True):
    """One line: what it refers to by `subscription_key`, or else which product it is for, or neither."""

    amount: int
    subscription_key: str | None = None
    product_key: str | None = None
    quantity: int | None = None


class TransactionStated(Statement, frozen=True, kw_only=True):
    """A payment as the company posted it."""

    key: str
    customer_key: str
    currency: str
    lines: tuple[LineStated, ...]
    occurred_at: datetime
    metadata: dict[str, str] | None = None


class TransactionReversed(Statement, frozen=True, kw_only=True):
    """What was given back of a payment that the company posted."""

    key: str
    transaction_key: str
    customer_key: str
    currency: str
    amount: int
    occurred_at: datetime
    #: The line it is about, as the payment's fact names it; None: it is about all of them.
    line_part: str | None = None
    #: It did not come about.
    undone: bool = False


Document = CustomerStated | ProductStated | ProductClaimed | TransactionStated | TransactionReversed
