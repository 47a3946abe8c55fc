"""A replay that is really done and then taken back: what would become of events, and what that would change.

It holds the customers' locks while it works, as a worker does, so it is bounded: a batch of events at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.decide import Booking
from domain.facts import Missing, NotUsed
from domain.known import Changes
from infra.batch import BatchResult, Translated, process, rejudge, translated
from infra.failures import verdict_on
from infra.inbox import LEASE, Envelope, InboxState, Mark
from infra.program import ProgramReader
from infra.program_changes import PROVIDER as PROGRAM
from infra.providers.stripe.completing import left_out
from infra.replays import Which, erased, matching
from infra.retries import connection_was_lost
from infra.rows import as_json, fetch
from infra.settings import Settings
from infra.translating import events_of

#: Events that are replayed in one transaction.
EVENTS_MAX = 200
#: Changed rows that are shown of each kind.
SHOWN_MAX = 500

_NOT_ASKED = "{}; a dry run does not ask the provider for the rest"

Json = dict[str, Any]


@dataclass(slots=True)
class _Done:
    """What became of the events, and the keys of what may have changed."""

    marks: list[Mark] = field(default_factory=list)
    busy: list[Envelope] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    changes: list[Changes] = field(default_factory=list)

    def add(self, result: BatchResult) -> None:
        self.marks += result.marks
        self.busy += [each.envelope for each in result.busy]
        self.bookings += result.bookings
        if result.changes is not None:
            self.changes.append(result.changes)


def dry_run(connection: Connection, which: Which, settings: Settings, now: datetime, *, after: int = 0) -> Json:
    """Replay the next `EVENTS_MAX` of the events within the caller's transaction, and leave no trace of it.

    The answer counts all events that are meant, says of each that was tried what would become of it, and shows every
    product, transaction and commission that would be another than it is, before and after, with sums by partner.
    """
    meant, passed_over = matching(connection, which), erased(connection, which)
    trial = connection.begin_nested()
    try:
        envelopes = _claim(connection, which, after)
        done = _work(connection, envelopes, settings, now)
        changed = _Looked.at(connection, done)
    finally:
        trial.rollback()
    before = _Looked.at(connection, done)
    return {
        "matching": meant,
        "erased": passed_over,
        "tried": len(done.marks),
        "busy": len(done.busy),
        "after": envelopes[-1].id if len(envelopes) == EVENTS_MAX else None,
        "events": _events(envelopes, done),
        **_differences(before, changed),
    }


def merged(one: Json, following: Json) -> Json:
    """Two portions' answers as one. Each was tried on the books as they are, without what the other would change."""
    kinds = ("events", "commissions", "products", "transactions")
    lists = {kind: [*one[kind], *following[kind]] for kind in kinds}
    sums: dict[tuple[str, str], int] = {}
    for total in (*one["totals"], *following["totals"]):
        _add(sums, total["partner_key"], total["currency"], total["amount"])
    return {
        **following,
        "tried": one["tried"] + following["tried"],
        "busy": one["busy"] + following["busy"],
        **{kind: rows[:SHOWN_MAX] for kind, rows in lists.items()},
        "more": one["more"] or following["more"] or any(len(rows) > SHOWN_MAX for rows in lists.values()),
        "totals": _listed(sums),
    }


def _claim(connection: Connection, which: Which, after: int) -> list[Envelope]:
    if which.names_nothing():
        return []
    rows = fetch(
        connection,
        f"""
        with meant as (
            select id from inbox where {which.condition()} and inbox.id > :after and claimed_by is null
                and body is not null
            order by id limit :events_max for update skip locked
        )
        update inbox set state = 'received', attempts = 1, finished_at = null, claimed_by = pg_backend_pid(),
            next_attempt_at = now() + :lease
        from meant where inbox.id = meant.id
        returning inbox.id, provider, event_key, event_type, occurred_at, livemode, account, attempts, body_codec, body,
            body_bytes
        """,
        **which.parameters(),
        after=after,
        events_max=EVENTS_MAX,
        lease=LEASE,
    )
    return sorted((Envelope(*row) for row in rows), key=lambda envelope: envelope.id)


def _work(connection: Connection, envelopes: Sequence[Envelope], settings: Settings, now: datetime) -> _Done:
    """As the worker does: changes of the program one by one, then catalogues, then everything else together."""
    done = _Done()
    reader = ProgramReader(settings)
    batch: list[Translated] = []
    for envelope in envelopes:
        if envelope.provider == PROGRAM:
            _guarded(connection, [Translated(envelope, ())], done, now, _rejudging(connection, reader, now))
        elif isinstance(read := _read(envelope, settings, now), Mark):
            done.marks.append(read)
        else:
            batch.append(read)
    for part in ([each for each in batch if each.catalogue], [each for each in batch if not each.catalogue]):
        _guarded(connection, part, done, now, lambda some: process(connection, some, reader, now))
    return done


def _rejudging(
    connection: Connection, reader: ProgramReader, now: datetime
) -> Callable[[Sequence[Translated]], BatchResult]:
    return lambda some: rejudge(connection, some[0].envelope, reader, lambda: now)


