"""`/exports/{kind}`: one kind of thing as CSV, written while it is read: everything, or what the filters of its list
leave.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import Engine
from starlette.responses import StreamingResponse

from dashboard.api import customers, partnerships, product_book, products, rewards, transactions
from dashboard.lists import Period, Wanted
from dashboard.visits import ThisVisit, Visit, manager_routes
from infra.sheets.exporting import export
from infra.unit_of_work import unit_of_work_on

router = manager_routes("/exports", "exports")

_FILE = {"schema": {"type": "string"}, "example": "key,name\r\npbook_0a1b2c3d4e5f60718293,Inbox\r\n"}
_AS_CSV: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": {200: {"description": "A CSV file.", "content": {"text/csv": _FILE}}},
}


@router.get("/product_book", **_AS_CSV)
def product_book_file(visit: ThisVisit, which: Annotated[product_book.Which, Query()]) -> StreamingResponse:
    """Write the product book. Without a filter, here and in every other file: everything, archived entries included."""
    return _file(visit, "product_book", which, product_book.wanted(visit, which))


@router.get("/partners", **_AS_CSV)
def partners_file(visit: ThisVisit, which: Annotated[partnerships.Which, Query()]) -> StreamingResponse:
    """Write the partners."""
    return _file(visit, "partners", which, partnerships.wanted(visit, which))


@router.get("/customers", **_AS_CSV)
def customers_file(visit: ThisVisit, which: Annotated[customers.Which, Query()]) -> StreamingResponse:
    """Write the customers whom somebody has linked."""
    return _file(visit, "customers", which, customers.wanted(visit, which))


@router.get("/products", **_AS_CSV)
def products_file(visit: ThisVisit, which: Annotated[products.Which, Query()]) -> StreamingResponse:
    """Write what customers have and had."""
    return _file(visit, "products", which, products.wanted(visit, which))


@router.get("/transactions", **_AS_CSV)
def transactions_file(visit: ThisVisit, which: Annotated[transactions.Which, Query()]) -> StreamingResponse:
    """Write the payments, a row per line; `created` is when it was paid."""
    return _file(visit, "transactions", which, transactions.wanted(visit, which))


@router.get("/rewards", **_AS_CSV)
def rewards_file(visit: ThisVisit, which: Annotated[rewards.Which, Query()]) -> StreamingResponse:
    """Write the commissions. Texts that a spreadsheet would run begin with an apostrophe, here and in every file."""
    return _file(visit, "rewards", which, rewards.wanted(visit, which))


#: By kind: what it can be narrowed by, and what writes the file.
FILES: Mapping[str, tuple[type[Period], Callable[..., StreamingResponse]]] = {
    "product_book": (product_book.Which, product_book_file),
    "partners": (partnerships.Which, partners_file),
    "customers": (customers.Which, customers_file),
    "products": (products.Which, products_file),
    "transactions": (transactions.Which, transactions_file),
    "rewards": (rewards.Which, rewards_file),
}


def _file(visit: Visit, kind: str, which: Period, wanted: Wanted) -> StreamingResponse:
    visit.audit("export.written", kind)
    pieces = _pieces(visit.previewing, kind, wanted.created_in(which) if which.model_fields_set else None)
    # Begun here: what goes wrong at once is still answered as an error, and who goes away later ends it.
    first = next(pieces)
    disposition = {"content-disposition": f'attachment; filename="{kind}.csv"'}
    return StreamingResponse(chain([first], pieces), media_type="text/csv; charset=utf-8", headers=disposition)


def _pieces(engine: Engine, kind: str, wanted: Wanted | None) -> Iterator[str]:
    """On a connection from those for long reading: who comes when all are in use is sent away."""
    with unit_of_work_on(engine) as connection:
        if wanted is None:
            yield from export(connection, kind)
        else:
            yield from export(connection, kind, wanted.query(), wanted.parameters)
