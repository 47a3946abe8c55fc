"""Customers: whose they are and were, what they have and had, what they paid and what that earned."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from dashboard.api import customer_erasures, customers, products, rewards, transactions
from dashboard.fields import LongKey
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, paged
from dashboard.pages.typed import moment_of
from domain.errors import Missing, Rejected
from domain.problems import quoted
from infra.ledger.attributions import load_attributions

router = manager_pages()

#: Of payments and commissions on a customer's page; the lists show all.
_NEWEST = 10
_SAVED = "Saved; what follows is being booked."
#: Fields of a customer by what the form to add one calls them: beside it are filters of the same names.
_NEW = {
    "new_customer_key": "customer_key",
    "name": "name",
    "new_email": "email",
    "country": "country",
    "new_partner_key": "partner_key",
    "new_provider_key": "provider_key",
}
_FIELDS = ("partner_key", "member_key", "name", "email", "country")


@router.get("/customers")
def find(page: ThisPage, filters: Annotated[customers.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    return _list(page, filters)


@router.post("/customers")
def create(page: ThisPage) -> Response:
    """Add one, or describe one whom a provider told of."""
    given = {each: page.form[name] for name, each in _NEW.items() if name in page.form}
    made = page.attempt(lambda: customers.create(page, page.body(customers.NewCustomer, given)))
    if isinstance(made, Mistakes):
        return _list(page, customers.Filters(), made)
    key = made.data.customer_key
    return page.done(page.templates.path_to("/customers", str(key)), f"{key}: {made.message}.")


@router.get("/customers/{key:path}")
def read(page: ThisPage, key: LongKey) -> Response:
    """One, with everything about them."""
    return _show(page, key)


@router.post("/customers/{key:path}/erasures")
def erase(page: ThisPage, key: LongKey) -> Response:
    """Have a worker erase who they are, once somebody has typed their key and is still the one who signed in."""
    done = page.attempt(lambda: _erased(page, key))
    if isinstance(done, Mistakes):
        return _show(page, key, done, erasing=True)
    said = "A worker is erasing who they are; load this page again in a moment."
    return page.done(page.templates.path_to("/customers", key), said)


@router.post("/customers/{key:path}")
def change(page: ThisPage, key: LongKey) -> Response:
    """Say whose they are from now on, or what describes them. A field that is left as it was says nothing."""
    before = customers.read(page, key).data
    if before.customer_key is None:
        return _link(page, key, before)
    shown = {name: getattr(before, name) for name in _FIELDS}
    given = {name: page.form.get(name) for name in _FIELDS if page.form.get(name) != shown[name]}

    def save() -> None:
        since = page.form.get("attributed_at")
        at = moment_of(since, page.settings.program_timezone, "attributed_at") if since else None
        said = given if at is None else {**given, "attributed_at": at}
        customers.change(page, key, page.body(customers.CustomerChange, said))

    done = page.attempt(save)
    return _show(page, key, done) if isinstance(done, Mistakes) else page.done(page.address(), _SAVED)


def _erased(page: PageVisit, key: str) -> None:
    item = customers.read(page, key).data
    if page.form.get("typed_key") not in (item.customer_key, item.key):
        raise Rejected(
            f"must be {quoted(item.customer_key or item.key)}, typed by you: this cannot be undone", "typed_key"
        )
    page.confirm()
    customer_erasures.erase(page, key)


def _link(page: PageVisit, key: str, unlinked: customers.CustomerItem) -> Response:
    """Say whom the company knows a provider's customer as: somebody who is here, or whom this adds."""
    said = {name: page.form[name] for name in ("partner_key",) if name in page.form}
    said["provider_key"] = str(unlinked.provider_key)
    name = page.form.get("customer_key", "")

    def link() -> str:
        try:
            known = customers.read(page, name).data.customer_key if name else None
        except Missing:
            known = None
        if known is not None:
            customers.change(page, known, page.body(customers.CustomerChange, said))
            return known
        customers.create(page, page.body(customers.NewCustomer, {**said, "customer_key": name}))
        return name

    done = page.attempt(link)
    return (
        _show(page, key, done)
        if isinstance(done, Mistakes)
        else page.done(page.templates.path_to("/customers", done), _SAVED)
    )


def _list(page: PageVisit, filters: customers.Filters, mistakes: Mistakes | None = None) -> Response:
    asked = paged(filters)
    found = customers.list_customers(page, asked).data
    return page.show("customers.html", filters=asked, found=found, mistakes=mistakes)


def _show(page: PageVisit, key: str, mistakes: Mistakes | None = None, *, erasing: bool = False) -> Response:
    """`erasing`: the mistakes are of that form."""
    item = customers.read(page, key).data
    about: dict[str, Any] = {"products": [], "more_products": False, "payments": [], "commissions": [], "history": ()}
    if item.customer_key is None:
        payments = transactions.Filters(limit=_NEWEST, provider_customer_key=item.provider_key)
    else:
        payments = transactions.Filters(limit=_NEWEST, customer_key=item.key)
        earned = rewards.list_rewards(page, rewards.Filters(limit=_NEWEST, customer_key=item.key))
        about["commissions"] = earned.data.items
        lookback = timedelta(days=page.settings.attribution_lookback_days)
        about["history"] = load_attributions(page.connection, [item.key], lookback)[item.key]
    had = products.Filters(limit=100, provider_customer_key=item.provider_key)
    if item.customer_key is not None:
        had = products.Filters(limit=100, customer_key=item.key)
    found = products.list_products(page, had).data
    about |= {"products": found.items, "more_products": found.has_more}
    about["payments"] = transactions.list_transactions(page, payments).data.items
    about["erasures"] = customer_erasures.list_erasures(page, key).data.items
    return page.show("customer.html", item=item, mistakes=mistakes, erasing=erasing, **about)
