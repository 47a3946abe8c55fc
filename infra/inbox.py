"""The inbox as a queue: claim what is due, mark what became of it.

A claim is a lease: it commits before the work begins, with the attempt counted, so that an event which kills its
worker is counted too. It ends with the mark, when the lease runs out, or when the claiming connection is gone.

    received --claim--> (leased) --mark--> processed | ignored | waiting | dead, or received again later
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Connection

from domain.errors import CannotProcess, TryLater
from infra.bodies import decode
from infra.rows import as_json, fetch, run

log = structlog.get_logger()

#: Longer than any batch may take (the worker's statement timeout and watchdog end it before).
LEASE = timedelta(seconds=60)
#: For so long what came due is called new.
JUST_DUE = timedelta(seconds=10)
#: An event whose worker vanished this often is what makes it vanish: the last time it was alone.
CLAIMS_LOST_MAX = 4
#: Suspects that are tried together after one lost worker, and after two; after three each is alone.
SUSPECTS_MAX = 25
SUSPECTS_AGAIN_MAX = 5


class InboxState(StrEnum):
    """Where an envelope stands. Every row is processed, ignored, dead, or due at `next_attempt_at`."""

    #: Stored and due. The drain moves it on.
    RECEIVED = "received"
    #: A named thing is missing; looked at again when due, or when the thing arrives.
    WAITING = "waiting"
    #: Its effects and this mark committed together. A replay moves it back to received.
    PROCESSED = "processed"
    #: Of no use here, or a person said so with a reason. A replay moves it back.
    IGNORED = "ignored"
    #: No retry will help until code or facts change. A replay moves it back, a person may ignore it.
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A verified event as received."""

    id: int
    provider: str
    event_key: str
    event_type: str
    occurred_at: datetime
    livemode: bool | None
    account: str | None
    #: This one included.
    attempts: int
    body_codec: int
    stored_body: bytes | None
    body_bytes: int

    @property
    def cause(self) -> str:
        """How effects name this event."""
        return f"{self.provider}:{self.event_key}"

    def body(self) -> bytes:
        """The exact bytes that were received. Raises CannotProcess if they were erased."""
        if self.stored_body is None:
            raise CannotProcess("its body was erased")
        return decode(self.body_codec, self.stored_body, self.body_bytes)


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one claimed envelope."""

    id: int
    #: As claimed: the mark applies to that claim only.
    attempts: int
    state: InboxState
    #: When it is due again; None exactly in final states.
    next_attempt_at: datetime | None = None
    reason: str | None = None
    fingerprint: str | None = None
    #: What it caused, as keys.
    outcome: dict[str, list[str]] | None = None


#: How soon an envelope that waits is looked at again, unless the missing thing comes first; and at the latest.
WAITING_MIN, WAITING_MAX = timedelta(minutes=5), timedelta(days=1)


def waiting_until(envelope: Envelope, now: datetime) -> datetime:
    """When to look again at what misses something: the older it is, the less often, but every day.

    What never comes costs next to nothing, however much of it there is.
    """
    return now + min(max((now - envelope.occurred_at) / 10, WAITING_MIN), WAITING_MAX)


class ClaimLost(TryLater):
    """Another worker has taken over: this one was given up for dead. Its transaction must be rolled back."""


#: Rows that were due before `since` are passed over unseen.
_CLAIM = """
with due as (
    select id, next_attempt_at from inbox
    where next_attempt_at <= now() and next_attempt_at >= {since}
        and claimed_by is null
    order by {order} limit :count for update skip locked
)
update inbox set attempts = attempts + 1, claimed_by = pg_backend_pid(), next_attempt_at = now() + :lease
from due where inbox.id = due.id
returning inbox.id, provider, event_key, event_type, occurred_at, livemode, account, attempts, body_codec, body,
    body_bytes, due.next_attempt_at