def _read(envelope: Envelope, settings: Settings, now: datetime) -> Translated | Mark:
    try:
        events = events_of(envelope, settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this event's own
        return verdict_on(envelope, error, now)
    if isinstance(events, NotUsed):
        return Mark(envelope.id, envelope.attempts, InboxState.IGNORED, reason=events.reason)
    if (missing := left_out(events)) is not None or isinstance(events, Missing):
        return Mark(envelope.id, envelope.attempts, InboxState.WAITING, reason=_NOT_ASKED.format(missing))
    return translated(envelope, events)


def _guarded(
    connection: Connection,
    batch: Sequence[Translated],
    done: _Done,
    now: datetime,
    work: Callable[[Sequence[Translated]], BatchResult],
) -> None:
    """Halve what fails until one event stands alone with its error, like the drain."""
    if not batch:
        return
    try:
        with connection.begin_nested():
            result = work(batch)
    except Exception as error:
        if connection_was_lost(error):
            raise
        if len(batch) == 1:
            done.marks.append(verdict_on(batch[0].envelope, error, now))
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            _guarded(connection, half, done, now, work)
    else:
        done.add(result)


def _events(envelopes: Sequence[Envelope], done: _Done) -> list[Json]:
    became = {mark.id: (mark.state.value, mark.reason) for mark in done.marks}
    became |= {each.id: ("busy", "a worker is at this customer's events; ask again") for each in done.busy}
    return [
        {
            "id": each.id,
            "provider": each.provider,
            "event_key": each.event_key,
            "type": each.event_type,
            "state": became[each.id][0],
            "reason": became[each.id][1],
        }
        for each in envelopes
        if each.id in became
    ]


# What is there, and what would be.


@dataclass(frozen=True, slots=True)
class _Looked:
    """Rows that a replay can change, by what they are and by what they say."""

    rows: dict[str, dict[tuple[str, ...], tuple[Json, Json]]]

    @classmethod
    def at(cls, connection: Connection, done: _Done) -> "_Looked":
        """As they are in this transaction now."""
        return cls(
            {
                "commissions": _commissions(connection, sorted({each.entry.commission_key for each in done.bookings})),
                "products": _products(connection, {place for each in done.changes for place in each.histories}),
                "transactions": _transactions(
                    connection, sorted({k for each in done.changes for k in each.transactions})
                ),
            }
        )


def _commissions(connection: Connection, keys: Sequence[str]) -> dict[tuple[str, ...], tuple[Json, Json]]:
    rows = fetch(connection, "select * from commissions where key = any(:keys)", keys=list(keys))
    return {
        (row.key,): (
            {
                "key": row.key,
                "partner_key": row.partner_key,
                "transaction_key": row.transaction_key,
                "line_key": row.line_key,
                "trigger_key": row.trigger_key,
                "currency": row.currency,
            },
            {"amount": row.amount_minor, "reward_status": row.state, "arithmetic": row.arithmetic},
        )
        for row in rows
    }


def _products(connection: Connection, places: set[tuple[str, str]]) -> dict[tuple[str, ...], tuple[Json, Json]]:
    rows = fetch(
        connection,
        """
        select p.* from json_to_recordset(cast(:places as json)) as w(provider text, subscription_key text)
        join products p using (provider, subscription_key)
        """,
        places=as_json({"provider": provider, "subscription_key": key} for provider, key in sorted(places)),
    )
    return {
        (row.provider, row.subscription_key, row.product_key): (
            {"key": f"{row.subscription_key}/{row.product_key}", "provider": row.provider},
            {"status": row.status, "amount": row.amount_minor, "quantity": row.quantity, "currency": row.currency},
        )
        for row in rows
    }


def _transactions(connection: Connection, keys: Sequence[str]) -> dict[tuple[str, ...], tuple[Json, Json]]:
    rows = fetch(
        connection,
        """
        select t.key, t.currency, sum(l.gross_minor - l.discount_minor)::bigint as amount,
            sum(l.reversed_minor)::bigint as reversed, count(l) as lines
        from transactions t left join transaction_lines l on l.transaction_key = t.key
        where t.key = any(:keys) group by t.key, t.currency
        """,
        keys=list(keys),
    )
    return {
        (row.key,): (
            {"key": row.key, "currency": row.currency},
            {"amount": row.amount or 0, "amount_reversed": row.reversed or 0, "lines": row.lines},
        )
        for row in rows
    }


def _differences(before: _Looked, after: _Looked) -> Json:
    found: dict[str, list[Json]] = {}
    for kind, now_there in after.rows.items():
        was_there = before.rows[kind]
        found[kind] = []
        for key in sorted(was_there.keys() | now_there.keys()):
            was, would_be = was_there.get(key), now_there.get(key)
            what, _ = would_be or was or ({}, {})
            if (was and was[1]) != (would_be and would_be[1]):
                found[kind].append({**what, "before": was and was[1], "after": would_be and would_be[1]})
    return {
        **{kind: rows[:SHOWN_MAX] for kind, rows in found.items()},
        "more": any(len(rows) > SHOWN_MAX for rows in found.values()),
        "totals": _totals(found["commissions"]),
    }


def _totals(commissions: Sequence[Json]) -> list[Json]:
    """By how much each partner's commissions would change."""
    sums: dict[tuple[str, str], int] = {}
    for row in commissions:
        by = (row["after"] or {}).get("amount", 0) - (row["before"] or {}).get("amount", 0)
        _add(sums, row["partner_key"], row["currency"], by)
    return _listed(sums)


def _add(sums: dict[tuple[str, str], int], partner_key: str, currency: str, amount: int) -> None:
    sums[partner_key, currency] = sums.get((partner_key, currency), 0) + amount


def _listed(sums: dict[tuple[str, str], int]) -> list[Json]:
    return [
        {"partner_key": partner, "currency": currency, "amount": amount}
        for (partner, currency), amount in sorted(sums.items())
        if amount
    ]
