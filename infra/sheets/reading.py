"""Read a CSV file row by row: the header is checked first, then each cell; mistakes are collected with their rows.

UTF-8, with or without the mark that spreadsheets put first; commas; quotes where a cell needs them. Nothing of the
file is kept but the row at hand.
"""

import csv
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from domain.errors import Rejected
from domain.problems import Problems, listed, quoted
from infra.sheets.cells import UNSAID, Column, text_of, unguarded

#: Prefix of columns that hold one entry of `metadata` each.
METADATA = "metadata."
_METADATA_MAX = 50
_metadata_value = text_of(500)
_metadata_name = text_of(100)


@dataclass(frozen=True, slots=True)
class Row:
    """One row's values, by column; what was not said is not there."""

    #: As a spreadsheet numbers it: the header is 1.
    number: int
    #: How far in the file it ends, in lines.
    line: int
    fields: dict[str, Any]


def opened(path: Path) -> TextIO:
    """The file as reading wants it: as UTF-8, its mark skipped, line feeds within quotes left alone."""
    return path.open(encoding="utf-8-sig", newline="")


class Sheet:
    """A file as it is being read. `problems` holds the mistakes found so far."""

    def __init__(self, file: TextIO, columns: Sequence[Column], problems: Problems, *, metadata: bool) -> None:
        """Reads the header of what `opened` opened. Raises RejectedDocument where it could not be understood."""
        self._columns = {column.name: column for column in columns}
        self._metadata = metadata
        self._problems = problems
        self._lines = csv.reader(file, strict=True)
        self._header = [name.strip() for name in self._next() or []]
        self._check_header()
        problems.raise_any()

    def _next(self) -> list[str] | None:
        try:
            return next(self._lines, None)
        except UnicodeDecodeError:
            raise Rejected("is not UTF-8; save it as CSV UTF-8", "file") from None
        except csv.Error as error:
            raise Rejected(f"line {self._lines.line_num} cannot be read as CSV: {error}", "file") from None

    def _check_header(self) -> None:
        required = [column.name for column in self._columns.values() if column.required]
        if len(self._header) < 2 and any(mark in "".join(self._header) for mark in ";\t"):
            self._problems.add("row 1", "separates columns with semicolons or tabs; write commas")
            return
        for place, name in enumerate(self._header, 1):
            if name in self._header[: place - 1]:
                self._problems.add("row 1", f"has the column {quoted(name)} twice")
            elif name in self._columns or (self._metadata and self._is_metadata(name)):
                continue
            else:
                self._problems.add("row 1", f"has the column {quoted(name)}, which is not known; {self._nearest(name)}")
        for name in required:
            if name not in self._header:
                self._problems.add("row 1", f"lacks the column {quoted(name)}")

    def _is_metadata(self, name: str) -> bool:
        return name.startswith(METADATA) and 0 < len(name) - len(METADATA) <= 100

    def _nearest(self, name: str) -> str:
        known = [*self._columns, *([METADATA + "<name>"] if self._metadata else [])]
        near = difflib.get_close_matches(name.lower().replace(" ", "_"), known, 1)
        return f"did you mean {quoted(near[0])}?" if near else f"known are {listed(known).replace(' or ', ' and ')}"

    def rows(self) -> Iterator[Row]:
        """The rows that can be read; mistakes in the others are noted."""
        number = 1
        while (cells := self._next()) is not None:
            number += 1
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(self._header):
                self._problems.add(f"row {number}", f"has {len(cells)} cells, and the header has {len(self._header)}")
                continue
            if (fields := self._fields(number, cells)) is not None:
                yield Row(number, self._lines.line_num, fields)

    def _fields(self, number: int, cells: Sequence[str]) -> dict[str, Any] | None:
        """The row's values; None after noting what is wrong with them."""
        fields: dict[str, Any] = {}
        metadata: dict[str, str] = {}
        is_right = True
        for name, cell in zip(self._header, cells, strict=True):
            cell = unguarded(cell.strip())
            try:
                if name not in self._columns:
                    if cell:
                        metadata[_metadata_name(name.removeprefix(METADATA))] = _metadata_value(cell)
                    continue
                value = self._value(self._columns[name], cell)
            except ValueError as error:
                self._problems.add(f"row {number}, {name}", str(error))
                is_right = False
                continue
            if value is not UNSAID:
                fields[name] = value
        if len(metadata) > _METADATA_MAX:
            self._problems.add(f"row {number}", f"has {len(metadata)} entries of metadata; {_METADATA_MAX} are allowed")
            is_right = False
        if any(name not in self._columns for name in self._header):
            fields["metadata"] = metadata
        return fields if is_right else None

    def _value(self, column: Column, cell: str) -> Any:
        if cell:
            return column.read(cell)
        if column.required:
            raise ValueError("must not be empty")
        return column.empty() if callable(column.empty) else column.empty
