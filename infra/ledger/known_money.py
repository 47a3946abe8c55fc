"""Load the recorded payments, links and reversals that a batch of billing events can meet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from domain import ids
from domain.facts import BillingEvent, InvoicePaid, InvoicePayment, Reversal
from domain.known import PaymentKey
from domain.reversals import ReversalKey, key_of
from domain.transactions import Line, Transaction
from infra.ledger.shapes import LINE_COLUMNS, TRANSACTION_COLUMNS, line_of, reversal_of, transaction_of
from infra.rows import as_json, fetch, fetch_tuples


@dataclass(frozen=True, slots=True)
class Money:
    """Payments, what settled them, and what was taken back."""

    transactions: Mapping[str, Transaction] = field(default_factory=dict)
    payments: Mapping[PaymentKey, str] = field(default_factory=dict)
    reversals: Mapping[ReversalKey, Reversal] = field(default_factory=dict)


#: Reversals that events name, and all that lead to an invoice by its key or by a payment linked to it.
_REVERSALS = """
with named as (
    select * from json_to_recordset(cast(:named as json)) as n(provider text, kind text, reversal_key text)
), invoices as (
    select * from json_to_recordset(cast(:invoices as json)) as i(provider text, invoice_key text)
), payments as (
    select * from json_to_recordset(cast(:payments as json)) as p(provider text, payment_key text)
    union
    select l.provider, l.payment_key from invoices join payment_links l using (provider, invoice_key)
)
select r.* from named join reversals r using (provider, kind, reversal_key)
union
select r.* from invoices join reversals r using (provider, invoice_key)
union
select r.* from payments p join reversals r on r.provider = p.provider and r.payment_keys @> array[p.payment_key]
"""


def load_money(connection: Connection, events: Sequence[BillingEvent]) -> Money:
    """Nothing is asked of the database where no event is about money."""
    about = [e for e in events if isinstance(e, InvoicePaid | InvoicePayment | Reversal)]
    if not about:
        return Money()
    reversals = {key_of(e): e for e in about if isinstance(e, Reversal)}
    linked = _links(connection, {(e.provider, key) for e in about for key in e.payment_keys})
    invoices = {(e.provider, e.invoice_key) for e in about if e.invoice_key is not None}
    invoices |= {(provider, invoice) for (provider, _), invoice in linked.items()}
    payments = {(e.provider, key) for e in about for key in e.payment_keys}
    found = _reversals(connection, reversals, invoices, payments)
    # A recorded sighting may know a payment or an invoice that this batch's does not.
    further = _links(connection, {(r.provider, key) for r in found.values() for key in r.payment_keys} - payments)
    reached = {(r.provider, r.invoice_key) for r in found.values() if r.invoice_key is not None}
    reached |= {(provider, invoice) for (provider, _), invoice in further.items()}
    if reached - invoices:
        found |= _reversals(connection, reversals, invoices | reached, payments)
    keys = [ids.transaction_key(*place) for place in sorted(invoices | reached)]
    return Money(load_transactions(connection, keys), linked | further, found)


def _links(connection: Connection, wanted: Iterable[PaymentKey]) -> dict[PaymentKey, str]:
    places = [{"provider": provider, "payment_key": key} for provider, key in sorted(wanted)]
    if not places:
        return {}
    rows = fetch(
        connection,
        """
        select l.* from json_to_recordset(cast(:places as json)) as w(provider text, payment_key text)
        join payment_links l using (provider, payment_key)
        """,
        places=as_json(places),
    )
    return {(row.provider, row.payment_key): row.invoice_key for row in rows}


def _reversals(
    connection: Connection,
    named: Iterable[ReversalKey],
    invoices: Iterable[tuple[str, str]],
    payments: Iterable[PaymentKey],
) -> dict[ReversalKey, Reversal]:
    rows = fetch(
        connection,
        _REVERSALS,
        named=as_json({"provider": p, "kind": kind, "reversal_key": key} for p, kind, key in sorted(named)),
        invoices=as_json({"provider": provider, "invoice_key": key} for provider, key in sorted(invoices)),
        payments=as_json({"provider": provider, "payment_key": key} for provider, key in sorted(payments)),
    )
    return {key_of(reversal): reversal for reversal in map(reversal_of, rows)}


def load_transactions(connection: Connection, keys: Sequence[str]) -> dict[str, Transaction]:
    """Transactions with their lines, per key; keys that are not known are left out."""
    if not keys:
        return {}
    rows = fetch_tuples(
        connection, f"select {TRANSACTION_COLUMNS} from transactions where key = any(:keys)", keys=list(keys)
    )
    if not rows:
        return {}
    lines: dict[str, list[Line]] = {}
    of_these = f"select {LINE_COLUMNS} from transaction_lines where transaction_key = any(:keys)"
    for row in fetch_tuples(connection, of_these, keys=[row[0] for row in rows]):
        lines.setdefault(row[0], []).append(line_of(row))
    return {row[0]: transaction_of(row, lines) for row in rows}
