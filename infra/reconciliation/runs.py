"""Runs as rows: asked for, due, stepped on, finished or failed. Every change is part of the caller's transaction."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, text

from domain.windows import epoch_ms
from infra.rows import fetch

Scope = Literal["events", "whole"]
RequestedBy = Literal["schedule", "api", "cli"]


class Phase(StrEnum):
    """Where a run stands; in this order, those after `SETTLING` only where the scope is whole."""

    #: Pages of the provider's event list; what the inbox lacks is stored.
    EVENTS = "events"
    #: Until what was stored is processed.
    SETTLING = "settling"
    #: Pages of subscriptions.
    SUBSCRIPTIONS = "subscriptions"
    #: Pages of paid invoices.
    INVOICES = "invoices"
    #: Pages of what takes back of them.
    REFUNDS = "refunds"
    CREDIT_NOTES = "credit_notes"
    DISPUTES = "disputes"
    #: One by one, what we have and the lists did not show.
    EXTRAS = "extras"
    #: Both sides beside each other; what differs is stored as an event.
    COMPARING = "comparing"
    #: One by one, customers whom nothing has described.
    CUSTOMERS = "customers"
    #: Until the repairs are processed.
    REPAIRING = "repairing"
    #: Both sides beside each other once more.
    REPORTING = "reporting"


class Progress(msgspec.Struct):
    """What a run has counted so far, and what it still means to do."""

    events_listed: int = 0
    #: Of those, what the inbox lacked, by type.
    events_missing: dict[str, int] = {}
    #: The first of their keys.
    event_keys: list[str] = []
    #: Since when the phase at hand has lasted.
    phase_since: datetime | None = None
    #: Customers to ask for.
    customers: list[str] = []
    #: How many of our own objects were asked for one by one.
    extras_asked: int = 0
    #: What could not be listed, and why.
    refused: dict[str, str] = {}
    #: Since when events are missing that the provider keeps no longer.
    events_lost_since: datetime | None = None
    #: Objects that today's code cannot read, and why.
    unreadable: dict[str, str] = {}
    repairs_stored: int = 0


@dataclass(slots=True)
class Run:
    """One reconciliation."""

    id: int
    provider: str
    scope: Scope
    dry_run: bool
    asked_since: datetime | None
    #: From when on events are listed, and invoices; until when the run looks. None before it has started.
    events_since: datetime | None
    since: datetime | None
    until: datetime | None
    state: str
    phase: Phase
    cursor: str | None
    attempts: int
    progress: Progress = field(default_factory=Progress)


_COLUMNS = (
    "id, provider, scope, dry_run, asked_since, events_since, since, until, state, phase, cursor, attempts, progress"
)


def request(
    connection: Connection,
    provider: str,
    now: datetime,
    *,
    requested_by: RequestedBy,
    scope: Scope = "whole",
    dry_run: bool = False,
    since: datetime | None = None,
) -> int:
    """Ask for a run; its id. One that is open and was asked for the same is that one, and due at once."""
    asked = {"provider": provider, "scope": scope, "dry_run": dry_run, "since": since}
    connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended('reconciliation ' || cast(:provider as text), 0))"),
        {"provider": provider},
    )
    known = fetch(
        connection,
        """
        select id from reconciliations where next_attempt_at is not null and provider = :provider and scope = :scope
            and dry_run = :dry_run and asked_since is not distinct from cast(:since as timestamptz) limit 1
        """,
        **asked,
    )
    if known:
        connection.execute(
            text("update reconciliations set next_attempt_at = least(next_attempt_at, :now) where id = :id"),
            {"id": known[0].id, "now": now},
        )
        return int(known[0].id)
    made = fetch(
        connection,
        """
        insert into reconciliations (provider, scope, dry_run, asked_since, requested_by, next_attempt_at, created_at)
        values (:provider, :scope, :dry_run, :since, :requested_by, :now, :now) returning id
        """,
        **asked,
        requested_by=requested_by,
        now=now,
    )
    return int(made[0].id)


def request_due(connection: Connection, provider: str, now: datetime, every: dict[Scope, timedelta]) -> int | None:
    """Ask for the run that the schedule wants, if the last one of its scope is so long ago; a whole one is both."""
    latest = {
        row.scope: row.at
        for row in fetch(
            connection,
            """
            select scope, max(created_at) as at from reconciliations
            where provider = :provider and not dry_run and asked_since is null group by scope
            """,
            provider=provider,
        )
    }
    for scope in ("whole", "events"):
        last = max((latest[each] for each in ("whole", scope) if each in latest), default=None)
        if last is None or now - last >= every[scope]:
            return request(connection, provider, now, requested_by="schedule", scope=scope)
    return None


def next_due(connection: Connection, provider: str, now: datetime) -> Run | None:
    """The oldest run of a provider that is due; None: none is."""
    rows = fetch(
        connection,
        f"select {_COLUMNS} from reconciliations where provider = :provider and next_attempt_at <= :now"
        " order by id limit 1",
        provider=provider,
        now=now,
    )
    if not rows:
        return None
    found = dict(rows[0]._mapping)
    found |= {"phase": Phase(found["phase"]), "progress": msgspec.convert(found["progress"], Progress, strict=False)}
    return Run(**found)


def save(connection: Connection, run: Run, due_at: datetime) -> None:
    """Write how far a run has come after a step that succeeded."""
    run.state, run.attempts = "running", 0
    _write(connection, run, next_attempt_at=due_at, reason=None, finished_at=None)


def postpone(connection: Connection, run: Run, due_at: datetime, reason: str) -> None:
    """Write that a step has failed and when it is tried again; where it stands stays."""
    connection.execute(
        text("""
            update reconciliations set attempts = attempts + 1, next_attempt_at = :due_at, reason = :reason
            where id = :id and next_attempt_at is not null
        """),
        {"id": run.id, "due_at": due_at, "reason": reason},
    )


def finish(connection: Connection, run: Run, now: datetime, report: dict[str, Any] | None, reason: str | None) -> None:
    """Write the end of a run: with its report, or without one and with the reason why it failed."""
    run.state = "failed" if report is None else "finished"
    connection.execute(text("delete from reconciliation_objects where reconciliation_id = :id"), {"id": run.id})
    _write(connection, run, next_attempt_at=None, reason=reason, finished_at=now)
    connection.execute(
        text("update reconciliations set report = cast(:report as jsonb), found = null where id = :id"),
        {"id": run.id, "report": None if report is None else msgspec.json.encode(report).decode()},
    )


def _write(connection: Connection, run: Run, **ending: object) -> None:
    connection.execute(
        text("""
            update reconciliations set state = :state, phase = :phase, cursor = :cursor, attempts = :attempts,
                events_since = :events_since, since = :since, until = :until, progress = cast(:progress as jsonb),
                next_attempt_at = :next_attempt_at, reason = :reason, finished_at = :finished_at
            where id = :id
        """),
        {
            "id": run.id,
            "state": run.state,
            "phase": run.phase,
            "cursor": run.cursor,
            "attempts": run.attempts,
            "events_since": run.events_since,
            "since": run.since,
            "until": run.until,
            "progress": msgspec.json.encode(run.progress).decode(),
            **ending,
        },
    )


# What was found before repairs.


def save_found(connection: Connection, run: Run, found: bytes) -> None:
    """Keep what was found before anything is repaired."""
    connection.execute(
        text("update reconciliations set found = cast(:found as jsonb) where id = :id"),
        {"id": run.id, "found": found.decode()},
    )


def load_found(connection: Connection, run: Run) -> Any:
    """What was found before anything was repaired; None: nothing was compared yet."""
    return fetch(connection, "select found from reconciliations where id = :id", id=run.id)[0].found


# Watermarks.


def watermark(connection: Connection, provider: str) -> datetime | None:
    """Up to when a provider's events were listed; None: never."""
    rows = fetch(connection, "select listed_until from watermarks where provider = :provider", provider=provider)
    return rows[0].listed_until if rows else None


