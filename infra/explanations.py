"""Find a transaction by any of its names and explain it; the explanation as a document for JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from domain.case import CaseFile, Verdict
from domain.errors import Missing, Rejected
from domain.explain import Explanation, LineExplanation, explain
from domain.facts import COMPANY
from domain.problems import is_storable, listed
from domain.rules import ConditionTrace, GroupTrace, Trace
from domain.windows import epoch_ms
from infra.ledger.case_files import load_case_file
from infra.ledger.customer_names import Names
from infra.program import ProgramReader
from infra.rows import fetch
from infra.settings import Settings
from infra.shown.transactions import reasons_of


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation and what is booked on the transaction."""

    explanation: Explanation
    #: The company's own id of the customer; None while nobody has linked them.
    customer_key: str | None
    #: Rows of `commissions`.
    commissions: Sequence[Any]


def explain_by_name(connection: Connection, name: str, settings: Settings) -> Explained:
    """Explain the transaction `stripe:in_1`, its provider's `in_1`, or that of the commission `cmsn_...`.

    Raises Missing, with what may have been meant, for a name that nothing has; Rejected for one that says too little.
    """
    key = _transaction_key(connection, name)
    program = ProgramReader(settings).read(connection)
    case = load_case_file(connection, [key], program.horizon)
    subscriptions = {line.subscription_key for line in case.transactions[key].lines if line.subscription_key}
    customer = fetch(
        connection,
        """
        select c.customer_key from transactions t
        join provider_customers p on p.provider = t.provider and p.provider_customer_key = t.provider_customer_key
        join customers c on c.key = p.customer where t.key = :key
        """,
        key=key,
    )
    return Explained(
        explain(key, case, program, _similar(connection, sorted(subscriptions)), _reasons(connection, key, case)),
        customer[0].customer_key if customer else None,
        fetch(connection, "select * from commissions where transaction_key = :key order by line_key, key", key=key),
    )


def _reasons(connection: Connection, key: str, case: CaseFile) -> dict[str, str]:
    """Why posted lines were led to no product, by line key."""
    paid = case.transactions[key]
    if paid.provider != COMPANY:
        return {}
    found = reasons_of(connection, {key: paid}, Names(case.customers, {}))
    return {line_key: reason for (_, line_key), reason in found.items()}


def _transaction_key(connection: Connection, name: str) -> str:
    if not is_storable(name):
        raise Rejected("no transaction or commission has a name that is not Unicode text")
    rows = fetch(
        connection,
        """
        select key from transactions where key = :name or key in ('stripe:' || :name, 'chargebee:' || :name)
        union select transaction_key from commissions where key = :name
        """,
        name=name,
    )
    keys = sorted({str(row.key) for row in rows if row.key is not None})
    if rows and not keys:
        raise Rejected(f'"{name}" was not earned on a payment; see the explanation of the reward')
    if name in keys:
        return name
    if len(keys) > 1:
        raise Rejected(f'"{name}" may be {listed(keys)}; name one of them')
    if keys:
        return keys[0]
    raise Missing(f'no transaction or commission is called "{name}"{_hint(connection, name)}')


def _hint(connection: Connection, name: str) -> str:
    """What a person may have meant, or where it is stuck."""
    bare = name.rpartition(":")[2]
    near = fetch(
        connection,
        "select key from transactions where lower(key) in (lower(:name), lower('stripe:' || :bare)) limit 1",
        name=name,
        bare=bare,
    )
    if near:
        return f'; "{near[0].key}" differs only in capitals'
    unsettled = fetch(connection, "select count(*) as n from inbox where state in ('received', 'waiting', 'dead')")[0].n
    if unsettled:
        return f"; events not processed yet: {unsettled}, see `attribution events list`"
    return "; a transaction is called like stripe:in_..., a commission like cmsn_..."


def _similar(connection: Connection, keys: Sequence[str]) -> dict[str, list[str]]:
    """Per subscription key those of other known subscriptions that differ from it only in capitals or spaces."""
    similar: dict[str, list[str]] = {}
    for row in fetch(
        connection,
        """
        select distinct w.key, p.subscription_key from unnest(cast(:keys as text[])) as w(key)
        join products p on lower(btrim(p.subscription_key)) = lower(btrim(w.key)) and p.subscription_key <> w.key
        """,
        keys=list(keys),
    ):
        similar.setdefault(row.key, []).append(row.subscription_key)
    return similar


# As a document.


def document(explained: Explained) -> dict[str, Any]:
    """The whole explanation for JSON; money in minor units, times in epoch milliseconds."""
    found = explained.explanation
    paid = found.transaction
    return {
        "transaction": {
            "key": paid.key,
            "provider": paid.provider,
            "provider_customer_key": paid.provider_customer_key,
            "customer_key": explained.customer_key,
            "amount": paid.net_minor,
            "amount_reversed": paid.reversed_minor,
            "currency": paid.currency,
            "occurred_at": epoch_ms(paid.occurred_at),
        },
        "as_of": epoch_ms(found.as_of),
        "partner_key": found.attribution.partner_key if found.attribution else None,
        "lines": [_line_document(line) for line in found.lines],
        "triggers": [verdict_document(verdict) for verdict in found.verdicts],
        "commissions": [commission_document(row) for row in explained.commissions],
    }


def commission_document(row: Any) -> dict[str, Any]:
    """What is booked, beside what explains it."""
    return {
        "key": row.key,
        "trigger_key": row.trigger_key,
        "line_key": row.line_key,
        "partner_key": row.partner_key,
        "amount": row.amount_minor,
        "currency": row.currency,
        "reward_status": row.state,
        "instalment": row.instalment,
        "due_at": None if row.due_at is None else epoch_ms(row.due_at),
        "arithmetic": row.arithmetic,
    }


def _line_document(found: LineExplanation) -> dict[str, Any]:
    return {
        "key": found.line.key,
        "external_subscription_key": found.line.subscription_key,
        "external_product_key": found.line.product_key,
        "amount": found.line.net_minor,
        "amount_reversed": found.line.reversed_minor,
        "quantity": found.line.quantity,
        "product_name": found.product_name,
        "product_status": found.product_status,
        "reason": found.reason,
    }


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """What one trigger said, with its conditions."""
    asked = verdict.desired
    return {
        "trigger_key": verdict.trigger.key,
        "trigger_version": verdict.trigger.version,
        "name": verdict.trigger.name,
        "line_key": verdict.line_key,
        "fired": verdict.fired,
        "reason": verdict.reason,
        "amount": asked.amount_minor if asked else None,
        "currency": asked.claimant.currency if asked else None,
        "partner_key": asked.claimant.partner_key if asked else None,
        "arithmetic": asked.arithmetic if asked else None,
        "conditions": _trace_document(verdict.trace) if verdict.trace else None,
    }


def _trace_document(trace: Trace) -> dict[str, Any]:
    match trace:
        case GroupTrace(word, held, _, parts):
            return {word: [_trace_document(part) for part in parts], "held": held, "note": trace.note}
        case ConditionTrace():
            where = {"where": _trace_document(trace.where)} if trace.where else {}
            return {
                "field": trace.field,
                "op": trace.operator,
                "expected": trace.expected,
                "actual": shown(trace.actual),
                "held": trace.held,
                "note": trace.note,
                **where,
            }


def shown(actual: object) -> object:
    """A fact as JSON and people read it."""
    match actual:
        case set() | frozenset():
            return sorted(map(str, actual))
        case timedelta():
            return {"days": actual.days}
        case None | bool() | int():
            return actual
    return str(actual)
