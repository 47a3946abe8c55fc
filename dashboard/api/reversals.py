"""`/transactions/{key}/reversals`: what was given back of a payment, as its provider told or as the company says."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from dashboard.answers import Answer, Items, answered
from dashboard.fields import AMOUNT_MAX, Body, Key, LongKey, Milliseconds, moment
from dashboard.lists import Page, listed
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Missing
from domain.facts import ReversalKind
from domain.windows import epoch_ms
from infra.rows import fetch
from infra.stated.reversals import state_reversal, undo_reversal
from infra.stated.telling import tell

router = manager_routes("/transactions", "transactions")

_EXAMPLE: dict[str, Any] = {"key": "refund-77", "amount": 4900, "created_at": 1769904000000}
_ITEM_EXAMPLE: dict[str, Any] = {
    **_EXAMPLE,
    "transaction_key": "order-10042",
    "kind": "refund",
    "amount_undone": 0,
    "currency": "usd",
    "line_keys": [],
}


class ReversalItem(BaseModel):
    """Money that went back."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM_EXAMPLE]})

    key: str = Field(description="The provider's id of it, or as it was told here.")
    transaction_key: str
    kind: ReversalKind = Field(
        description="`refunded` is all refunds of one payment so far, where a provider does not name them one by one."
    )
    amount: int = Field(description="In minor units, tax included.")
    amount_undone: int = Field(description="What of it did not come about: a refund failed, a dispute was won.")
    currency: str
    line_keys: list[str] = Field(description="The lines it is about, where it names some; else it is about all.")
    created_at: int = Field(description="When the money went back, as the newest word of it says.")


class NewReversal(Body):
    """What was given back of a payment that was posted here."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    amount: Annotated[StrictInt, Field(ge=1, le=AMOUNT_MAX, description="In minor units; no more than is left.")]
    key: Key | None = Field(
        default=None,
        description="Yours, for this reversal alone: the same key tells the same once. Drawn where none is given.",
    )
    line_key: LongKey | None = Field(
        default=None, description="The line it is for; left out, it is spread over what is left of all lines."
    )
    created_at: Milliseconds | None = Field(default=None, description="When the money went back.")


class UndoneReversal(Body):
    """A reversal that did not come about."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "refund-77"}]})

    key: Key = Field(description="As it was told.")


TransactionKey = Annotated[LongKey, Path(description="Of the payment.")]

#: All that leads to the payment: by its own key, or by what settled it.
_SELECT = """
    select r.reversal_key as key, r.source_at as created_at, t.key as transaction_key, r.kind, r.amount_minor,
        r.undone_minor, r.currency,
        array(select distinct l.line_key from transaction_lines l, jsonb_array_elements(r.lines) part
            where l.transaction_key = t.key and part ->> 1 = any(l.parts) order by 1) as line_keys
    from transactions t
    cross join lateral (
        select case t.provider when 'api' then t.key else substr(t.key, length(t.provider) + 2) end as key) invoice
    join reversals r on r.provider = t.provider and (r.invoice_key = invoice.key or r.invoice_key is null
        and r.payment_keys && array(select payment_key from payment_links
            where provider = t.provider and invoice_key = invoice.key))
    where t.key = :transaction_key
"""


@router.get("/{key:path}/reversals")
def list_reversals(
    visit: ThisVisit, key: TransactionKey, filters: Annotated[Page, Query()]
) -> Answer[Items[ReversalItem]]:
    """List what was given back of a payment. Events may tell of one refund in several ways; it counts once."""
    _require(visit, key)
    return listed(visit.connection, _SELECT, filters, _item, transaction_key=key)


@router.post("/{key:path}/reversals")
def create(visit: ThisVisit, key: TransactionKey, body: NewReversal) -> Answer[ReversalItem]:
    """Tell what was given back of a payment that was posted here; its commissions follow what is left.

    A payment that a provider told of is refunded there: 409.
    """
    given = body.sent()
    given["created_at"] = moment(given.get("created_at"), "created_at")
    reversal, is_new = tell(
        visit.connection, visit.settings, visit.now, lambda telling: state_reversal(telling, key, given)
    )
    if is_new:
        visit.audit("transaction.reversed", key, reversal=reversal)
    return answered(_read(visit, key, reversal), "created" if is_new else "it was there already")


@router.post("/{key:path}/reversals/undo")
def undo(visit: ThisVisit, key: TransactionKey, body: UndoneReversal) -> Answer[ReversalItem]:
    """Say that a reversal told here did not come about: the payment and its commissions are as if it had not been."""
    is_new = tell(visit.connection, visit.settings, visit.now, lambda telling: undo_reversal(telling, key, body.key))
    if is_new:
        visit.audit("transaction.reversal_undone", key, reversal=body.key)
    return answered(_read(visit, key, body.key), "undone" if is_new else "it was undone already")


def _require(visit: Visit, key: str) -> None:
    if not fetch(visit.connection, "select from transactions where key = :key", key=key):
        raise Missing(f'no transaction is called "{key}"', "key")


def _read(visit: Visit, transaction_key: str, key: str) -> ReversalItem:
    query = f"select * from ({_SELECT}) found where key = :key"
    return _item(fetch(visit.connection, query, transaction_key=transaction_key, key=key)[0])


def _item(row: Any) -> ReversalItem:
    return ReversalItem(
        key=row.key,
        transaction_key=row.transaction_key,
        kind=row.kind,
        amount=row.amount_minor,
        amount_undone=row.undone_minor,
        currency=row.currency,
        line_keys=row.line_keys,
        created_at=epoch_ms(row.created_at),
    )
