"""`/products`: what each customer bought, whoever bills it; `<subscription>/<product>`, or the subscription alone."""

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Amount, Body, Currency, Email, Key, LongKey, Milliseconds, moment
from dashboard.lists import Page, Period, Wanted, fetch_page
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.known import ProductKey
from infra.shown.products import (
    SELECT,
    ShownProduct,
    product_document,
    read_product,
    shown_products,
    the_product_called,
)
from infra.stated.payers import our_key_of
from infra.stated.products import change_product, state_product
from infra.stated.telling import program_as_of_now, tell

router = manager_routes("/products", "products")

Status = Literal["trial", "active", "churned"]

_EXAMPLE: dict[str, Any] = {
    "product_book_key": "pbook_0a1b2c3d4e5f60718293",
    "external_subscription_key": "license-4711",
    "customer_key": "acme",
    "status": "active",
    "amount": 9900,
    "currency": "usd",
    "quantity": 1,
    "partner_key": "ada",
    "member_key": None,
    "created_at": 1767225600000,
}
_ITEM_EXAMPLE: dict[str, Any] = {
    **_EXAMPLE,
    "key": "license-4711/prod_inbox",
    "external_product_key": "prod_inbox",
    "product_book": {
        "key": "pbook_0a1b2c3d4e5f60718293",
        "name": "Inbox",
        "external_key": "prod_inbox",
        "needs_review": False,
    },
    "customer_external_key": "acme",
    "customer_email": "billing@acme.example",
    "provider": "api",
    "provider_status": "active",
    "provider_customer_key": "acme",
    "purchased_at": 1767225600000,
    "history": [{"status": "active", "effective_at": 1767225600000}],
}


class BookEntry(BaseModel):
    """What was bought."""

    key: str
    name: str = Field(description="Its name now.")
    external_key: str | None
    needs_review: bool


class Step(BaseModel):
    """A status from a moment on."""

    status: str
    effective_at: int


class ProductItem(BaseModel):
    """One customer's purchase of one product."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM_EXAMPLE]})

    key: str
    product_book_key: str
    product_book: BookEntry
    external_subscription_key: str
    external_product_key: str = Field(description="The provider's product id.")
    provider: str = Field(description="Who bills it: stripe, chargebee, or api for the company itself.")
    provider_status: str | None = Field(description="The provider's own word; null where only a payment told of it.")
    provider_customer_key: str | None
    customer_key: str | None = Field(description="The company's own id; null: nobody has linked the customer yet.")
    customer_external_key: str | None = Field(description="The same.")
    customer_email: str | None
    status: str = Field(description="none, trial, active or churned.")
    amount: int | None = Field(description="For one period, all units, in minor units.")
    currency: str | None
    quantity: int | None
    partner_key: str | None = Field(description="Whom it pays now: its own partner, else its customer's.")
    member_key: str | None
    purchased_at: int | None = Field(description="When it was first in trial or active.")
    created_at: int = Field(description="When it was first heard of, by the provider's clock.")
    history: list[Step]


class ProductChange(Body):
    """What to say anew. Of a product that a provider bills, only whose sale it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "churned"}]})

    status: Status | None = Field(default=None, description="From now on.")
    amount: Amount | None = Field(default=None, description="For one period, all units, in minor units.")
    currency: Currency | None = None
    quantity: Annotated[StrictInt, Field(ge=1, le=10**9)] | None = None
    partner_key: Key | None = Field(default=None, description="Whose sale it is, whoever has the customer.")
    member_key: Key | None = None


class NewProduct(ProductChange):
    """A product that the company bills itself. Its customer is named in one of the three ways."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    product_book_key: Key = Field(description="An entry of the product book, by its key or its provider id.")
    external_subscription_key: Key = Field(
        description="Yours; products of one customer may share it. Payments refer to it, or to the product's key."
    )
    customer_key: Key | None = Field(default=None, description="The company's own id, ours, or a provider's.")
    customer_external_key: Key | None = None
    customer_email: Email | None = None
    status: Status | None = Field(default=None, description="From created_at on; active unless said otherwise.")
    created_at: Milliseconds | None = Field(default=None, description="When it was bought; now, unless said otherwise.")


class Which(Period):
    """Which products."""

    customer_key: Key | None = Field(
        default=None, description="Those of this customer, by the company's own id or ours."
    )
    provider_customer_key: Key | None = None
    external_subscription_key: Key | None = None
    status: Literal["none", "trial", "active", "churned"] | None = None


class Filters(Which, Page):
    """Which products, a page of them."""


_CONDITIONS = {
    "customer_key": "customer = :customer_key",
    "provider_customer_key": "provider_customer_key = :provider_customer_key",
    "external_subscription_key": "subscription_key = :external_subscription_key",
    "status": "status = :status",
}

PathKey = Annotated[LongKey, Path(description="`<subscription>/<product>`, or a subscription with one product.")]


def wanted(visit: Visit, which: Which) -> Wanted:
    """Those that fit, whichever page."""
    given = {name: value for name in _CONDITIONS if (value := getattr(which, name)) is not None}
    if "customer_key" in given:  # resolved first, so that its index leads to the rows
        given["customer_key"] = our_key_of(visit.connection, given["customer_key"])
    return Wanted(SELECT, [_CONDITIONS[name] for name in given], given)


@router.get("")
def list_products(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[ProductItem]]:
    """List products, those of customers whom nobody has linked included."""
    asked = wanted(visit, filters)
    rows, has_more = fetch_page(
        visit.connection, asked.select, filters, conditions=asked.conditions, **asked.parameters
    )
    program = program_as_of_now(visit.connection, visit.settings)
    items = [_item(each) for each in shown_products(visit.connection, rows, program, visit.now)]
    return answered(Items(items=items, has_more=has_more), f"{len(items)} item{'s' * (len(items) != 1)}")


@router.post("")
def create(visit: ThisVisit, body: NewProduct) -> Answer[ProductItem]:
    """State that a customer has a product. Again the same is no change; otherwise PATCH."""
    given = body.sent()
    given["created_at"] = moment(given.get("created_at"), "created_at")
    place, is_new = tell(visit.connection, visit.settings, visit.now, lambda telling: state_product(telling, given))
    if is_new:
        visit.audit("product.stated", "/".join(place[1:]), fields=sorted(given))
    return answered(_read(visit, place), "created" if is_new else "it was there already")


@router.get("/{key:path}")
def read(visit: ThisVisit, key: PathKey) -> Answer[ProductItem]:
    """One product, by its key, or by its subscription's where that has only one."""
    return answered(_read(visit, the_product_called(visit.connection, key)), "found")


@router.patch("/{key:path}")
def change(visit: ThisVisit, key: PathKey, body: ProductChange) -> Answer[ProductItem]:
    """Say how a product is from now on. What Stripe or Chargebee bills is theirs to say, but for whose sale it is."""
    given = body.sent()
    place, is_new = tell(
        visit.connection, visit.settings, visit.now, lambda telling: change_product(telling, key, given)
    )
    if is_new:
        visit.audit("product.changed", "/".join(place[1:]), fields=sorted(given))
    return answered(_read(visit, place), "changed" if is_new else "nothing to change")


def _read(visit: Visit, place: ProductKey) -> ProductItem:
    program = program_as_of_now(visit.connection, visit.settings)
    return _item(read_product(visit.connection, place, program, visit.now))


def _item(product: ShownProduct) -> ProductItem:
    return ProductItem(**product_document(product))
