"""Book entries: the commission they belong to and the append-only line of the ledger, written together."""

from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from domain.commissions import Entry
from domain.decide import Booking
from infra.rows import as_json, run

log = structlog.get_logger()

_COMMISSIONS = """
insert into commissions as c (key, trigger_key, trigger_version, event, occasion_key, transaction_key, subject,
    line_key, partner_key, member_key, customer, instalment, part, adjusts, state, amount_minor, currency, arithmetic,
    offer, earned_at, due_at)
select key, trigger_key, trigger_version, event, occasion_key, transaction_key, subject,
    line_key, partner_key, member_key, customer, instalment, part, adjusts, state, amount_minor, currency, arithmetic,
    offer, earned_at, due_at
from json_populate_recordset(null::commissions, cast(:rows as json)) order by key
on conflict (key) do update set state = excluded.state, amount_minor = excluded.amount_minor,
    trigger_version = excluded.trigger_version, member_key = excluded.member_key, customer = excluded.customer,
    arithmetic = excluded.arithmetic, offer = excluded.offer, earned_at = excluded.earned_at,
    due_at = excluded.due_at
"""

#: Nobody asks for these any more (or less than was paid out): they keep what they say, but for the amount.
_TAKEN_BACK = """
with taken as (
    select * from json_to_recordset(cast(:rows as json))
        as r(key text, part int, adjusts text, state text, amount_minor bigint, arithmetic text)
), adjusting as (
    insert into commissions (key, trigger_key, trigger_version, event, occasion_key, transaction_key, subject,
        line_key, partner_key, member_key, customer, instalment, part, adjusts, state, amount_minor, currency,
        arithmetic, offer, earned_at, due_at)
    select r.key, c.trigger_key, c.trigger_version, c.event, c.occasion_key, c.transaction_key, c.subject,
        c.line_key, c.partner_key, c.member_key, c.customer, c.instalment, r.part, r.adjusts, r.state, r.amount_minor,
        c.currency, r.arithmetic, c.offer, c.earned_at, c.due_at
    from taken r join commissions c on c.key = r.adjusts
    where not exists (select from commissions known where known.key = r.key)
)
update commissions c set state = r.state, amount_minor = r.amount_minor, arithmetic = r.arithmetic
from taken r where c.key = r.key
"""

_ENTRIES = """
insert into commission_entries (commission_key, seq, amount_minor, balance_minor, cause, arithmetic)
select r.commission_key, (select coalesce(max(seq), 0) + 1 from commission_entries e
        where e.commission_key = r.commission_key), r.amount_minor, r.balance_minor, r.cause, r.arithmetic
from json_populate_recordset(null::commission_entries, cast(:rows as json)) r order by r.commission_key
"""

NO_LONGER_EARNED = "no trigger asks for it any more"


def book(connection: Connection, bookings: Sequence[Booking]) -> None:
    """Write entries. At most one per commission; zero leaves no ledger line."""
    wanted = [_commission_row(booking) for booking in bookings if booking.entry.desired is not None]
    taken = [_taken_row(booking.entry) for booking in bookings if booking.entry.desired is None]
    if wanted:
        run(connection, _COMMISSIONS, rows=as_json(wanted))
    if taken:
        run(connection, _TAKEN_BACK, rows=as_json(taken))
    lines = [_entry_row(booking.entry, booking.cause) for booking in bookings if booking.entry.amount_minor]
    if lines:
        run(connection, _ENTRIES, rows=as_json(lines))


def _commission_row(booking: Booking) -> dict[str, Any]:
    entry = booking.entry
    claimant, desired = entry.claimant, entry.desired
    assert desired is not None
    return {
        "key": entry.commission_key,
        "trigger_key": claimant.trigger_key,
        "trigger_version": desired.trigger_version,
        "event": claimant.event,
        "occasion_key": claimant.occasion_key,
        "transaction_key": claimant.transaction_key,
        "subject": booking.subject,
        "line_key": claimant.line_key,
        "partner_key": claimant.partner_key,
        "member_key": desired.member_key,
        "customer": desired.customer,
        "instalment": claimant.instalment,
        "part": entry.part,
        "adjusts": entry.adjusts,
        "state": entry.state,
        "amount_minor": entry.balance_minor,
        "currency": claimant.currency,
        "arithmetic": desired.arithmetic,
        "offer": desired.offer,
        "earned_at": desired.earned_at,
        "due_at": desired.due_at,
    }


def _taken_row(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.commission_key,
        "part": entry.part,
        "adjusts": entry.adjusts,
        "state": entry.state,
        "amount_minor": entry.balance_minor,
        "arithmetic": NO_LONGER_EARNED,
    }


def _entry_row(entry: Entry, cause: str) -> dict[str, Any]:
    return {
        "commission_key": entry.commission_key,
        "amount_minor": entry.amount_minor,
        "balance_minor": entry.balance_minor,
        "cause": cause,
        "arithmetic": entry.desired.arithmetic if entry.desired else NO_LONGER_EARNED,
    }


def log_bookings(bookings: Iterable[Booking]) -> None:
    """One line per entry, once it is committed."""
    for booking in bookings:
        entry = booking.entry
        log.info(
            "commission.booked" if entry.amount_minor else "commission.restated",
            commission=entry.commission_key,
            partner=entry.claimant.partner_key,
            occasion=entry.claimant.occasion_key,
            line=entry.claimant.line_key,
            amount_minor=entry.amount_minor,
            balance_minor=entry.balance_minor,
            currency=entry.claimant.currency,
            cause=booking.cause,
        )
