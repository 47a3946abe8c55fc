"""The product book: what is sold, which provider ids lead to it, and what was sold before anybody described it."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from dashboard.api import product_book
from dashboard.fields import Key
from dashboard.lists import LIMIT_MAX
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, lines_of, manager_pages, paged

router = manager_pages()


def sold(page: PageVisit) -> list[product_book.Entry]:
    """What forms offer to choose from, by name."""
    found = product_book.list_entries(page, product_book.Filters(limit=LIMIT_MAX)).data.items
    return sorted(found, key=lambda entry: entry.name.casefold())


@router.get("/product-book")
def find(page: ThisPage, filters: Annotated[product_book.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    return _list(page, filters)


@router.post("/product-book")
def create(page: ThisPage) -> Response:
    """Add an entry."""
    given = {name: value for name, value in _given(page).items() if value or name == "name"}
    made = page.attempt(lambda: product_book.create(page, page.body(product_book.NewEntry, given)))
    if isinstance(made, Mistakes):
        return _list(page, product_book.Filters(), made)
    return page.done(f"/product-book/{made.data.key}", f"{made.data.name}: {made.message}.")


@router.get("/product-book/{key:path}")
def read(page: ThisPage, key: Key) -> Response:
    """One entry."""
    return page.show("product_book_entry.html", item=product_book.read(page, key).data)


@router.post("/product-book/{key:path}")
def change(page: ThisPage, key: Key) -> Response:
    """Change it."""
    before = product_book.read(page, key).data
    said = {**_given(page), "follows_provider": "follows_provider" in page.form}
    given = {name: value for name, value in said.items() if value != getattr(before, name)}
    done = page.attempt(lambda: product_book.change(page, key, page.body(product_book.EntryChange, given)))
    if isinstance(done, Mistakes):
        return page.show("product_book_entry.html", item=before, mistakes=done)
    return page.done(page.address(), "Saved.")


def _list(page: PageVisit, filters: product_book.Filters, mistakes: Mistakes | None = None) -> Response:
    asked = paged(filters)
    found = product_book.list_entries(page, asked).data
    return page.show("product_book.html", filters=asked, found=found, mistakes=mistakes)


def _given(page: PageVisit) -> dict[str, Any]:
    return {
        "name": page.form.get("name", ""),
        "description": page.form.get("description"),
        "external_key": page.form.get("external_key"),
        "aliases": lines_of(page.form.get("aliases", "")),
        "archived": "archived" in page.form,
    }
