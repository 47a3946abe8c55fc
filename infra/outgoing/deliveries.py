"""The outbox: deliveries that a database trigger wrote beside the change they tell of, claimed, sent and marked.

A claim is a lease as in `infra.inbox`: it commits before anything is sent, with the attempt counted. What is sent and
not marked is sent again, under the same key. Nothing keeps deliveries in order.

    pending --claim--> (leased) --mark--> delivered | dead, or pending again later
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import Conflict, Missing, Rejected
from domain.problems import quoted
from domain.windows import epoch_ms
from infra.retries import DELIVERY_WAITS_S, next_attempt
from infra.rows import as_json, fetch

#: Longer than one attempt may take, by far.
LEASE = timedelta(seconds=60)
#: Deliveries to one endpoint at a time.
EACH_MAX = 8
#: How long what was delivered is kept to be looked at.
KEPT = timedelta(days=30)
_FORGOTTEN_MAX = 1_000


class DeliveryState(StrEnum):
    """Where a delivery stands. Every row is delivered, dead, or due at `next_attempt_at`."""

    #: Due, or leased, or waiting while its endpoint is not active.
    PENDING = "pending"
    #: The endpoint answered 2xx. Somebody may send it again.
    DELIVERED = "delivered"
    #: Tried too often, or its endpoint is gone. Somebody may send it again.
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery about to be sent."""

    id: int
    key: str
    endpoint_key: str
    event_type: str
    subject: tuple[str, ...]
    #: None: it was never sent and must be written first.
    payload: str | None
    #: This one included.
    attempts: int
    created_at: datetime
    url: str
    #: As they are stored, the newest first. All sign.
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeliveryMark:
    """What became of one claimed delivery."""

    id: int
    #: As claimed: the mark applies to that claim only.
    attempts: int
    state: DeliveryState
    next_attempt_at: datetime | None = None
    last_status: int | None = None
    reason: str | None = None


def claim(connection: Connection, busy: Collection[str] = ()) -> list[Claimed]:
    """Take what is due, a few of each endpoint but those in `busy`; commit before sending any.

    Every endpoint gets its turn, however much another has waiting.
    """
    rows = fetch(
        connection,
        """
        with due as (
            select d.id from webhook_endpoints e cross join lateral (
                select id from webhook_deliveries where endpoint_key = e.key and next_attempt_at <= now()
                order by next_attempt_at, id limit :each for update skip locked) d
            where e.active and e.key <> all(:busy)
        )
        update webhook_deliveries d set attempts = attempts + 1, next_attempt_at = now() + :lease
        from due, webhook_endpoints e where d.id = due.id and e.key = d.endpoint_key
        returning d.id, d.key, d.endpoint_key, d.event_type, d.subject, d.payload, d.attempts, d.created_at, e.url,
            array[e.secret] || array(
                select secret from webhook_earlier_secrets s where s.endpoint_key = e.key and signs_until > now()
                order by s.id desc) as secrets
        """,
        each=EACH_MAX,
        busy=sorted(busy),
        lease=LEASE,
    )
    lists = ("subject", "secrets")
    claimed = (Claimed(**{**row._mapping, **{name: tuple(getattr(row, name)) for name in lists}}) for row in rows)
    return sorted(claimed, key=lambda delivery: delivery.id)


def bury_undeliverable(connection: Connection) -> int:
    """Make dead what waits for endpoints that were deleted; how many. A change may be told to one just deleted."""
    return connection.execute(
        text("""
            update webhook_deliveries d set state = 'dead', next_attempt_at = null, finished_at = now(),
                reason = 'its endpoint was deleted'
            from webhook_endpoints e
            where e.key = d.endpoint_key and e.deleted_at is not null and d.next_attempt_at is not null
        """)
    ).rowcount


