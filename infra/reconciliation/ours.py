"""Our side of the books: subscriptions as last seen, transactions and what became of each of their lines."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.differences import Kind
from domain.errors import CannotProcess
from domain.facts import Fact, InvoicePaid, Reversal, SubscriptionSeen
from domain.fates import recorded_invoice
from domain.products import in_order
from domain.reconcile import RecordedInvoice
from infra.inbox import Envelope
from infra.ledger.case_files import load_case_file
from infra.ledger.shapes import reversal_of, snapshot_of
from infra.providers.registry import TRANSLATORS
from infra.rows import as_json, fetch
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


def recorded_reversals(connection: Connection, provider: str, kind: Kind, keys: Collection[str]) -> dict[str, Reversal]:
    """What is recorded under these keys of refunds, credit notes or disputes."""
    rows = fetch(
        connection,
        "select * from reversals where provider = :provider and kind = :kind and reversal_key = any(:keys)",
        provider=provider,
        kind=kind,
        keys=sorted(keys),
    )
    return {row.reversal_key: reversal_of(row) for row in rows}


def with_payments_here(connection: Connection, provider: str, reversals: Iterable[Reversal]) -> set[str]:
    """The keys of those that lead to one of our transactions, by their invoice or by a payment that settled one."""
    named = [
        {"reversal_key": each.reversal_key, "invoice_key": each.invoice_key, "payment_key": payment}
        for each in reversals
        for payment in (*each.payment_keys, None)
    ]
    if not named:
        return set()
    rows = fetch(
        connection,
        """
        select distinct n.reversal_key
        from json_to_recordset(cast(:named as json)) as n(reversal_key text, invoice_key text, payment_key text)
        left join payment_links l on l.provider = :provider and l.payment_key = n.payment_key
        join transactions t on t.key = :provider || ':' || coalesce(n.invoice_key, l.invoice_key)
        """,
        provider=provider,
        named=as_json(named),
    )
    return {row.reversal_key for row in rows}


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


def waiting(connection: Connection, provider: str, kind: Kind, types: Collection[str]) -> Mapping[str, str]:
    """What of a kind the inbox holds that is maybe not recorded yet, by key, each with what it waits for."""
    found: dict[str, str] = {}
    for row in fetch(connection, _WAITING, provider=provider, types=sorted(types)):
        for fact in _facts_in(Envelope(*row[:-2])):
            if (key := key_of(kind, fact)) is not None:
                found[key] = _WHY.get(row.state) or row.reason or "a thing that is missing"
    return found


def key_of(kind: Kind, fact: object) -> str | None:
    """Under which key a fact tells of a kind; None: it tells of something else."""
    match fact:
        case SubscriptionSeen() if kind is Kind.SUBSCRIPTION:
            return fact.subscription_key
        case InvoicePaid() if kind is Kind.INVOICE:
            return fact.invoice_key
        case Reversal() if fact.kind.value == kind.value:
            return fact.reversal_key
    return None


_WHY = {"received": "its event is not processed yet", "ignored": "somebody ignored its event"}


def _facts_in(envelope: Envelope) -> tuple[Fact, ...]:
    """What an event says; nothing where today's code cannot read it."""
    if envelope.stored_body is None or envelope.provider not in TRANSLATORS:
        return ()
    try:
        facts = translate(envelope, envelope.body())
    except CannotProcess:
        return ()
    return facts if isinstance(facts, tuple) else ()
