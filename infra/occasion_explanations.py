"""Explain what a commission was earned on, be it no payment: a product bought or changed, a customer, a partner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.explain import OccasionExplanation, explain_joining, explain_occasion
from domain.fields import TriggerEvent
from domain.occasions import CustomerFile
from domain.problems import is_storable
from domain.windows import epoch_ms
from infra.explanations import Explained, commission_document, document, explain_by_name, verdict_document
from infra.ledger.customer_files import load_customer_files
from infra.program import ProgramReader
from infra.rows import fetch
from infra.settings import Settings


@dataclass(frozen=True, slots=True)
class ExplainedOccasion:
    """An explanation and what is booked on the occasion."""

    explanation: OccasionExplanation
    #: The company's own id of the customer; None where the occasion is a partner's own.
    customer_key: str | None
    #: Rows of `commissions`.
    commissions: Sequence[Any]


def explain_any(connection: Connection, name: str, settings: Settings) -> Explained | ExplainedOccasion:
    """Explain a transaction by any of its names, or whatever the commission `cmsn_...` was earned on.

    Raises as `explain_by_name` does.
    """
    rows = fetch(connection, _OCCASION, name=name) if is_storable(name) else []
    return _explained(connection, rows[0], settings) if rows else explain_by_name(connection, name, settings)


_OCCASION = """
    select m.event, m.occasion_key, m.customer, c.customer_key from commissions m
    left join customers c on c.key = m.customer where m.key = :name and m.transaction_key is null
"""


def _explained(connection: Connection, earned: Any, settings: Settings) -> ExplainedOccasion:
    event = TriggerEvent(earned.event)
    program = ProgramReader(settings).read(connection)
    if event is TriggerEvent.PARTNER_JOINED:
        explanation = explain_joining(earned.occasion_key, program)
    else:
        counting = program.docket.occasions_count_payments
        found = load_customer_files(connection, [], [earned.customer], with_standings=counting)
        file = found[0][0] if found else CustomerFile(None)
        explanation = explain_occasion(event, earned.occasion_key, file, program)
    booked = fetch(
        connection,
        "select * from commissions where event = :event and occasion_key = :occasion order by trigger_key, key",
        event=event,
        occasion=earned.occasion_key,
    )
    return ExplainedOccasion(explanation, earned.customer_key, booked)


def any_document(explained: Explained | ExplainedOccasion) -> dict[str, Any]:
    """The whole explanation for JSON; money in minor units, times in epoch milliseconds."""
    if isinstance(explained, Explained):
        return document(explained)
    found = explained.explanation
    occasion = found.occasion
    product = occasion.product if occasion is not None else None
    at = epoch_ms(occasion.at) if occasion is not None else None
    return {
        "occasion": {
            "event": found.event,
            "key": found.key,
            "occurred_at": at,
            "customer_key": explained.customer_key,
            "external_subscription_key": product[1] if product else None,
            "external_product_key": product[2] if product else None,
            "product_name": found.product_name,
            "product_status": found.product_status,
        },
        "as_of": at,
        "partner_key": found.attribution.partner_key if found.attribution else None,
        "triggers": [verdict_document(verdict) for verdict in found.verdicts],
        "commissions": [commission_document(row) for row in explained.commissions],
    }
