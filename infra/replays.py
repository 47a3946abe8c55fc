"""What a person does about events: replay them with today's code, or ignore them with a reason. All of it audited.

An event that a worker has at hand is passed over: its outcome is seconds away. Replayed rows come due a portion per
second, behind what was replayed before, so that whatever arrives meanwhile waits for one portion at most.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.errors import Conflict, Missing, Rejected, TryLater
from domain.problems import is_storable
from domain.windows import epoch_ms
from infra.inbox import InboxState
from infra.ledger.addresses import ADDRESS
from infra.rows import fetch

#: Events changed in one transaction.
PORTION = 5_000
#: Replayed events that come due each second: a batch of the worker's, of which it does several.
DUE_PER_S = 200
REASON_LENGTH_MAX = 500
#: From these a person may put an event aside; the others are finished.
IGNORABLE = (InboxState.RECEIVED, InboxState.WAITING, InboxState.DEAD)

#: Writes down what was done: action, subject, details.
Audit = Callable[[str, str, Mapping[str, object]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which events are meant: all that fit everything that is set. At least one thing is."""

    id: int | None = None
    #: A group of dead letters.
    fingerprint: str | None = None
    provider: str | None = None
    event_type: str | None = None
    state: InboxState | None = None
    #: Received since, inclusive, and until, exclusive.
    since: datetime | None = None
    until: datetime | None = None
    #: Those that describe a provider's customer whom nobody has linked and whose address somebody linked has, or had.
    linkable: bool | None = None

    def __post_init__(self) -> None:
        if not self.parameters():
            raise Rejected(
                "names no events; give an id, a fingerprint, a provider, a type, a state or a time window", "filter"
            )

    def parameters(self) -> dict[str, Any]:
        """What is set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def condition(self) -> str:
        """SQL on `inbox` with these parameters."""
        return " and ".join(f"({_CONDITIONS[name]})" for name in self.parameters())

    def names_nothing(self) -> bool:
        """Whether a text in it can be in no row."""
        return not all(is_storable(value) for value in self.parameters().values() if isinstance(value, str))

    def described(self) -> dict[str, object]:
        """For the audit and for answers."""
        return {
            name: epoch_ms(value) if isinstance(value, datetime) else value for name, value in self.parameters().items()
        }


#: What a dead letter is grouped by, though nobody had said.
_GROUP = "coalesce(inbox.fingerprint, inbox.provider || ' ' || inbox.event_type)"

_LINKABLE = f"""
    :linkable and (inbox.provider, inbox.event_key) in (
        select d.provider, d.event_key from customer_descriptions d
        join provider_customers p using (provider, provider_customer_key)
        where p.customer is null and exists (
            select from customer_descriptions o join provider_customers q using (provider, provider_customer_key)
            where q.customer is not null and {ADDRESS.format("o.email")} = {ADDRESS.format("d.email")}))
"""

_CONDITIONS = {
    "id": "inbox.id = :id",
    "fingerprint": f"inbox.fingerprint = :fingerprint or inbox.state = 'dead' and {_GROUP} = :fingerprint",
    "provider": "inbox.provider = :provider",
    "event_type": "inbox.event_type = :event_type",
    "state": "inbox.state = :state",
    "since": "inbox.received_at >= :since",
    "until": "inbox.received_at < :until",
    "linkable": _LINKABLE,
}


@dataclass(frozen=True, slots=True)
class Changed:
    """What one portion came to."""

    count: int
    #: The last event looked at, where there may be more.
    after: int | None = None


def matching(connection: Connection, which: Which) -> int:
    """How many events are meant, whatever their state."""
    if which.names_nothing():
        return 0
    statement = f"select count(*) as n from inbox where {which.condition()}"
    return int(fetch(connection, statement, **which.parameters())[0].n)


def erased(connection: Connection, which: Which) -> int:
    """How many of them no replay can read again: their bodies were erased. What they caused stays."""
    if which.names_nothing():
        return 0
    statement = f"select count(*) as n from inbox where {which.condition()} and body is null"
    return int(fetch(connection, statement, **which.parameters())[0].n)


_REPLAY = """
with meant as (
    select id from inbox where {condition} and inbox.id > :after and received_at <= :begun_at and claimed_by is null
        and body is not null
    order by id limit :count for update skip locked
), numbered as (
    select id, row_number() over (order by id) - 1 as place from meant
), lane as (
    select coalesce(max(next_attempt_at) + interval '1 second', now()) as begins_at from inbox
    where next_attempt_at > now() and state = 'received' and attempts = 0 and claimed_by is null
)
update inbox set state = 'received', attempts = 0, reason = null, fingerprint = null, finished_at = null,
    next_attempt_at = lane.begins_at + make_interval(secs => numbered.place / :due_per_s),
    outcome = case when outcome ? 'commissions' then jsonb_build_object('commissions', outcome -> 'commissions') end