"""
CLAIM_OLDEST = _CLAIM.format(since="coalesce(cast(:since as timestamptz), '-infinity')", order="next_attempt_at, id")
_CLAIM_NEWEST = _CLAIM.format(since="now() - cast(:just as interval)", order="next_attempt_at desc, id desc")

#: How often a worker vanished with it since it was last marked. Attempts do not tell: most of them end in a mark.
_LOST = "coalesce(jsonb_array_length(outcome -> 'claims_lost'), 0)"

_CLAIM_SUSPECTS = f"""
with suspects as (
    select id, next_attempt_at, {_LOST} as lost from inbox where next_attempt_at <= now() and claimed_by is not null
), due as (
    select id from inbox
    where id in (
        select id from suspects where lost = (select min(lost) from suspects)
        order by next_attempt_at, id limit 2 * :count)
    and next_attempt_at <= now() and claimed_by is not null
    order by id limit (
        select case min(lost) when 0 then :count when 1 then :few else 1 end from suspects)
    for update skip locked
)
update inbox set attempts = attempts + 1, claimed_by = pg_backend_pid(), next_attempt_at = now() + :lease,
    outcome = coalesce(outcome, '{{}}') || jsonb_build_object(
        'claims_lost', coalesce(outcome -> 'claims_lost', '[]') || to_jsonb(cast(now() as text)))
from due where inbox.id = due.id
returning inbox.id, provider, event_key, event_type, occurred_at, livemode, account, attempts, body_codec, body,
    body_bytes
"""

_BURY = f"""
update inbox set state = 'dead', next_attempt_at = null, claimed_by = null, finished_at = now(),
    outcome = nullif(outcome - 'claims_lost', '{{}}'),
    reason = 'its worker died or hung with it ' || :most || ' times',
    fingerprint = provider || ' ' || event_type || ' WorkerLost'
