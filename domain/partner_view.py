"""What a partner sees of commissions and products: whatever could give another partner, or a trigger, away is left out.

A view is made of nothing but what the viewer may know, its order included: change anything else and not a byte of it
changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from domain.commissions import CommissionState
from domain.customers import Attribution
from domain.facts import ProductStatus


@dataclass(frozen=True, slots=True)
class EarnedCommission:
    """A commission as it is booked, whoever earned it."""

    key: str
    partner_key: str
    member_key: str | None
    trigger_key: str
    trigger_version: int
    #: Our customer's key; None where the occasion is a partner's own.
    customer: str | None
    #: What the line paid for is called; None where the whole payment or no product earned it.
    product_name: str | None
    amount_minor: int
    currency: str
    state: CommissionState
    decline_reason: str | None
    arithmetic: str
    #: The offer as it read when the commission was earned.
    offer: str | None
    earned_at: datetime
    due_at: datetime | None = None
    #: The commission that this one adjusts.
    adjusts: str | None = None


@dataclass(frozen=True, slots=True)
class CommissionView:
    """A commission as its partner sees it."""

    #: A digest of what caused it, of which payments and triggers are never shown.
    key: str
    amount_minor: int
    currency: str
    state: CommissionState
    #: Why it was declined; None in every other state.
    decline_reason: str | None
    arithmetic: str
    offer: str | None
    customer: str | None
    product_name: str | None
    member_key: str | None
    earned_at: datetime
    due_at: datetime | None
    #: The commission, also theirs, that this one adjusts.
    adjusts: str | None


@dataclass(frozen=True, slots=True)
class OwnedProduct:
    """A product of one customer, whoever sold it."""

    key: str
    product_name: str
    #: Whom it pays: its own attribution, else its customer's. None: nobody.
    partner_key: str | None
    member_key: str | None
    status: ProductStatus
    #: None: it is not known to have been in trial or active.
    purchased_at: datetime | None
    amount_minor: int | None
    currency: str | None
    quantity: int | None


@dataclass(frozen=True, slots=True)
class OwnColumns:
    """What a partner sees of the products it sold, and of no other."""

    key: str
    amount_minor: int | None
    currency: str | None
    quantity: int | None
    partner_key: str
    member_key: str | None
    purchased_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProductView:
    """A product of a partner's customer as the partner sees it."""

    product_name: str
    status: ProductStatus
    #: The day in the program's time zone: the moment would say which products were bought together.
    purchased_on: date | None
    #: None: somebody else's, or nobody's; which of them is not said.
    own: OwnColumns | None


def commissions_of(partner_key: str, commissions: Iterable[EarnedCommission]) -> list[CommissionView]:
    """A partner's own commissions, newest first; those of others are passed over."""
    own = [_commission(each) for each in commissions if each.partner_key == partner_key]
    own.sort(key=lambda view: view.key)
    return sorted(own, key=lambda view: view.earned_at, reverse=True)


def _commission(booked: EarnedCommission) -> CommissionView:
    return CommissionView(
        key=booked.key,
        amount_minor=booked.amount_minor,
        currency=booked.currency,
        state=booked.state,
        decline_reason=booked.decline_reason if booked.state is CommissionState.DECLINED else None,
        arithmetic=booked.arithmetic,
        offer=booked.offer,
        customer=booked.customer,
        product_name=booked.product_name,
        member_key=booked.member_key,
        earned_at=booked.earned_at,
        due_at=booked.due_at,
        adjusts=booked.adjusts,
    )


def is_customer_of(
    partner_key: str, attributions: Iterable[Attribution], products: Iterable[OwnedProduct], as_of: datetime
) -> bool:
    """Whether a customer is, or ever was, a partner's: by an attribution that has begun, or by a product it sold.

    `attributions` are the customer's whole history, `products` all of its products.
    """
    attributed = any(each.partner_key == partner_key and each.effective_from <= as_of for each in attributions)
    return attributed or any(each.partner_key == partner_key and _is_had(each) for each in products)


def products_of(partner_key: str, products: Iterable[OwnedProduct], zone: tzinfo) -> list[ProductView]:
    """Every product that a customer of theirs has or had, the latest bought first, those without a date last.

    Ask `is_customer_of` first: a customer who is not theirs is to look like one who is not there. Rows that read the
    same to the viewer are in no order that could be noticed.
    """
    views = [_product(partner_key, each, zone) for each in products if _is_had(each)]
    views.sort(key=lambda view: (view.product_name, view.status, "" if view.own is None else view.own.key))
    return sorted(views, key=lambda view: view.purchased_on or date.min, reverse=True)


def _is_had(product: OwnedProduct) -> bool:
    """A subscription that never started is nothing that the customer has or had."""
    return product.status is not ProductStatus.NONE


def _product(viewer: str, product: OwnedProduct, zone: tzinfo) -> ProductView:
    own = None
    if product.partner_key == viewer:
        own = OwnColumns(
            key=product.key,
            amount_minor=product.amount_minor,
            currency=product.currency,
            quantity=product.quantity,
            partner_key=viewer,
            member_key=product.member_key,
            purchased_at=product.purchased_at,
        )
    bought = product.purchased_at
    bought_on = None if bought is None else bought.astimezone(zone).date()
    return ProductView(product.product_name, product.status, bought_on, own)