from numbered, lane where inbox.id = numbered.id
returning inbox.id
"""


def replay(
    connection: Connection, which: Which, begun_at: datetime, audit: Audit, *, after: int = 0, count: int = PORTION
) -> Changed:
    """Make up to `count` events due again as if they had just come, those received up to `begun_at`.

    Processing an event again books nothing that is booked. What was erased is passed over. Raises Missing for an id
    nobody has, and for a single event TryLater where a worker has it at hand, Conflict where its body was erased.
    """
    if which.id is not None and erased(connection, which):
        raise Conflict(
            f"the body of event {which.id} was erased; it cannot be replayed, and what it caused stays", "id"
        )
    rows = _change(connection, which, _REPLAY, begun_at=begun_at, after=after, count=count, due_per_s=DUE_PER_S)
    if rows:
        audit("events.replayed", _subject(which), {**which.described(), "count": len(rows)})
    elif which.id is not None:
        raise TryLater(f"a worker has event {which.id} at hand")
    return _changed(rows, count)


_IGNORE = """
with meant as (
    select id from inbox where {condition} and inbox.id > :after and received_at <= :begun_at and claimed_by is null
        and state in ('received', 'waiting', 'dead')
    order by id limit :count for update skip locked
)
update inbox set state = 'ignored', reason = :reason, next_attempt_at = null, finished_at = now()
from meant where inbox.id = meant.id
returning inbox.id
"""


def ignore(
    connection: Connection,
    which: Which,
    reason: str,
    begun_at: datetime,
    audit: Audit,
    *,
    after: int = 0,
    count: int = PORTION,
) -> Changed:
    """Put up to `count` events aside that are received, waiting or dead, for a reason that the row keeps.

    Raises Rejected without a reason, and for a single event Missing, TryLater or Conflict where it cannot be.
    """
    reason = checked_reason(reason)
    rows = _change(connection, which, _IGNORE, reason=reason, begun_at=begun_at, after=after, count=count)
    if rows:
        audit("events.ignored", _subject(which), {**which.described(), "count": len(rows), "reason": reason})
    elif which.id is not None:
        state = fetch(connection, "select state from inbox where id = :id", id=which.id)[0].state
        if state in IGNORABLE:
            raise TryLater(f"a worker has event {which.id} at hand")
        raise Conflict(f"event {which.id} is {state}; what is received, waiting or dead can be ignored", "id")
    return _changed(rows, count)


def checked_reason(reason: str) -> str:
    """A reason without white space around it. Raises Rejected for one that says nothing, or too much."""
    stripped = reason.strip()
    if not stripped or len(stripped) > REASON_LENGTH_MAX or not is_storable(stripped):
        raise Rejected(f"say why, in 1 to {REASON_LENGTH_MAX} characters", "reason")
    return stripped


def _change(connection: Connection, which: Which, statement: str, **parameters: object) -> list[int]:
    if which.names_nothing():
        return []
    if which.id is not None:
        _look_at(connection, which.id)
    rows = fetch(connection, statement.format(condition=which.condition()), **which.parameters(), **parameters)
    return sorted(row.id for row in rows)


def _look_at(connection: Connection, event: int) -> None:
    found = fetch(connection, "select claimed_by from inbox where id = :id", id=event)
    if not found:
        raise Missing(f"there is no event {event}; `attribution events list` shows those there are", "id")
    if found[0].claimed_by is not None:
        raise TryLater(f"a worker has event {event} at hand")


def _subject(which: Which) -> str:
    return "inbox" if which.id is None else f"inbox:{which.id}"


def _changed(rows: list[int], count: int) -> Changed:
    return Changed(len(rows), rows[-1] if len(rows) == count else None)


# Dead letters.

#: Groups as rows, for whoever pages through them.
DEAD_GROUPS = f"""
    select g.fingerprint as key, g.fingerprint, e.provider, e.event_type, g.count, g.first_seen_at, g.last_seen_at,
        g.last_seen_at as created_at, e.id as example_id, e.reason
    from (
        select {_GROUP} as fingerprint, count(*) as count, min(received_at) as first_seen_at,
            max(received_at) as last_seen_at, max(id) as example_id
        from inbox where state = 'dead' group by 1
    ) g join inbox e on e.id = g.example_id
"""


def dead_groups(connection: Connection, *, provider: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Dead letters by fingerprint, the most recent group first: how many, since when, an example and its reason."""
    if provider is not None and not is_storable(provider):
        return []
    rows = fetch(
        connection,
        f"""
        select * from ({DEAD_GROUPS}) groups where cast(:provider as text) is null or provider = :provider
        order by last_seen_at desc, fingerprint limit :limit
        """,
        provider=provider,
        limit=limit,
    )
    return [group_document(row) for row in rows]


def group_document(row: Any) -> dict[str, Any]:
    """One group for JSON."""
    return {
        "fingerprint": row.fingerprint,
        "provider": row.provider,
        "type": row.event_type,
        "count": row.count,
        "first_seen_at": epoch_ms(row.first_seen_at),
        "last_seen_at": epoch_ms(row.last_seen_at),
        "example_id": row.example_id,
        "reason": row.reason,
    }