where next_attempt_at <= now() and claimed_by is not null and {_LOST} + 1 >= :most
returning id, event_type, attempts
"""


def claim(connection: Connection, count: int) -> list[Envelope]:
    """Take up to `count` due envelopes, oldest first; commit before working on them."""
    return claim_on(connection, count, None)[0]


def claim_on(connection: Connection, count: int, since: datetime | None) -> tuple[list[Envelope], datetime | None]:
    """The same, of what came due at `since` or later; and where to go on from, None where less than `count` was due.

    What was finished stays in the index until vacuum has been there, which a long transaction anywhere keeps away:
    whoever works through a backlog and begins at its front each time looks at all of it again and again. What comes
    due behind `since`, because it was committed late or given back, only a claim from the front finds.
    """
    rows = fetch(connection, CLAIM_OLDEST, lease=LEASE, count=count, since=since)
    last = max((row.next_attempt_at for row in rows), default=None)
    return _envelopes(row[:-1] for row in rows), last if len(rows) == count else None


def claim_newest(connection: Connection, count: int) -> list[Envelope]:
    """Take up to `count` of what has just come due, newest first: in a backlog it is not to wait for all before it."""
    rows = fetch(connection, _CLAIM_NEWEST, lease=LEASE, count=count, just=JUST_DUE)
    return _envelopes(row[:-1] for row in rows)


def has_suspects(connection: Connection) -> bool:
    """Whether `claim_suspects` would find any: one look at an index, where that is several."""
    there_are = (
        "select exists (select from inbox where next_attempt_at <= now() and claimed_by is not null) as there_are"
    )
    return bool(fetch(connection, there_are)[0].there_are)


def claim_suspects(connection: Connection) -> list[Envelope]:
    """Take envelopes whose last worker vanished with them: fewer together each time, at last alone, or they are dead.

    Most of them were merely beside the one that did it, and those with the fewest losses come first.
    """
    for row in fetch(connection, _BURY, most=CLAIMS_LOST_MAX):
        log.error(
            "event.died", inbox_id=row.id, type=row.event_type, attempts=row.attempts, reason="its worker was lost"
        )
    rows = fetch(connection, _CLAIM_SUSPECTS, lease=LEASE, count=SUSPECTS_MAX, few=SUSPECTS_AGAIN_MAX)
    return _envelopes(rows)


def _envelopes(rows: Iterable[Sequence[Any]]) -> list[Envelope]:
    return sorted((Envelope(*row) for row in rows), key=lambda envelope: envelope.id)


def mark(connection: Connection, marks: Sequence[Mark]) -> None:
    """Write what became of claimed envelopes. Raises ClaimLost unless every one is still this connection's.

    One that waits for a named thing has not failed: its attempts count from the beginning again. What it once caused it
    has caused, though doing it again causes nothing.
    """
    if not marks:
        return
    written = run(
        connection,
        """
        update inbox set state = r.state, next_attempt_at = r.next_attempt_at, reason = r.reason,
            fingerprint = r.fingerprint, claimed_by = null,
            outcome = case when inbox.outcome ? 'commissions' then coalesce(r.outcome, '{}') || jsonb_build_object(
                'commissions', coalesce((select jsonb_agg(key order by key) from (
                    select jsonb_array_elements_text(nullif(inbox.outcome -> 'commissions', 'null')) as key
                    union select jsonb_array_elements_text(coalesce(r.outcome -> 'commissions', '[]'))) keys), '[]'))
                else r.outcome end,
            attempts = case r.state when 'waiting' then 0 else inbox.attempts end,
            finished_at = case when r.next_attempt_at is null then now() end
        from json_to_recordset(cast(:rows as json)) as r(
            id bigint, attempts int, state text, next_attempt_at timestamptz, reason text, fingerprint text,
            outcome jsonb)
        where inbox.id = r.id and inbox.attempts = r.attempts and inbox.claimed_by = pg_backend_pid()
        """,
        rows=as_json(marks),
    )
    if written != len(marks):
        raise ClaimLost(f"{len(marks) - written} of {len(marks)} claims were taken over")


def give_back(connection: Connection, envelopes: Sequence[Envelope], delay: timedelta) -> None:
    """Undo a claim whose work was not begun: due again after `delay`, the attempt not counted."""
    run(
        connection,
        """
        update inbox set attempts = attempts - 1, claimed_by = null, next_attempt_at = now() + :delay
        where id = any(:ids) and claimed_by = pg_backend_pid()
        """,
        ids=[envelope.id for envelope in envelopes],
        delay=delay,
    )


#: Whether a leased row was claimed since PostgreSQL was started. One backend's crash is no start.
_OF_THIS_SERVER = "next_attempt_at - cast(:lease as interval) >= pg_postmaster_start_time()"


def release_orphans(connection: Connection) -> int:
    """Make due what was claimed by connections that are gone; how many. Idempotent.

    A server that was restarted gives process ids out again: a backend younger than the claim did not make it. What was
    claimed before the server itself began is no suspect: the crash was the server's, and took every worker's claims.
    Which backends there are is known as of one moment: claims made since may be those of newer ones.
    """
    return run(
        connection,
        f"""
        update inbox set next_attempt_at = now(),
            claimed_by = case when {_OF_THIS_SERVER} then claimed_by end,
            attempts = case when {_OF_THIS_SERVER} then attempts else attempts - 1 end
        where next_attempt_at > now() and next_attempt_at <= now() + cast(:lease as interval)
            and claimed_by is not null and not exists (
            select from pg_stat_activity where pid = claimed_by
                and coalesce(backend_start, '-infinity') <= next_attempt_at - cast(:lease as interval))
        """,
        lease=LEASE,
    )


#: What is open or dead its indexes count; what is finished is history and tallied. All as of one moment.
COUNTS = """
select
    (select count(*) from inbox where next_attempt_at is not null) as open,
    (select count(*) from inbox where state = 'waiting') as waiting,
    (select count(*) from inbox where state = 'dead') as dead,
    cast(coalesce(sum(number) filter (where state = 'processed'), 0) as bigint) as processed,
    cast(coalesce(sum(number) filter (where state = 'ignored'), 0) as bigint) as ignored,
    (select coalesce(extract(epoch from now() - min(next_attempt_at)), 0) from inbox where next_attempt_at <= now())
        as oldest_due_s
from tallies where counted = 'events'
"""


def counts(connection: Connection) -> dict[str, int]:
    """Rows per state, and `oldest_due_s`: for how many whole seconds the longest waiting due row has been due.

    It costs what is open or dead, whatever there was before.
    """
    row = fetch(connection, COUNTS)[0]
    return {
        "received": row.open - row.waiting,
        "waiting": row.waiting,
        "processed": row.processed,
        "ignored": row.ignored,
        "dead": row.dead,
        "oldest_due_s": int(row.oldest_due_s),
    }


def due_count(connection: Connection) -> int:
    """How many rows are due or being worked on; zero means idle."""
    return int(
        fetch(
            connection,
            "select count(*) as n from inbox where next_attempt_at is not null"
            " and (next_attempt_at <= now() or claimed_by is not null)",
        )[0].n
    )
