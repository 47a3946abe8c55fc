"""`/partner/...`: what a partner's members see. Nothing here may tell of another partner, or of a trigger.

What is somebody else's is answered like what is not there: same statements, same status, same words.
"""

from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Key
from dashboard.lists import LIMIT_MAX, Page, fetch_page
from dashboard.visits import ThisVisit, Visit, member_routes
from domain.commissions import CommissionState
from domain.errors import Missing, Rejected
from domain.facts import ProductStatus
from domain.offers import offers_for
from domain.partner_view import CommissionView, ProductView
from domain.windows import epoch_ms
from infra.ledger.bookings import NO_LONGER_EARNED
from infra.partner_sight import COMMISSIONS, CustomerView, Sight

router = member_routes("/partner", "partner")

_OWN_PRODUCT: dict[str, Any] = {
    "product": "Inbox",
    "status": "active",
    "purchased_on": "2026-01-01",
    "key": "sub_1/prod_inbox",
    "amount": 9900,
    "currency": "usd",
    "quantity": 1,
    "partner_key": "ada",
    "member_key": None,
    "purchased_at": 1767225600000,
}

_NO_SUCH_CUSTOMER = "you have no customer of this key"


class PartnerOffer(BaseModel):
    """What the partner can earn."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key": "offer_0a1b2c3d4e5f60718293", "description": "20 % of Inbox"}]}
    )

    key: str
    description: str


class PartnerReward(BaseModel):
    """A commission of the partner's."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "cmsn_0a1b2c3d4e5f60718293",
                    "amount": 1980,
                    "currency": "usd",
                    "reward_status": "pending",
                    "decline_reason": None,
                    "arithmetic": "99.00 USD line x 20 % = 19.80 USD",
                    "offer": "20 % of Inbox",
                    "customer_key": "acme",
                    "product": "Inbox",
                    "member_key": None,
                    "earned_at": 1767225600000,
                    "due_at": None,
                    "adjusts": None,
                }
            ]
        }
    )

    key: str
    amount: int
    currency: str
    reward_status: CommissionState
    decline_reason: str | None
    arithmetic: str
    offer: str | None
    customer_key: str | None
    product: str | None = Field(description="Null: on the whole payment.")
    member_key: str | None
    earned_at: int
    due_at: int | None
    adjusts: str | None = Field(description="The commission that this one corrects.")


class PartnerCustomer(BaseModel):
    """A customer of the partner's."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "cust_0a1b2c3d4e5f60718293",
                    "customer_key": "acme",
                    "name": "Acme Inc.",
                    "since": 1767225600000,
                }
            ]
        }
    )

    key: str
    customer_key: str
    name: str | None
    since: int = Field(description="Since when the customer, or a product of theirs, has been named as yours.")


class OtherProduct(BaseModel):
    """A product that somebody else sold, or nobody."""

    product: str
    status: ProductStatus
    purchased_on: date | None


class OwnProduct(OtherProduct):
    """A product that the partner sold."""

    model_config = ConfigDict(json_schema_extra={"examples": [_OWN_PRODUCT]})

    key: str
    amount: int | None
    currency: str | None
    quantity: int | None
    partner_key: str
    member_key: str | None
    purchased_at: int | None


class Products(BaseModel):
    """All of a customer's products."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        _OWN_PRODUCT,
                        {"product": "Live Chat", "status": "churned", "purchased_on": "2025-11-20"},
                    ],
                    "has_more": False,
                }
            ]
        }
    )

    items: list[OwnProduct | OtherProduct]
    has_more: bool


