"""Customers: whose they are and were, what they have and had, what they paid and what that earned."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from dashboard.api import customers, products, rewards, transactions
from dashboard.fields import LongKey
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, paged
from infra.ledger.attributions import load_attributions

router = manager_pages()

#: Of payments and commissions on a customer's page; the lists show all.
_NEWEST = 10
_FIELDS = ("partner_key", "member_key", "name", "email", "country")


@router.get("/customers")
def find(page: ThisPage, filters: Annotated[customers.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    asked = paged(filters)
    return page.show("customers.html", filters=asked, found=customers.list_customers(page, asked).data)


@router.get("/customers/{key:path}")
def read(page: ThisPage, key: LongKey) -> Response:
    """One, with everything about them."""
    return _show(page, key)


@router.post("/customers/{key:path}")
def change(page: ThisPage, key: LongKey) -> Response:
    """Say whose they are from now on, or what describes them. A field that is left as it was says nothing."""
    before = customers.read(page, key).data
    shown = {name: getattr(before, name) for name in _FIELDS}
    given = {name: page.form.get(name) for name in _FIELDS if page.form.get(name) != shown[name]}
    done = page.attempt(lambda: customers.change(page, key, page.body(customers.CustomerChange, given)))
    if isinstance(done, Mistakes):
        return _show(page, key, done)
    return page.done(page.address(), "Saved; what follows is being booked.")


def _show(page: PageVisit, key: str, mistakes: Mistakes | None = None) -> Response:
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
    return page.show("customer.html", item=item, mistakes=mistakes, **about)
