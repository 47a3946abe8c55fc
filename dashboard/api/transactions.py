"""`/transactions`: every payment, told of by a provider or posted by the company, with a line per product."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Amount, Body, Currency, Email, Key, LongKey, Metadata, Milliseconds, OwnKey, moment
from dashboard.lists import Page, Period, Wanted, fetch_page
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain import ids
from domain.errors import Missing
from domain.windows import epoch_ms
from infra.rows import fetch
from infra.shown.transactions import SELECT, ShownLine, ShownTransaction, shown_transactions
from infra.stated.payers import our_key_of
from infra.stated.telling import program_as_of_now, tell
from infra.stated.transactions import state_transaction

router = manager_routes("/transactions", "transactions")

_EXAMPLE: dict[str, Any] = {
    "key": "order-10042",
    "amount": 14800,
    "currency": "usd",
    "customer_key": "acme",
    "created_at": 1767225600000,
    "metadata": {"channel": "reseller"},
    "lines": [
        {"amount": 4900, "subscription_key": "license-4711"},
        {"amount": 9900, "product_book_key": "pbook_0a1b2c3d4e5f60718293", "quantity": 1},
    ],
}
_ITEM_EXAMPLE: dict[str, Any] = {
    "key": "order-10042",
    "provider": "api",
    "provider_customer_key": "acme",
    "customer_key": "acme",
    "amount": 4900,
    "amount_reversed": 0,
    "currency": "usd",
    "occurred_at": 1767225600000,
    "metadata": {"channel": "reseller"},
    "lines": [
        {
            "key": "line:license-4711",
            "external_subscription_key": "license-4711",
            "external_product_key": "prod_inbox",
            "product_book_key": "pbook_0a1b2c3d4e5f60718293",
            "product_key": "license-4711/prod_inbox",
            "amount": 4900,
            "amount_reversed": 0,
            "quantity": 1,
            "reason": None,
        }
    ],
}


class LineItem(BaseModel):
    """One product's share of a payment, or a line that names none."""

    key: str
    external_subscription_key: str | None = Field(description="Of its product; where it has none, as it was posted.")
    external_product_key: str | None
    product_book_key: str | None
    product_key: str | None = Field(description="The customer's product: `<subscription>/<product>`.")
    amount: int = Field(description="After discounts, without tax, in minor units.")
    amount_reversed: int
    quantity: int | None
    reason: str | None = Field(description="Why it has no product, or what is missing about it.")


class TransactionItem(BaseModel):
    """One payment."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM_EXAMPLE]})

    key: str = Field(description="`stripe:in_...`, `chargebee:...`, or as it was posted.")
    provider: str
    provider_customer_key: str | None
    customer_key: str | None = Field(description="The company's own id; null: nobody has linked the customer yet.")
    amount: int
    amount_reversed: int
    currency: str
    occurred_at: int
    metadata: dict[str, str]
    lines: list[LineItem]


class NewLine(Body):
    """One line of a posted payment: what it was for, or nothing of that."""

    amount: Amount = Field(description="In minor units, not negative.")
    subscription_key: Key | None = Field(
        default=None,
        validation_alias=AliasChoices("subscription_key", "external_subscription_key", "product_key"),
        description="Exactly the key of one of the customer's products, or of its subscription. As on the line that is "
        "read, `external_subscription_key` and `product_key` name it, too; one of the three.",
    )
    product_book_key: Key | None = Field(default=None, description="What was sold, where there is no subscription.")
    external_product_key: Key | None = Field(default=None, description="The same by the provider's product id.")
    quantity: Annotated[StrictInt, Field(ge=1, le=10**9)] | None = None


class NewTransaction(Body):
    """A payment that no provider tells of. Its customer is named in one of the three ways."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    amount: Amount = Field(description="In minor units, not negative; all lines together.")
    currency: Currency
    customer_key: Key | None = Field(default=None, description="The company's own id, ours, or a provider's.")
    customer_external_key: Key | None = None
    customer_email: Email | None = None
    key: OwnKey | None = Field(
        default=None, description="Yours: the same key posts the same payment once. Drawn where none is given."
    )
    subscription_key: Key | None = Field(default=None, description="Of a payment without `lines`: what it was for.")
    created_at: Milliseconds | None = Field(default=None, description="When it was paid, and as of when it is judged.")
    metadata: Metadata | None = None
    lines: list[NewLine] | None = Field(default=None, max_length=1_000)


