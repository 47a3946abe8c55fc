"""Products: what each customer bought, whose sale it is, and, of what the company bills itself, how it stands."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from dashboard.api import products
from dashboard.fields import LongKey
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, paged
from dashboard.pages.typed import amount_of, number_of
from domain.facts import COMPANY

router = manager_pages()

_SALE = ("partner_key", "member_key")
#: Nobody but the company can say these, and only of what it bills itself.
_OWN = ("status", "currency")


@router.get("/products")
def find(page: ThisPage, filters: Annotated[products.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    asked = paged(filters)
    return page.show("products.html", filters=asked, found=products.list_products(page, asked).data)


@router.get("/products/{key:path}")
def read(page: ThisPage, key: LongKey) -> Response:
    """One, with its history."""
    return _show(page, products.read(page, key).data)


@router.post("/products/{key:path}")
def change(page: ThisPage, key: LongKey) -> Response:
    """Say whose sale it is from now on, or how it stands. A field that is left as it was says nothing."""
    before = products.read(page, key).data
    done = page.attempt(lambda: products.change(page, key, page.body(products.ProductChange, _given(page, before))))
    if isinstance(done, Mistakes):
        return _show(page, before, done)
    return page.done(page.address(), "Saved; what follows is being booked.")


def _show(page: PageVisit, item: products.ProductItem, mistakes: Mistakes | None = None) -> Response:
    return page.show("product.html", item=item, is_own=item.provider == COMPANY, mistakes=mistakes)


def _given(page: PageVisit, before: products.ProductItem) -> dict[str, Any]:
    """What the form says anew."""
    names = (*_SALE, *_OWN) if before.provider == COMPANY else _SALE
    said: dict[str, Any] = {name: page.form.get(name) for name in names}
    if before.provider == COMPANY:
        quantity, amount = page.form.get("quantity"), page.form.get("amount")
        said["quantity"] = None if quantity is None else number_of(quantity)
        currency = said["currency"] or before.currency or ""
        said["amount"] = None if amount is None else amount_of(amount, currency, "amount")
    return {name: value for name, value in said.items() if value != getattr(before, name)}
