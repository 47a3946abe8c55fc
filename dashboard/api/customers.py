"""`/customers`: whom the company knows, whose they are, and what providers call them."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Body, Country, Email, Key, Metadata, Milliseconds, ShortText, moment
from dashboard.lists import Page, Period, Wanted, fetch_page, listed
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Missing, Rejected
from domain.windows import epoch_ms
from infra.rows import fetch
from infra.shown import customers as shown
from infra.shown.customers import ShownCustomer, shown_customers
from infra.stated.customers import change_customer, state_customer
from infra.stated.payers import customer_called
from infra.stated.telling import tell

router = manager_routes("/customers", "customers")

_EXAMPLE: dict[str, Any] = {
    "customer_key": "acme",
    "email": "billing@acme.example",
    "name": "Acme Inc.",
    "partner_key": "ada",
    "member_key": None,
    "provider_key": "cus_Nf8hK2",
    "attributed_at": 1767225600000,
    "country": "DE",
    "metadata": {"plan": "pro"},
}


class ProviderName(BaseModel):
    """What one provider calls a customer."""

    provider: str
    key: str


class CustomerItem(BaseModel):
    """A customer. One whom nobody has linked has null for `customer_key`, and a `key` that begins with its provider."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "cust_0a1b2c3d4e5f60718293",
                    **_EXAMPLE,
                    "provider_keys": [{"provider": "stripe", "key": "cus_Nf8hK2"}],
                    "created_at": 1767225600000,
                }
            ]
        }
    )

    key: str
    customer_key: str | None = Field(description="The company's own id.")
    email: str | None
    name: str | None
    partner_key: str | None = Field(description="Whose it is now.")
    member_key: str | None
    provider_key: str | None = Field(description="What its provider calls it; of several one, see `provider_keys`.")
    provider_keys: list[ProviderName]
    attributed_at: int | None = Field(description="Since when it is that partner's.")
    country: str | None
    metadata: dict[str, str]
    created_at: int


class CustomerChange(Body):
    """What to say anew: a field that is left out stays; null clears what describes the customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"partner_key": "bob", "country": "US"}]})

    email: Email | None = None
    name: ShortText | None = None
    country: Country | None = Field(default=None, description="ISO 3166, two letters, upper case.")
    metadata: Metadata | None = Field(default=None, description="All of it; rules read it.")
    partner_key: Key | None = Field(
        default=None,
        description="Whose it is, from now on unless attributed_at says otherwise; the first reaches back.",
    )
    member_key: Key | None = None
    attributed_at: Milliseconds | None = Field(default=None, description="From when on it is that partner's.")
    provider_key: Key | None = Field(
        default=None,
        description="The id that Stripe or Chargebee has for it. Counts more than the provider's metadata.",
    )


class NewCustomer(CustomerChange):
    """A customer to state."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    customer_key: Key = Field(description="The company's own id.")


class Which(Period):
    """Which customers."""

    customer_key: Key | None = Field(default=None, description="The one with this id of the company's.")
    key: Key | None = Field(default=None, description="The one with this key of ours.")
    email: Email | None = Field(default=None, description="Those with this address, capitals aside.")
    provider_key: Key | None = Field(default=None, description="The one that a provider calls this.")
    partner_key: Key | None = Field(default=None, description="Those that are, or ever were, this partner's.")


class Filters(Which, Page):
    """Which customers, a page of them."""

    linked: bool = Field(default=True, description="false: those of providers whom nobody has linked to one of ours.")


_CONDITIONS = {
    "customer_key": "customer_key = :customer_key",
    "key": "key = :key",
    "email": shown.HAS_EMAIL,
    "provider_key": shown.HAS_PROVIDER_KEY,
    "partner_key": shown.EVER_OF_PARTNER,
}


def wanted(visit: Visit, which: Which) -> Wanted:
    """Those of ours that fit, whichever page."""
    given = {name: getattr(which, name) for name in _CONDITIONS if getattr(which, name) is not None}
    return Wanted(shown.SELECT, [_CONDITIONS[name] for name in given], given)