class Which(Period):
    """Which payments."""

    customer_key: Key | None = Field(
        default=None, description="Those of this customer, by the company's own id or ours."
    )
    provider_customer_key: Key | None = None
    provider: Key | None = Field(default=None, description="stripe, chargebee or api.")
    linked: bool | None = Field(default=None, description="false: those of customers whom nobody has linked yet.")


class Filters(Which, Page):
    """Which payments, a page of them."""


_CONDITIONS = {
    "customer_key": "customer = :customer_key",
    "provider_customer_key": "provider_customer_key = :provider_customer_key",
    "provider": "provider = :provider",
    "linked": "(customer is not null) = :linked",
}


def wanted(visit: Visit, which: Which) -> Wanted:
    """Those that fit, whichever page."""
    given = {name: value for name in _CONDITIONS if (value := getattr(which, name)) is not None}
    if "customer_key" in given:  # resolved first, so that its index leads to the rows
        given["customer_key"] = our_key_of(visit.connection, given["customer_key"])
    return Wanted(SELECT, [_CONDITIONS[name] for name in given], given)


@router.get("")
def list_transactions(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[TransactionItem]]:
    """List payments, the latest paid first; `created` is when it was paid."""
    asked = wanted(visit, filters)
    rows, has_more = fetch_page(
        visit.connection, asked.select, filters, conditions=asked.conditions, **asked.parameters
    )
    items = _items(visit, rows)
    return answered(Items(items=items, has_more=has_more), f"{len(items)} item{'s' * (len(items) != 1)}")


@router.post("")
def create(visit: ThisVisit, body: NewTransaction) -> Answer[TransactionItem]:
    """Post a payment. It is judged as of `created_at`; what it refers to may be stated later."""
    given = body.sent()
    given["created_at"] = moment(given.get("created_at"), "created_at")
    key, is_new, remark = tell(
        visit.connection, visit.settings, visit.now, lambda telling: state_transaction(telling, given)
    )
    if is_new:
        visit.audit("transaction.stated", key, fields=sorted(given))
    said = "created" if is_new else "it was there already"
    return answered(_read(visit, key), f"{said}; {remark}" if remark else said)


@router.get("/{key:path}")
def read(visit: ThisVisit, key: Annotated[LongKey, Path()]) -> Answer[TransactionItem]:
    """One payment."""
    return answered(_read(visit, key), "found")


def _read(visit: Visit, key: str) -> TransactionItem:
    found = fetch(visit.connection, f"{SELECT} where t.key = :key", key=key)
    if not found:
        raise Missing(f'no transaction is called "{key}"', "key")
    return _items(visit, found)[0]


def _items(visit: Visit, rows: Any) -> list[TransactionItem]:
    program = program_as_of_now(visit.connection, visit.settings)
    return [_item(each) for each in shown_transactions(visit.connection, rows, program)]


def _item(shown: ShownTransaction) -> TransactionItem:
    row = shown.row
    return TransactionItem(
        key=row.key,
        provider=row.provider,
        provider_customer_key=row.provider_customer_key,
        customer_key=row.customer_key,
        amount=shown.paid.net_minor,
        amount_reversed=shown.paid.reversed_minor,
        currency=row.currency,
        occurred_at=epoch_ms(row.occurred_at),
        metadata=row.metadata or {},
        lines=[_line(line) for line in shown.lines],
    )


def _line(shown: ShownLine) -> LineItem:
    _, subscription, product = shown.product
    has_both = subscription is not None and product is not None
    return LineItem(
        key=shown.line.key,
        external_subscription_key=subscription,
        external_product_key=product,
        product_book_key=shown.entry.key if shown.entry else None,
        product_key=ids.product_key_of(str(subscription), str(product)) if has_both else None,
        amount=shown.line.net_minor,
        amount_reversed=shown.line.reversed_minor,
        quantity=shown.line.quantity,
        reason=shown.reason,
    )