class CustomersPage(BaseModel):
    """Which customers."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="Items on a page.")] = 10
    starting_after: Annotated[Key | None, Field(description="Key of a customer: the page after it.")] = None
    ending_before: Annotated[Key | None, Field(description="Key of a customer: the page before it.")] = None


class RewardsPage(Page):
    """Which commissions; they are created when they are earned."""

    reward_status: CommissionState | None = None


@router.get("/offers")
def list_offers(visit: ThisVisit) -> Answer[Items[PartnerOffer]]:
    """What you can earn now, in the order the company chose."""
    program = visit.program_reader().read(visit.connection)
    partner = program.partners[visit.member.partner_key]
    found = offers_for(partner, program.triggers.values(), visit.now, program.zone)
    items = [PartnerOffer(key=offer.key, description=offer.description) for offer in found]
    return answered(Items(items=items, has_more=False), "your offers")


@router.get("/rewards")
def list_rewards(visit: ThisVisit, filters: Annotated[RewardsPage, Query()]) -> Answer[Items[PartnerReward]]:
    """Your commissions, with what became of each and how it was worked out."""
    parameters: dict[str, Any] = {"partner_key": visit.member.partner_key, "no_longer_earned": NO_LONGER_EARNED}
    conditions = ["state <> 'reversed' or arithmetic <> :no_longer_earned"]
    if filters.reward_status is not None:
        conditions.append("state = :reward_status")
        parameters["reward_status"] = filters.reward_status
    rows, has_more = fetch_page(visit.connection, COMMISSIONS, filters, conditions=conditions, **parameters)
    sight = _sight(visit)
    return answered(
        Items(items=[_reward(each) for each in sight.commissions(rows)], has_more=has_more), "your commissions"
    )


@router.get("/customers")
def list_customers(visit: ThisVisit, page: Annotated[CustomersPage, Query()]) -> Answer[Items[PartnerCustomer]]:
    """Your customers: whom you brought, and whoever has a product you sold. Latest first."""
    if page.starting_after is not None and page.ending_before is not None:
        raise Rejected("cannot be combined with starting_after; use one of the two", "ending_before")
    found = _sight(visit).customers(page.limit, page.starting_after, page.ending_before)
    if found is None:
        name = "starting_after" if page.starting_after is not None else "ending_before"
        raise Rejected("is no item of this list; use the `key` of an item that a page has shown", name)
    customers, has_more = found
    return answered(Items(items=[_customer(each) for each in customers], has_more=has_more), "your customers")


@router.get("/customers/{key:path}/products")
def list_products(visit: ThisVisit, key: Key) -> Answer[Products]:
    """Everything that a customer of yours has or had, whoever sold it; all columns of what you sold."""
    found = _sight(visit).products(key)
    if found is None:
        raise Missing(_NO_SUCH_CUSTOMER, "key")
    return answered(Products(items=[_product(each) for each in found], has_more=False), "every product")


def _sight(visit: Visit) -> Sight:
    program = visit.program_reader().read(visit.connection)
    return Sight(visit.connection, program, visit.member.partner_key, visit.now)


def _reward(view: CommissionView) -> PartnerReward:
    return PartnerReward(
        key=view.key,
        amount=view.amount_minor,
        currency=view.currency,
        reward_status=view.state,
        decline_reason=view.decline_reason,
        arithmetic=view.arithmetic,
        offer=view.offer,
        customer_key=view.customer,
        product=view.product_name,
        member_key=view.member_key,
        earned_at=epoch_ms(view.earned_at),
        due_at=None if view.due_at is None else epoch_ms(view.due_at),
        adjusts=view.adjusts,
    )


def _customer(view: CustomerView) -> PartnerCustomer:
    return PartnerCustomer(key=view.key, customer_key=view.customer_key, name=view.name, since=epoch_ms(view.since))


def _product(view: ProductView) -> OwnProduct | OtherProduct:
    seen: dict[str, Any] = {
        "product": view.product_name,
        "status": view.status,
        "purchased_on": view.purchased_on,
    }
    if (own := view.own) is None:
        return OtherProduct(**seen)
    return OwnProduct(
        **seen,
        key=own.key,
        amount=own.amount_minor,
        currency=own.currency,
        quantity=own.quantity,
        partner_key=own.partner_key,
        member_key=own.member_key,
        purchased_at=None if own.purchased_at is None else epoch_ms(own.purchased_at),
    )
