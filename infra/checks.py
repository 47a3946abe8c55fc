"""Check the invariants over the whole database, a portion at a time: at once for a person, in slices for the worker.

A check that the worker makes has a row of its own: any process goes on with it where another one stopped.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from domain import invariants
from domain.invariants import Breach, breaches
from domain.windows import epoch_ms
from infra.books import PORTION, RECOUNTED_MAX, Place, Portion, Room, read_portion
from infra.clock import Clock
from infra.rows import as_json, fetch
from infra.unit_of_work import unit_of_work

#: Breaches that are kept; when there are more, their number says so.
BREACHES_MAX = 500
#: From one check's beginning to the next one's.
CHECK_EVERY = timedelta(hours=1)
#: How long the rows of finished checks are kept.
KEPT_FOR = timedelta(days=90)


@dataclass(slots=True)
class Checked:
    """What was looked at, and what does not hold."""

    transactions_count: int = 0
    commissions_count: int = 0
    events_count: int = 0
    #: Each once, at most `BREACHES_MAX`: a credit is looked at with its charge, and once more by itself.
    breaches: dict[Breach, None] = field(default_factory=dict)
    #: True: there are more than are kept.
    more: bool = False

    def add(self, portion: Portion, as_of: datetime) -> list[Breach]:
        """Judge a portion; the breaches that were not known before and are kept."""
        self.transactions_count += portion.transactions_count
        self.commissions_count += portion.commissions_count
        self.events_count += portion.events_count
        found = [breach for breach in breaches(portion.books, as_of) if breach not in self.breaches]
        kept = list(dict.fromkeys(found))[: BREACHES_MAX - len(self.breaches)]
        self.more = self.more or len(set(found)) > len(kept)
        self.breaches |= dict.fromkeys(kept)
        return kept

    def document(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "transactions": self.transactions_count,
            "commissions": self.commissions_count,
            "events": self.events_count,
            "invariants": len(invariants.ALL),
            "breaches": [
                {
                    "invariant": breach.invariant,
                    "subject": breach.subject,
                    "message": breach.message,
                    "indicates": indicated_by(breach),
                }
                for breach in self.breaches
            ],
            "more_breaches": self.more,
        }


def indicated_by(breach: Breach) -> str:
    """What a breach indicates, in a sentence."""
    said = next(each.__doc__ or "" for each in invariants.ALL if each.__name__ == breach.invariant)
    return said.strip().split("\n\n")[0].removeprefix("A failure indicates ").replace("\n", " ")


def check_all(
    engine: Engine, clock: Clock, told: Callable[[int, int], None] = lambda done, total: None, portion: int = PORTION
) -> Checked:
    """Check everything now, holding one portion in memory at a time; `told` hears how many transactions are done."""
    checked = Checked()
    place: Place | None = Place()
    with consistent(engine) as connection:
        with unit_of_work(connection):
            total: int = fetch(connection, "select count(*) as n from transactions")[0].n
        while place is not None:
            with unit_of_work(connection):
                found = read_portion(connection, place, portion)
            checked.add(found, clock())
            told(checked.transactions_count, total)
            place = found.following
    return checked


# What the worker does in slices.


@dataclass(frozen=True, slots=True)
class Step:
    """One portion of a check, done."""

    #: Not known before.
    found: list[Breach]
    #: The whole check, if this was its last portion.
    finished: Checked | None


def take_step(connection: Connection, now: datetime) -> Step | None:
    """Check the next portion and note how far that is; None where no check is due.

    The caller's transaction is REPEATABLE READ and nobody else's step.
    """
    row = _open_check(connection, now)
    if row is None:
        return None
    checked = Checked(
        row.transactions_count,
        row.commissions_count,
        row.events_count,
        dict.fromkeys(Breach(*breach) for breach in row.breaches),
        row.more_breaches,
    )
    portion = read_portion(connection, Place(Room(row.room), row.after), recounted_max=RECOUNTED_MAX)
    found = checked.add(portion, now)
    _note(connection, row.id, checked, portion.following, now)
    return Step(found, checked if portion.following is None else None)


def last_finished(connection: Connection) -> dict[str, Any] | None:
    """What the worker's last whole check looked at and found; None before the first."""
    rows = fetch(connection, "select * from checks where finished_at is not null order by id desc limit 1")
    if not rows:
        return None
    row = rows[0]
    found = dict.fromkeys(Breach(*breach) for breach in row.breaches)
    checked = Checked(row.transactions_count, row.commissions_count, row.events_count, found, row.more_breaches)
    return {"finished_at": epoch_ms(row.finished_at), **checked.document()}


def consistent(engine: Engine) -> Connection:
    """A connection whose transactions each see one moment of the database."""
    return engine.connect().execution_options(isolation_level="REPEATABLE READ")


def _open_check(connection: Connection, now: datetime) -> Any:
    """The row of the check at hand; a new one if the last began long enough ago."""
    last = fetch(connection, "select * from checks order by id desc limit 1")
    if last and last[0].finished_at is None:
        return last[0]
    if last and now < last[0].started_at + CHECK_EVERY:
        return None
    connection.execute(text("delete from checks where finished_at < :then"), {"then": now - KEPT_FOR})
    return fetch(connection, "insert into checks (started_at, room) values (:now, :room) returning *",
                 now=now, room=Room.PAYMENTS)[0]  # fmt: skip


def _note(connection: Connection, check: int, checked: Checked, following: Place | None, now: datetime) -> None:
    connection.execute(
        text("""
            update checks set room = coalesce(:room, room), after = coalesce(:after, after), finished_at = :finished_at,
                transactions_count = :transactions, commissions_count = :commissions, events_count = :events,
                breaches = cast(:breaches as jsonb), more_breaches = :more
            where id = :id
        """),
        {
            "id": check,
            "room": following.room if following else None,
            "after": following.after if following else None,
            "finished_at": now if following is None else None,
            "transactions": checked.transactions_count,
            "commissions": checked.commissions_count,
            "events": checked.events_count,
            "breaches": as_json(_rows(checked.breaches)),
            "more": checked.more,
        },
    )


def _rows(found: Iterable[Breach]) -> Iterable[tuple[str, str, str]]:
    return ((breach.invariant, breach.subject, breach.message) for breach in found)
