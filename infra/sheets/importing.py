"""Bring a file's rows into the program, all of them or none, through the functions that the API calls.

Every mistake is named with its row before anything is kept. The same file a second time changes nothing. Customers,
products and transactions are written into the inbox: a worker has them in the books moments later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from sqlalchemy import Connection

from domain.errors import Rejected
from domain.problems import Problems
from infra.program import ProgramReader
from infra.settings import Settings
from infra.sheets.kinds import Kind
from infra.sheets.reading import Row, Sheet
from infra.stated.later import LaterTelling
from infra.stated.telling import Telling

#: Told how many lines of the file are done.
Told = Callable[[int], None]


@dataclass(slots=True)
class Imported:
    """What became of a file's rows."""

    created_count: int = 0
    changed_count: int = 0
    unchanged_count: int = 0


def import_file(
    connection: Connection,
    kind: Kind,
    file: TextIO,
    settings: Settings,
    now: datetime,
    told: Told = lambda line: None,
) -> Imported:
    """Bring in every row, within the caller's transaction, which must be rolled back when this raises.

    Raises RejectedDocument with every mistake, as many as are worth reading.
    """
    problems = Problems()
    sheet = Sheet(file, kind.columns, problems, metadata=kind.metadata)
    reader = ProgramReader(settings)
    telling = LaterTelling(connection, reader.read(connection), now, reader, [])
    imported = Imported()
    rows_by_name: dict[str, int] = {}
    for row in sheet.rows():
        name = next(name for columns in kind.named_by if (name := _name_in(row, columns)) is not None)
        earlier = rows_by_name.setdefault(name, row.number)
        if earlier != row.number:
            problems.add(f"row {row.number}", f'is about "{name}" as row {earlier} is; one row is enough')
        else:
            _bring_in(telling, kind, row, imported, problems)
        told(row.line)
    problems.raise_any()
    return imported


def _name_in(row: Row, columns: tuple[str, ...]) -> str | None:
    parts = [row.fields.get(column) for column in columns]
    return "/".join(map(str, parts)) if all(parts) else None


def _bring_in(telling: Telling, kind: Kind, row: Row, imported: Imported, problems: Problems) -> None:
    try:
        changed = kind.bring_in(telling, row.fields)
    except Rejected as error:
        # What it had written by then goes with everything else: the transaction ends in a rollback.
        problems.add(f"row {row.number}" + (f", {error.field}" if error.field else ""), str(error))
        return
    if changed is None:
        imported.created_count += 1
    elif changed:
        imported.changed_count += 1
    else:
        imported.unchanged_count += 1
