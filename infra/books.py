"""The books as PostgreSQL holds them, in portions that `domain.invariants` can judge by themselves.

Read each portion in one REPEATABLE READ transaction: between two statements somebody may book.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from domain.books import BookedCommission, BookedEntry, BookedLine, BookedTransaction, Books, InboxRows
from domain.case import CaseFile
from domain.judge import charge_of_whole
from domain.transactions import Transaction
from infra import tallies
from infra.ledger.case_files import load_credit_file
from infra.rows import fetch

#: Transactions, or subjects of other occasions, in one portion.
PORTION = 500
#: Inbox rows counted in one portion.
INBOX_PORTION = 100_000
#: Bytes of rows that a worker counts at once, to see whether the tallies are right: a few seconds' worth. Where there
#: are more, a person has it done.
RECOUNTED_MAX = 2 * 1024**3


class Room(StrEnum):
    """The parts of the books, in the order in which they are walked through."""

    PAYMENTS = "payments"
    OCCASIONS = "occasions"
    INBOX = "inbox"


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has come: everything in the rooms before, and in this room up to `after`."""

    room: Room = Room.PAYMENTS
    after: str = ""


@dataclass(frozen=True, slots=True)
class Portion:
    """A slice of the books, and where the next one begins; None: it was the last."""

    books: Books
    following: Place | None
    transactions_count: int = 0
    commissions_count: int = 0
    events_count: int = 0


def read_portion(
    connection: Connection, place: Place, count: int = PORTION, *, recounted_max: int | None = None
) -> Portion:
    """The slice after a place. The last has the tallies beside what they count, up to so many bytes of rows."""
    match place.room:
        case Room.PAYMENTS:
            return _payments(connection, place.after, count)
        case Room.OCCASIONS:
            return _occasions(connection, place.after, count)
        case Room.INBOX:
            return _inbox(connection, int(place.after or 0), recounted_max)


def _payments(connection: Connection, after: str, count: int) -> Portion:
    rows = fetch(
        connection,
        "select key from transactions where key > :after order by key limit :count",
        after=after,
        count=count,
    )
    keys = [row.key for row in rows]
    case = load_credit_file(connection, keys)
    booked = fetch(connection, _COMMISSIONS.format("c.transaction_key = any(:keys)"), keys=sorted(case.transactions))
    paid = tuple(_transaction(each, case) for each in case.transactions.values())
    asked = set(keys)
    return Portion(
        Books(tuple(map(_commission, booked)), _entries(connection, booked), paid),
        Place(Room.PAYMENTS, keys[-1]) if len(keys) == count else Place(Room.OCCASIONS),
        transactions_count=len(keys),
        commissions_count=sum(row.transaction_key in asked for row in booked),
    )


def _occasions(connection: Connection, after: str, count: int) -> Portion:
    """What was earned on other occasions than payments, whole subjects at a time."""
    rows = fetch(
        connection,
        "select distinct subject from commissions where subject > :after order by subject limit :count",
        after=after,
        count=count,
    )
    subjects = [row.subject for row in rows]
    booked = fetch(connection, _COMMISSIONS.format("c.subject = any(:subjects)"), subjects=subjects)
    return Portion(
        Books(tuple(map(_commission, booked)), _entries(connection, booked)),
        Place(Room.OCCASIONS, subjects[-1]) if len(subjects) == count else Place(Room.INBOX),
        commissions_count=len(booked),
    )


def _inbox(connection: Connection, after: int, recounted_max: int | None) -> Portion:
    rows = fetch(
        connection,
        """
        select provider, state, count(*) as count, min(next_attempt_at) as due_at,
            count(*) filter (where next_attempt_at is null) as not_due_count,
            count(*) filter (where coalesce(reason, '') = '') as no_reason_count
        from inbox where id > :after and id <= :upto group by provider, state order by provider, state
        """,
        after=after,
        upto=after + INBOX_PORTION,
    )
    further = fetch(connection, "select min(id) as id from inbox where id > :upto", upto=after + INBOX_PORTION)[0].id
    recount = further is None and (recounted_max is None or tallies.size(connection) <= recounted_max)
    return Portion(
        Books(
            inbox=tuple(InboxRows(*row) for row in rows),
            tallies=tallies.compared(connection) if recount else (),
        ),
        None if further is None else Place(Room.INBOX, str(further - 1)),
        events_count=sum(row.count for row in rows),
    )


_COMMISSIONS = """
select c.*, coalesce(v.definition -> 'action' ->> 'type' = 'flat', false) as flat from commissions c
join trigger_versions v on v.key = c.trigger_key and v.version = c.trigger_version
where {} order by c.key
"""


def _commission(row: Any) -> BookedCommission:
    return BookedCommission(
        key=row.key,
        trigger_key=row.trigger_key,
        event=row.event,
        occasion_key=row.occasion_key,
        line_key=row.line_key,
        partner_key=row.partner_key,
        currency=row.currency,
        instalment=row.instalment,
        part=row.part,
        state=row.state,
        amount_minor=row.amount_minor,
        flat=row.flat,
        adjusts=row.adjusts,
        decline_reason=row.decline_reason,
        due_at=row.due_at,
    )


def _entries(connection: Connection, booked: Collection[Any]) -> tuple[BookedEntry, ...]:
    rows: Sequence[Any] = fetch(
        connection,
        """
        select commission_key, seq, amount_minor, balance_minor, booked_at from commission_entries
        where commission_key = any(:keys) order by commission_key, seq
        """,
        keys=[row.key for row in booked],
    )
    return tuple(BookedEntry(*row) for row in rows)


def _transaction(paid: Transaction, case: CaseFile) -> BookedTransaction:
    lines = tuple(
        BookedLine(
            line.key,
            line.gross_minor,
            line.discount_minor,
            line.reversed_minor,
            _charge(case.chains, paid.key, line.key),
        )
        for line in paid.lines
    )
    return BookedTransaction(paid.key, paid.currency, lines, charge_of_whole(paid, case))


def _charge(
    chains: Mapping[tuple[str, str], Sequence[tuple[str, str]]], transaction_key: str, line_key: str
) -> tuple[str, str] | None:
    chain = chains.get((transaction_key, line_key))
    return chain[0] if chain else None
