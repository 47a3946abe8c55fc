"""Comparisons with a provider's books, and their reports."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from dashboard.api import reconciliations
from dashboard.fields import Key
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, paged
from infra.reconciliation.reporting import SECTIONS

router = manager_pages()


@router.get("/reconciliations")
def find(page: ThisPage, filters: Annotated[reconciliations.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    return _list(page, filters)


@router.post("/reconciliations")
def start(page: ThisPage) -> Response:
    """Ask for one; a worker does it."""
    given: dict[str, Any] = {name: page.form[name] for name in ("provider", "scope") if name in page.form}
    given["dry_run"] = "dry_run" in page.form
    made = page.attempt(lambda: reconciliations.start(page, page.body(reconciliations.NewReconciliation, given)))
    if isinstance(made, Mistakes):
        return _list(page, reconciliations.Filters(), made)
    return page.done(f"/reconciliations/{made.data.key}", "A worker will do it; load this page again in a while.")


@router.get("/reconciliations/{key}")
def read(page: ThisPage, key: Key) -> Response:
    """One, with its report."""
    return page.show("reconciliation.html", item=reconciliations.read(page, key).data, sections=SECTIONS.values())


def _list(page: PageVisit, filters: reconciliations.Filters, mistakes: Mistakes | None = None) -> Response:
    asked = paged(filters)
    found = reconciliations.list_reconciliations(page, asked).data
    return page.show("reconciliations.html", filters=asked, found=found, mistakes=mistakes)
