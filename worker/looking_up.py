"""Whether Chargebee sent at all what was delivered in its name."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection

from domain.errors import CannotProcess, TryLater
from infra.failures import failure_mark
from infra.inbox import Envelope, Mark
from infra.providers.chargebee.keys import could_be_key
from infra.rows import fetch
from infra.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from infra.providers.chargebee.client import ChargebeeApi, KnownEvent

log = structlog.get_logger()

#: Chargebee forgets events after 90 days; what has been here for so long was looked up when it came.
LOOKED_UP_FOR: Final = timedelta(days=60)


@dataclass(slots=True)
class LookedUp:
    """Envelopes that their provider knows, those it does not know, and those it could not be asked about now."""

    known: list[Envelope] = field(default_factory=list)
    forged: list[Mark] = field(default_factory=list)
    unasked: list[Envelope] = field(default_factory=list)


def look_up(
    connection: Connection, envelopes: Sequence[Envelope], chargebee: "ChargebeeApi", now: datetime, within_s: float
) -> LookedUp:
    """Ask Chargebee whether it sent what was delivered in its name: a password is all that its deliveries show.

    One request for a hundred events, and one for each that is not among them, until `within_s` is over.
    """
    with unit_of_work(connection):
        delivered = _delivered(connection, envelopes, now)
    answer = LookedUp(known=[envelope for envelope in envelopes if envelope.id not in delivered])
    doubtful = [envelope for envelope in envelopes if envelope.id in delivered]
    until_s = time.monotonic() + within_s
    try:
        listed = chargebee.known_events([envelope.event_key for envelope in doubtful]) if doubtful else {}
        while doubtful:
            if time.monotonic() > until_s:
                raise TryLater("looking up events takes too long")
            known = _is_known(doubtful[0], listed, chargebee)
            envelope = doubtful.pop(0)
            if known:
                answer.known.append(envelope)
            else:
                answer.forged.append(_forged(envelope, now))
    except (TryLater, CannotProcess) as error:
        # An odd answer is no word about the event either.
        log.warning("lookup.postponed", count=len(doubtful), reason=str(error))
        answer.unasked = doubtful
    return answer


def _delivered(connection: Connection, envelopes: Sequence[Envelope], now: datetime) -> set[int]:
    """Those that came in through the door, and lately: what was fetched from Chargebee need not be looked up there."""
    rows = fetch(
        connection,
        """
        select id from inbox
        where id = any(:ids) and secret_fingerprint is not null and received_at > cast(:since as timestamptz)
        """,
        ids=[envelope.id for envelope in envelopes],
        since=now - LOOKED_UP_FOR,
    )
    return {row.id for row in rows}


def _is_known(envelope: Envelope, listed: "Mapping[str, KnownEvent]", chargebee: "ChargebeeApi") -> bool:
    """What a list does not show yet may be there all the same."""
    if not could_be_key(envelope.event_key):
        return False
    found = listed.get(envelope.event_key) or chargebee.known_event(envelope.event_key)
    return found == (envelope.event_type, envelope.occurred_at)


def _forged(envelope: Envelope, now: datetime) -> Mark:
    """Dead, and an alarm: somebody has the password of Chargebee's webhooks."""
    log.error("delivery.forged", inbox_id=envelope.id, provider=envelope.provider, event_key=envelope.event_key)
    reason = "Chargebee knows no such event: a forged delivery; change the password in CHARGEBEE_WEBHOOK_USERS"
    return failure_mark(envelope, CannotProcess(reason), now)
