"""Erasures that are asked for: noted in a row, searched for portion by portion, then done by a worker all at once.

All of a step is in the caller's transaction, so any process goes on where another one stopped.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from domain.errors import Missing, TryLater
from domain.windows import epoch_ms
from infra.audit import record_change
from infra.erasure.erasing import erase
from infra.erasure.mentions import PORTION, mentioned
from infra.erasure.persons import Person, person_called
from infra.program import ProgramReader
from infra.rows import as_json, fetch, run
from infra.settings import Settings

log = structlog.get_logger()

#: Numbers below the last that was read, which may be committed late: far more than the receiver has in flight.
_LATE_COUNT = 10_000
#: How long what cannot be done yet waits.
_AGAIN_AFTER = timedelta(minutes=1)


def erase_found(
    connection: Connection, settings: Settings, person: Person, events: Collection[int], last: int
) -> dict[str, Any]:
    """Erase a person with what was found up to event `last`, and with what came in since. Raises TryLater."""
    program = ProgramReader(settings).read(connection)
    found = erase(connection, person, {*events, *_arrived_since(connection, person, last)}, program)
    return {"customer": person.key, "customer_key": person.customer_key, **asdict(found)}


def note_erased(connection: Connection, actor: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Write down who erased whom, by key; the numbers of it."""
    counts = {name: value for name, value in found.items() if name not in ("customer", "customer_key")}
    subject = f"customer:{found['customer']}"
    record_change(connection, actor=actor, action="customer.erased", subject=subject, details=counts)
    return counts


def _arrived_since(connection: Connection, person: Person, last: int) -> set[int]:
    events: set[int] = set()
    after: int | None = max(last - _LATE_COUNT, 0)
    while after is not None:
        portion = mentioned(connection, person, after)
        events |= set(portion.events)
        after = portion.after
    return events


def request_erasure(connection: Connection, key: str, by: str, now: datetime) -> tuple[dict[str, Any], bool]:
    """Ask for it; as a document, and whether it is new: while one is open, there is no second. Raises Missing."""
    person = person_called(connection, key)
    count = run(
        connection,
        """
        insert into erasures (customer, requested_by, requested_at, next_attempt_at) values (:customer, :by, :now, :now)
        on conflict (customer) where finished_at is null do nothing
        """,
        customer=person.key,
        by=by,
        now=now,
    )
    return erasures_of(connection, key)[0], count == 1


def erasures_of(connection: Connection, key: str) -> list[dict[str, Any]]:
    """All that were asked for of a customer, the newest first. Raises Missing."""
    person = person_called(connection, key)
    rows = fetch(connection, "select * from erasures where customer = :customer order by id desc", customer=person.key)
    return [_document(row) for row in rows]


def take_erasure_step(connection: Connection, settings: Settings, now: datetime, count: int = PORTION) -> bool:
    """Read `count` events for the erasure that has waited longest, or do it; whether there was one to go on with."""
    rows = fetch(
        connection,
        """
        select * from erasures where finished_at is null and next_attempt_at <= :now
        order by next_attempt_at, id limit 1 for update skip locked
        """,
        now=now,
    )
    if not rows:
        return False
    row = rows[0]
    try:
        person = person_called(connection, row.customer)
    except Missing:
        # Somebody linked them meanwhile: they go by another key.
        _write(connection, row.id, reason="it is called otherwise now; ask by its present key", finished_at=now)
        return True
    portion = mentioned(connection, person, row.after, count)
    if portion.after is None:
        _finish(connection, settings, row, person, now)
    else:
        _write(connection, row.id, after=portion.after, events=[*row.events, *portion.events], next_attempt_at=now)
    return True


def _finish(connection: Connection, settings: Settings, row: Any, person: Person, now: datetime) -> None:
    try:
        with connection.begin_nested():
            found = erase_found(connection, settings, person, row.events, row.after)
    except TryLater as error:
        log.info("erasure.postponed", customer=row.customer)
        _write(connection, row.id, reason=str(error), next_attempt_at=now + _AGAIN_AFTER)
        return
    counts = note_erased(connection, row.requested_by, found)
    log.info("customer.erased", customer=row.customer, events=found["events"])
    # Which events they were is said nowhere any more.
    _write(connection, row.id, outcome=counts, reason=None, events=[], finished_at=now)


def _write(connection: Connection, erasure: int, **changed: Any) -> None:
    names = ", ".join(changed)
    chosen = f"select {names} from json_populate_record(null::erasures, cast(:changed as json) -> 0)"
    run(
        connection,
        f"update erasures set ({names}) = ({chosen}) where id = :id",
        id=erasure,
        changed=as_json([changed]),
    )


def _document(row: Any) -> dict[str, Any]:
    state = "requested" if row.finished_at is None else "finished" if row.outcome is not None else "refused"
    return {
        "key": str(row.id),
        "state": state,
        "requested_by": row.requested_by,
        "requested_at": epoch_ms(row.requested_at),
        "finished_at": None if row.finished_at is None else epoch_ms(row.finished_at),
        "reason": row.reason,
        "outcome": row.outcome,
    }