def save_payloads(connection: Connection, payloads: Mapping[int, str]) -> None:
    """Fix what deliveries say, by id: every attempt sends the same bytes."""
    connection.execute(
        text("""
            update webhook_deliveries d set payload = w.payload
            from json_to_recordset(cast(:rows as json)) as w(id bigint, payload text)
            where d.id = w.id and d.payload is null
        """),
        {"rows": as_json({"id": key, "payload": payload} for key, payload in payloads.items())},
    )


def delivered(delivery: Claimed, status: int | None) -> DeliveryMark:
    """The mark of a delivery that was taken."""
    return DeliveryMark(delivery.id, delivery.attempts, DeliveryState.DELIVERED, None, status)


def failed(delivery: Claimed, reason: str, now: datetime, *, status: int | None = None) -> DeliveryMark:
    """The mark of one that was not: due again after a growing wait, or dead."""
    due = next_attempt(delivery.attempts, now, random.random(), DELIVERY_WAITS_S)  # noqa: S311 - jitter
    state = DeliveryState.DEAD if due is None else DeliveryState.PENDING
    return DeliveryMark(delivery.id, delivery.attempts, state, due, status, reason)


def mark(connection: Connection, marks: Sequence[DeliveryMark]) -> int:
    """Write what became of claimed deliveries; how many. One that somebody else has claimed since is left alone."""
    return connection.execute(
        text("""
            update webhook_deliveries d set state = r.state, next_attempt_at = r.next_attempt_at, reason = r.reason,
                last_status = r.last_status, finished_at = case when r.next_attempt_at is null then now() end
            from json_to_recordset(cast(:rows as json)) as r(
                id bigint, attempts int, state text, next_attempt_at timestamptz, last_status int, reason text)
            where d.id = r.id and d.attempts = r.attempts and d.state = 'pending'
        """),
        {"rows": as_json(marks)},
    ).rowcount


def forget_delivered(connection: Connection) -> int:
    """Delete up to a portion of what was delivered long ago; how many. What is dead stays until somebody looks."""
    return connection.execute(
        text("""
            delete from webhook_deliveries where id in (
                select id from webhook_deliveries where state = 'delivered' and finished_at < now() - :kept
                order by finished_at limit :count for update skip locked)
        """),
        {"kept": KEPT, "count": _FORGOTTEN_MAX},
    ).rowcount


# For people.


def find_delivery(connection: Connection, key: str) -> dict[str, Any]:
    """One delivery as a document. Raises Missing for a key nobody knows."""
    found = fetch(connection, "select * from webhook_deliveries where key = :key", key=key)
    if not found:
        raise _unknown(key)
    return document(found[0])


def resend(connection: Connection, key: str) -> dict[str, Any]:
    """Make a delivery due again, under the same key and with the same payload, its attempts counted from the beginning.

    Raises Missing for a key nobody knows, Conflict where its endpoint was deleted.
    """
    found = find_delivery(connection, key)
    endpoints = fetch(
        connection, "select deleted_at from webhook_endpoints where key = :key", key=found["endpoint_key"]
    )
    if endpoints[0].deleted_at is not None:
        raise Conflict("its endpoint was deleted; what it missed is in the lists of commissions and products", "key")
    connection.execute(
        text("""
            update webhook_deliveries set state = 'pending', next_attempt_at = now(), attempts = 0, finished_at = null,
                reason = 'somebody asked for it to be sent again'
            where key = :key
        """),
        {"key": key},
    )
    return find_delivery(connection, key)


def document(row: Any) -> dict[str, Any]:
    """A delivery as people see it; times in milliseconds."""
    return {
        "key": row.key,
        "endpoint_key": row.endpoint_key,
        "event_type": row.event_type,
        "state": row.state,
        "attempts": row.attempts,
        "next_attempt_at": _ms(row.next_attempt_at),
        "last_status": row.last_status,
        "reason": row.reason,
        "created_at": _ms(row.created_at),
        "finished_at": _ms(row.finished_at),
        "payload": row.payload,
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else epoch_ms(moment)


def _unknown(key: str) -> Rejected:
    return Missing(f"no delivery is called {quoted(key)}", "key")
