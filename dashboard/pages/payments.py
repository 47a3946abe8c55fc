"""Payments with their lines, and why each trigger fired on them or not."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dashboard.api import explanations, transactions
from dashboard.fields import LongKey
from dashboard.pages.routes import ThisPage, manager_pages, paged, within
from dashboard.pages.typed import Days

router = manager_pages()


class Found(transactions.Filters, Days):
    """Filters of the list."""


@router.get("/payments")
def find(page: ThisPage, filters: Annotated[Found, Query()]) -> Response:
    """The latest paid first, those that fit."""
    asked = within(page, paged(filters))
    return page.show("payments.html", filters=asked, found=transactions.list_transactions(page, asked).data)


@router.get("/payments/{key:path}")
def read(page: ThisPage, key: LongKey) -> Response:
    """One, judged again by the function that booked."""
    return page.show(
        "payment.html",
        item=transactions.read(page, key).data,
        explained=explanations.explain(page, key).data,
    )
