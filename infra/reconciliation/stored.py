"""What a run writes down: events into the inbox, as the receiver would have, and what the provider showed."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.differences import REVERSALS, Kind
from infra import bodies
from infra.reconciliation.provider import ListedEvent, ListedObject
from infra.rows import as_json, fetch

#: Sorted by key, like the receiver's batches: two that meet on the same keys wait for each other, never in a circle.
_STORE = """
insert into inbox (provider, event_key, event_type, account, livemode, api_version, occurred_at, body, body_codec,
    body_bytes, reconciliation_id)
select :provider, e.event_key, e.event_type, e.account, e.livemode, e.api_version, e.occurred_at,
    decode(e.body, 'hex'), e.body_codec, e.body_bytes, :id
from json_to_recordset(cast(:events as json)) as e(event_key text, event_type text, account text, livemode bool,
    api_version text, occurred_at timestamptz, body text, body_codec smallint, body_bytes int)
order by e.event_key
on conflict (provider, event_key) do nothing
returning event_key
"""


def unknown_events(connection: Connection, provider: str, events: Collection[ListedEvent]) -> list[ListedEvent]:
    """Those that the inbox lacks, each once."""
    known = fetch(
        connection,
        "select event_key from inbox where provider = :provider and event_key = any(:keys)",
        provider=provider,
        keys=[event.event_key for event in events],
    )
    there = {row.event_key for row in known}
    return list({event.event_key: event for event in events if event.event_key not in there}.values())


def store_events(connection: Connection, provider: str, events: Iterable[ListedEvent], run_id: int) -> set[str]:
    """Put events into the inbox; the keys of those that were not there. A webhook that comes later is a duplicate."""
    rows = {event.event_key: _event_row(event) for event in events}
    if not rows:
        return set()
    stored = fetch(connection, _STORE, provider=provider, id=run_id, events=as_json(rows.values()))
    return {row.event_key for row in stored}


def _event_row(event: ListedEvent) -> dict[str, Any]:
    codec, stored = bodies.encode(event.body)
    return {
        "event_key": event.event_key,
        "event_type": event.event_type,
        "account": event.account,
        "livemode": event.livemode,
        "api_version": event.api_version,
        "occurred_at": event.occurred_at,
        "body": stored.hex(),
        "body_codec": codec,
        "body_bytes": len(event.body),
    }


def open_count(connection: Connection, run_id: int) -> int:
    """How many of the events that a run stored are still due; those that wait for a named thing are not."""
    rows = fetch(
        connection,
        "select count(*) as n from inbox where next_attempt_at is not null and reconciliation_id = :id"
        " and state = 'received'",
        id=run_id,
    )
    return int(rows[0].n)


# What the provider showed.


@dataclass(frozen=True, slots=True)
class Shown:
    """An object of ours or theirs. `object` None: the provider has none, or was not asked where `listed_at` is None."""

    key: str
    listed_at: datetime | None
    object: ListedObject | None


def store_objects(
    connection: Connection, run_id: int, kind: Kind, shown: Sequence[ListedObject], listed_at: datetime
) -> None:
    """Keep what the provider showed; what it showed last counts."""
    rows = []
    for each in shown:
        codec, stored = bodies.encode(each.body)
        rows.append({"key": each.key, "body": stored.hex(), "body_codec": codec, "body_bytes": len(each.body)})
    connection.execute(
        text("""
            insert into reconciliation_objects (reconciliation_id, kind, key, listed_at, body, body_codec, body_bytes)
            select :id, :kind, o.key, :at, decode(o.body, 'hex'), o.body_codec, o.body_bytes
            from json_to_recordset(cast(:objects as json))
                as o(key text, body text, body_codec smallint, body_bytes int)
            on conflict (reconciliation_id, kind, key) do update set listed_at = excluded.listed_at,
                body = excluded.body, body_codec = excluded.body_codec, body_bytes = excluded.body_bytes
        """),
        {"id": run_id, "kind": kind, "at": listed_at, "objects": as_json({row["key"]: row for row in rows}.values())},
    )


def note_absent(connection: Connection, run_id: int, kind: Kind, key: str, asked_at: datetime) -> None:
    """The provider says that it has no such object."""
    connection.execute(
        text("""
            update reconciliation_objects set listed_at = :at
            where reconciliation_id = :id and kind = :kind and key = :key
        """),
        {"id": run_id, "kind": kind, "key": key, "at": asked_at},
    )


def forget_objects(connection: Connection, run_id: int, kind: Kind) -> None:
    """A list is begun again, or was refused."""
    connection.execute(
        text("delete from reconciliation_objects where reconciliation_id = :id and kind = :kind"),
        {"id": run_id, "kind": kind},
    )


def shown_portion(connection: Connection, run_id: int, kind: Kind, after: str, count: int) -> list[Shown]:
    """The next `count` objects in the order of their keys."""
    rows = fetch(
        connection,
        """
        select key, listed_at, body, body_codec, body_bytes from reconciliation_objects
        where reconciliation_id = :id and kind = :kind and key > :after order by key limit :count
        """,
        id=run_id,
        kind=kind,
        after=after,
        count=count,
    )
    return [Shown(row.key, row.listed_at, _object_of(row)) for row in rows]


def _object_of(row: Any) -> ListedObject | None:
    if row.body is None:
        return None
    return ListedObject(row.key, bodies.decode(row.body_codec, row.body, row.body_bytes))


#: Ours, by kind: what the provider was to show and did not.
_OURS = {
    Kind.SUBSCRIPTION: "select distinct subscription_key as key from subscription_snapshots where provider = :provider",
    Kind.INVOICE: """
        select substr(t.key, length(:provider) + 2) as key from transactions t
        where t.provider = :provider and t.occurred_at >= :since and t.occurred_at < :until
    """,
    # Behind a slash stands what is no object of the provider's: a part of one, or an invoice that is void.
    **dict.fromkeys(
        REVERSALS,
        """
        select r.reversal_key as key from reversals r where r.provider = :provider and r.kind = :kind
            and r.source_at >= :since and r.source_at < :until and r.reversal_key not like '%/%'
    """,
    ),
}


def note_extras(
    connection: Connection, run_id: int, provider: str, kind: Kind, since: datetime, until: datetime
) -> None:
    """Note every object of ours that the lists did not show: the provider is asked for it by its key."""
    window = {} if kind is Kind.SUBSCRIPTION else {"since": since, "until": until}
    connection.execute(
        text(f"""
            insert into reconciliation_objects (reconciliation_id, kind, key)
            select :id, :kind, ours.key from ({_OURS[kind]}) ours on conflict do nothing
        """),
        {"id": run_id, "kind": kind, "provider": provider, **window},
    )


def extras(connection: Connection, run_id: int, count: int) -> list[tuple[Kind, str]]:
    """The next objects of ours that the provider was not asked for."""
    rows = fetch(
        connection,
        """
        select kind, key from reconciliation_objects where reconciliation_id = :id and listed_at is null
        order by kind, key limit :count
        """,
        id=run_id,
        count=count,
    )
    return [(Kind(row.kind), row.key) for row in rows]