@router.get("")
def list_customers(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[CustomerItem]]:
    """List customers. What they have done before they are linked is kept, and counts when they are."""
    asked = wanted(visit, filters)
    if not filters.linked:
        if asked.parameters:
            raise Rejected("cannot be combined with linked=false", next(iter(asked.parameters)))
        return listed(visit.connection, shown.SELECT_UNLINKED, filters, _unlinked)
    rows, has_more = fetch_page(
        visit.connection, asked.select, filters, conditions=asked.conditions, **asked.parameters
    )
    items = [_item(each) for each in _shown(visit, rows)]
    return answered(Items(items=items, has_more=has_more), f"{len(items)} item{'s' * (len(items) != 1)}")


@router.post("")
def create(visit: ThisVisit, body: NewCustomer) -> Answer[CustomerItem]:
    """State a customer, one that a provider told of included. Again the same is no change; otherwise PATCH."""
    given = _given(body)
    key, is_new = tell(visit.connection, visit.settings, visit.now, lambda telling: state_customer(telling, given))
    if is_new:
        visit.audit("customer.stated", key, fields=sorted(given))
    return answered(_read(visit, key), "created" if is_new else "it was there already")


@router.get("/{key:path}")
def read(visit: ThisVisit, key: Key) -> Answer[CustomerItem]:
    """One customer, by `customer_key` or `key`."""
    return answered(_read(visit, key), "found")


@router.patch("/{key:path}")
def change(visit: ThisVisit, key: Key, body: CustomerChange) -> Answer[CustomerItem]:
    """Say something else of a customer. Another partner earns from now on; what was earned stays where it is."""
    given = _given(body)
    changed, is_new = tell(
        visit.connection, visit.settings, visit.now, lambda telling: change_customer(telling, key, given)
    )
    if is_new:
        visit.audit("customer.changed", changed, fields=sorted(given))
    return answered(_read(visit, changed), "changed" if is_new else "nothing to change")


def _given(body: CustomerChange) -> dict[str, Any]:
    given = body.sent()
    if "attributed_at" in given:
        given["attributed_at"] = moment(given["attributed_at"], "attributed_at")
    return given


def _read(visit: Visit, key: str) -> CustomerItem:
    called = customer_called(visit.connection, key)
    rows = fetch(visit.connection, f"{shown.SELECT} where c.key = :key", key=called[0]) if called else []
    if rows:
        return _item(_shown(visit, rows)[0])
    unlinked = fetch(visit.connection, f"select * from ({shown.SELECT_UNLINKED}) listed where key = :key", key=key)
    if not unlinked:
        raise Missing(f'no customer is called "{key}"', "key")
    return _unlinked(unlinked[0])


def _shown(visit: Visit, rows: Any) -> list[ShownCustomer]:
    lookback = timedelta(days=visit.settings.attribution_lookback_days)
    return shown_customers(visit.connection, rows, lookback, visit.now)


def _item(customer: ShownCustomer) -> CustomerItem:
    names = [ProviderName(provider=provider, key=key) for provider, key in customer.provider_keys]
    attributed = customer.attribution
    return CustomerItem(
        key=customer.key,
        customer_key=customer.customer_key,
        email=customer.said("email"),
        name=customer.said("name"),
        partner_key=attributed.partner_key if attributed else None,
        member_key=attributed.member_key if attributed else None,
        provider_key=names[0].key if names else None,
        provider_keys=names,
        attributed_at=epoch_ms(attributed.effective_from) if attributed else None,
        country=customer.said("country"),
        metadata=customer.said("metadata") or {},
        created_at=epoch_ms(customer.created_at),
    )


def _unlinked(row: Any) -> CustomerItem:
    return CustomerItem(
        key=row.key,
        customer_key=None,
        email=row.email,
        name=row.name,
        partner_key=None,
        member_key=None,
        provider_key=row.provider_customer_key,
        provider_keys=[ProviderName(provider=row.provider, key=row.provider_customer_key)],
        attributed_at=None,
        country=row.country,
        metadata=row.metadata or {},
        created_at=epoch_ms(row.created_at),
    )