def move_watermark(connection: Connection, provider: str, listed_until: datetime) -> None:
    """Say that every event up to a moment was listed and is in the inbox, in the transaction that makes it so."""
    connection.execute(
        text("""
            insert into watermarks (provider, listed_until) values (:provider, :until)
            on conflict (provider) do update set listed_until = greatest(watermarks.listed_until, excluded.listed_until)
        """),
        {"provider": provider, "until": listed_until},
    )


# Reading.


def list_runs(
    connection: Connection, *, limit: int = 20, before: int | None = None, run_id: int | None = None
) -> list[Any]:
    """Runs as documents, the newest first; times in epoch milliseconds."""
    rows = fetch(
        connection,
        """
        select id, provider, scope, dry_run, requested_by, state, phase, reason, attempts, asked_since, events_since,
            since, until, created_at, next_attempt_at, finished_at, progress, report
        from reconciliations
        where (cast(:before as bigint) is null or id < :before) and (cast(:id as bigint) is null or id = :id)
        order by id desc limit :limit
        """,
        before=before,
        id=run_id,
        limit=limit,
    )
    return [_document(row) for row in rows]


def _document(row: Any) -> dict[str, Any]:
    return {name: epoch_ms(value) if isinstance(value, datetime) else value for name, value in row._mapping.items()}
