"""Payments with their lines, and why each trigger fired on them or not."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dashboard.api import explanations, transactions
from dashboard.fields import LongKey
from dashboard.pages.routes import ThisPage, manager_pages, paged

router = manager_pages()


@router.get("/payments")
def find(page: ThisPage, filters: Annotated[transactions.Filters, Query()]) -> Response:
    """The latest paid first, those that fit."""
    asked = paged(filters)
    return page.show("payments.html", filters=asked, found=transactions.list_transactions(page, asked).data)


@router.get("/payments/{key:path}")
def read(page: ThisPage, key: LongKey) -> Response:
    """One, judged again by the function that booked."""
    return page.show(
        "payment.html",
        item=transactions.read(page, key).data,
        explained=explanations.explain(page, key).data,
    )
