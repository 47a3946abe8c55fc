"""Our side of the books: subscriptions as last seen, transactions and what became of each of their lines."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.errors import CannotProcess
from domain.facts import InvoicePaid, SubscriptionSeen
from domain.fates import recorded_invoice
from domain.products import in_order
from domain.reconcile import RecordedInvoice
from infra.inbox import Envelope
from infra.ledger.case_files import load_case_file
from infra.ledger.shapes import snapshot_of
from infra.providers.registry import TRANSLATORS
from infra.rows import fetch
from infra.translating import translate


def last_seen(connection: Connection, provider: str, keys: Collection[str]) -> dict[str, SubscriptionSeen]:
    """Per subscription the snapshot that counts: one that ended it for good, else the last in order.

    Where the provider numbers what it says, the highest number is last, whatever moment it is dated to.
    """
    rows = fetch(
        connection,
        """
        select s.* from unnest(cast(:keys as text[])) as wanted(key) cross join lateral (
            select * from subscription_snapshots s
            where s.provider = :provider and s.subscription_key = wanted.key and s.effective_at = (
                select effective_at from subscription_snapshots last
                where last.provider = :provider and last.subscription_key = wanted.key
                order by last.ended and last.absorbing desc, last.source_version desc, last.effective_at desc limit 1)
        ) s
        """,
        provider=provider,
        keys=sorted(keys),
    )
    seen: dict[str, list[SubscriptionSeen]] = defaultdict(list)
    for row in rows:
        seen[row.subscription_key].append(snapshot_of(row))
    return {key: _last(snapshots) for key, snapshots in seen.items()}


def _last(snapshots: Sequence[SubscriptionSeen]) -> SubscriptionSeen:
    over = [seen for seen in snapshots if seen.ended and seen.absorbing]
    return in_order(over or snapshots)[-1]


def recorded_invoices(
    connection: Connection, provider: str, keys: Collection[str], program: Program
) -> dict[str, RecordedInvoice]:
    """Our transactions under these invoice keys, each line with what became of it."""
    if not keys:
        return {}
    wanted = {ids.transaction_key(provider, key): key for key in keys}
    case = load_case_file(connection, sorted(wanted), program.horizon)
    judged_still = bool(
        fetch(connection, "select from inbox where provider = 'program' and next_attempt_at is not null limit 1")
    )
    return {
        key: recorded_invoice(key, case.transactions[transaction], case, program, still_judged=judged_still)
        for transaction, key in wanted.items()
        if transaction in case.transactions
    }


def described(connection: Connection, provider: str, keys: Collection[str]) -> set[str]:
    """Those of the provider's customers whom some event has described."""
    rows = fetch(
        connection,
        """
        select provider_customer_key as key from provider_customers
        where provider = :provider and provider_customer_key = any(:keys) and source_at is not null
        """,
        provider=provider,
        keys=sorted(keys),
    )
    return {row.key for row in rows}


#: What is dead is not among them: what the provider shows now may well be readable.
_WAITING = """
    select id, provider, event_key, event_type, occurred_at, livemode, account, attempts, body_codec, body, body_bytes,
        state, reason
    from inbox where provider = :provider and event_type = any(:types) and state in ('received', 'waiting', 'ignored')
"""


def waiting_invoices(connection: Connection, provider: str, paid_types: Collection[str]) -> Mapping[str, str]:
    """Invoices that the inbox holds and that are not recorded yet, each with what it waits for."""
    found: dict[str, str] = {}
    for row in fetch(connection, _WAITING, provider=provider, types=sorted(paid_types)):
        envelope = Envelope(*row[:-2])
        for key in _invoices_in(envelope):
            found[key] = _WHY.get(row.state) or row.reason or "a thing that is missing"
    return found


_WHY = {"received": "its event is not processed yet", "ignored": "somebody ignored its event"}


def _invoices_in(envelope: Envelope) -> list[str]:
    """The invoices that an event says were paid; none where today's code cannot read it."""
    if envelope.stored_body is None or envelope.provider not in TRANSLATORS:
        return []
    try:
        events = translate(envelope, envelope.body())
    except CannotProcess:
        return []
    return [each.invoice_key for each in events if isinstance(each, InvoicePaid)] if isinstance(events, tuple) else []
