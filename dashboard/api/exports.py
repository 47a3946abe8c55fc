"""`/exports/{kind}`: everything of one kind as CSV, written while it is read."""

from collections.abc import Iterator
from itertools import chain
from typing import Literal

from sqlalchemy import Engine
from starlette.responses import StreamingResponse

from dashboard.visits import ThisVisit, manager_routes
from infra.sheets.exporting import export
from infra.unit_of_work import unit_of_work_on

router = manager_routes("/exports", "exports")

_FILE = {"schema": {"type": "string"}, "example": "key,name\r\npbook_0a1b2c3d4e5f60718293,Inbox\r\n"}

Kind = Literal["product_book", "partners", "customers", "products", "transactions", "rewards"]


@router.get(
    "/{kind}",
    response_class=StreamingResponse,
    responses={200: {"description": "A CSV file.", "content": {"text/csv": _FILE}}},
)
def write(visit: ThisVisit, kind: Kind) -> StreamingResponse:
    """Write a CSV file: UTF-8, commas, a header. Texts that a spreadsheet would run begin with an apostrophe."""
    visit.audit("export.written", kind)
    pieces = _pieces(visit.previewing, kind)
    # Begun here: what goes wrong at once is still answered as an error, and who goes away later ends it.
    first = next(pieces)
    disposition = {"content-disposition": f'attachment; filename="{kind}.csv"'}
    return StreamingResponse(chain([first], pieces), media_type="text/csv; charset=utf-8", headers=disposition)


def _pieces(engine: Engine, kind: str) -> Iterator[str]:
    """On a connection from those for long reading: who comes when all are in use is sent away."""
    with unit_of_work_on(engine) as connection:
        yield from export(connection, kind)
