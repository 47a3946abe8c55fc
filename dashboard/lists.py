"""Lists by cursor: a page follows an item, not a number, so it stays right while rows arrive.

The cursor is an item's key; it need not pass the filters any more. Newest first, ties by key.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Key, QueryMilliseconds
from domain.errors import Rejected
from infra.rows import fetch

T = TypeVar("T")

LIMIT_MAX = 250


class Period(BaseModel):
    """What every list and file takes; one with filters extends it."""

    model_config = ConfigDict(extra="forbid")

    min_created: Annotated[QueryMilliseconds | None, Field(description="Only items created then or later.")] = None
    max_created: Annotated[QueryMilliseconds | None, Field(description="Only items created then or earlier.")] = None


class Page(Period):
    """One page of a list."""

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="Items on a page.")] = 10
    starting_after: Annotated[Key | None, Field(description="Key of an item: the page after it.")] = None
    ending_before: Annotated[Key | None, Field(description="Key of an item: the page before it.")] = None
    order_by: Annotated[Literal["-created_at", "created_at"], Field(description="Newest first, or oldest first.")] = (
        "-created_at"
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is of, whichever page: a query and conditions as `listed` takes them, with what is bound in them."""

    select: str
    conditions: Sequence[str] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)

    def created_in(self, period: Period) -> "Wanted":
        """Those of them that were created then."""
        conditions, parameters = [*self.conditions], {**self.parameters}
        if period.min_created is not None:
            conditions.append("created_at >= to_timestamp(:min_created / 1000.0)")
            parameters["min_created"] = period.min_created
        if period.max_created is not None:
            conditions.append("created_at < to_timestamp((:max_created + 1) / 1000.0)")
            parameters["max_created"] = period.max_created
        return Wanted(self.select, conditions, parameters)

    def query(self, *conditions: str) -> str:
        """All that fit, these conditions included."""
        every = [f"({each})" for each in (*self.conditions, *conditions)]
        return f"select * from ({self.select}) listed {'where' if every else ''} {' and '.join(every)}"


def listed(
    connection: Connection,
    select: str,
    page: Page,
    as_item: Callable[[Any], T],
    *,
    conditions: Sequence[str] = (),
    **parameters: object,
) -> Answer[Items[T]]:
    """One page of `select`, which gives a unique text `key` and an aware `created_at` beside what `as_item` reads.

    `conditions` are SQL on its columns, with `parameters` bound; `select` itself filters nothing but what its caller
    may not know of. Raises Rejected for a cursor that is no item's key.
    """
    rows, has_more = fetch_page(connection, select, page, conditions=conditions, **parameters)
    count = f"{len(rows)} item" if len(rows) == 1 else f"{len(rows)} items"
    return answered(Items(items=[as_item(row) for row in rows], has_more=has_more), count)


def fetch_page(
    connection: Connection, select: str, page: Page, *, conditions: Sequence[str] = (), **parameters: object
) -> tuple[list[Any], bool]:
    """The rows of one page, and whether more follow in the direction asked; see `listed`."""
    backwards = page.ending_before is not None
    descending = (page.order_by == "-created_at") != backwards
    wanted = Wanted(select, conditions, parameters).created_in(page)
    after, bound = [], {**wanted.parameters, "page_limit": page.limit + 1}
    if (cursor := _cursor(connection, select, page, parameters)) is not None:
        after.append(f"(created_at, key) {'<' if descending else '>'} (:cursor_created_at, :cursor_key)")
        bound |= {"cursor_created_at": cursor.created_at, "cursor_key": cursor.key}
    order = "desc" if descending else "asc"
    query = f"{wanted.query(*after)} order by created_at {order}, key {order} limit :page_limit"
    rows = fetch(connection, query, **bound)
    shown = list(rows[: page.limit])
    return shown[::-1] if backwards else shown, len(rows) > page.limit


def _cursor(connection: Connection, select: str, page: Page, parameters: dict[str, object]) -> Any | None:
    if page.starting_after is not None and page.ending_before is not None:
        raise Rejected("cannot be combined with starting_after; use one of the two", "ending_before")
    name = "ending_before" if page.ending_before is not None else "starting_after"
    key = page.ending_before or page.starting_after
    if key is None:
        return None
    found = fetch(
        connection,
        f"select key, created_at from ({select}) listed where key = :cursor_key",
        cursor_key=key,
        **parameters,
    )
    if not found:
        raise Rejected("is no item of this list; use the `key` of an item that a page has shown", name)
    return found[0]
