"""`/rewards`: commissions, with the entries they are the sum of. A person moves them along the legal moves."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Body, Key, LongText
from dashboard.lists import Page, Period, Wanted, fetch_page
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.commissions import Commission, CommissionState
from domain.errors import Missing, TryLater
from infra.ledger.bookings import NO_LONGER_EARNED
from infra.ledger.moves import move_commission
from infra.rows import fetch
from infra.shown.rewards import SELECT, shown_rewards

router = manager_routes("/rewards", "commissions")

#: A customer's events are done in milliseconds; who has them for longer is waited for by the caller.
_TRIES = 5
_PAUSE_S = 0.05

_EXAMPLE: dict[str, Any] = {
    "key": "cmsn_0a1b2c3d4e5f60718293",
    "amount": 1980,
    "currency": "usd",
    "reward_status": "pending",
    "decline_reason": None,
    "partner_key": "ada",
    "member_key": None,
    "customer_key": "acme",
    "transaction_key": "stripe:in_1",
    "line_key": "sub_1/prod_inbox",
    "external_product_key": "prod_inbox",
    "trigger_key": "trg_inbox",
    "trigger_version": 1,
    "event": "transaction_created",
    "offer": "20 % of every Inbox payment",
    "instalment": 0,
    "earned_at": 1767225600000,
    "due_at": None,
    "adjusts": None,
    "arithmetic": "99.00 USD line x 20 % = 19.80 USD",
    "created_at": 1767225602000,
    "entries": [
        {
            "amount": 1980,
            "balance": 1980,
            "cause": "stripe:evt_1",
            "arithmetic": "99.00 USD line x 20 % = 19.80 USD",
            "created_at": 1767225602000,
        }
    ],
}


class Entry(BaseModel):
    """One line of the ledger."""

    amount: int
    balance: int = Field(description="The commission's amount after it.")
    cause: str = Field(description="What led to it: `stripe:evt_...`, or a change of the program.")
    arithmetic: str | None
    created_at: int


class Reward(BaseModel):
    """A commission."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    key: str
    amount: int
    currency: str
    reward_status: CommissionState
    decline_reason: str | None = Field(description="The partner sees it.")
    partner_key: str
    member_key: str | None
    customer_key: str | None = Field(description="The company's own id; null where the partner's joining earned it.")
    transaction_key: str | None = Field(description="Null where something else than a payment earned it.")
    line_key: str | None = Field(description="Null: on the whole payment.")
    external_product_key: str | None
    trigger_key: str
    trigger_version: int
    event: str
    offer: str | None
    instalment: int = Field(description="0: paid at once; 1..: of a drip.")
    earned_at: int
    due_at: int | None = Field(description="When an instalment falls due; null: at once.")
    adjusts: str | None = Field(description="The commission that this one corrects after its approval.")
    arithmetic: str
    created_at: int
    entries: list[Entry]


class Move(Body):
    """Where to move a commission."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reward_status": "declined", "decline_reason": "The customer is your own"}]}
    )

    reward_status: CommissionState
    decline_reason: LongText | None = Field(
        default=None, max_length=500, description="Needed to decline, and only then; the partner sees it."
    )


class Which(Period):
    """Which commissions. Those that no trigger asks for any more are there on demand: `reward_status=reversed`."""

    partner_key: Key | None = None
    customer_key: Key | None = Field(default=None, description="The company's own id, or ours.")
    transaction_key: Key | None = None
    reward_status: CommissionState | None = None


class Filters(Which, Page):
    """Which commissions, a page of them."""


_CONDITIONS = {
    "partner_key": "partner_key = :partner_key",
    "customer_key": "customer_key = :customer_key or customer = :customer_key",
    "transaction_key": "transaction_key = :transaction_key",
    "reward_status": "state = :reward_status",
}


def wanted(visit: Visit, which: Which) -> Wanted:
    """Those that fit, whichever page."""
    given = {name: getattr(which, name) for name in _CONDITIONS if getattr(which, name) is not None}
    conditions = [_CONDITIONS[name] for name in given]
    if which.reward_status is not CommissionState.REVERSED:
        conditions.append("state <> 'reversed' or arithmetic <> :no_longer_earned")
        given["no_longer_earned"] = NO_LONGER_EARNED
    return Wanted(SELECT, conditions, given)


@router.get("")
def list_rewards(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[Reward]]:
    """List commissions."""
    asked = wanted(visit, filters)
    rows, has_more = fetch_page(
        visit.connection, asked.select, filters, conditions=asked.conditions, **asked.parameters
    )
    count = f"{len(rows)} commission" if len(rows) == 1 else f"{len(rows)} commissions"
    return answered(Items(items=_items(visit, rows), has_more=has_more), count)


@router.get("/{key}")
def read(visit: ThisVisit, key: Key) -> Answer[Reward]:
    """One commission."""
    return answered(_read(visit, key), "found")


@router.patch("/{key}")
def change(visit: ThisVisit, key: Key, body: Move) -> Answer[Reward]:
    """Move a commission: approve, hold, decline with a reason, mark as paid. What is not legal names what is."""
    known = _read(visit, key)
    if known.reward_status is body.reward_status and body.decline_reason in (None, known.decline_reason):
        return answered(known, "nothing to change")
    moved = _move(visit, key, body)
    visit.audit("reward.moved", key, **{"from": moved.state, "to": body.reward_status})
    return answered(_read(visit, key), f"it is {body.reward_status} now")


def _move(visit: Visit, key: str, body: Move) -> Commission:
    reader, cause = visit.program_reader(), f"{visit.who.actor}:{visit.request_id}"
    for _ in range(_TRIES - 1):
        try:
            return move_commission(visit.connection, reader, key, body.reward_status, body.decline_reason, cause)
        except TryLater:
            time.sleep(_PAUSE_S)
    return move_commission(visit.connection, reader, key, body.reward_status, body.decline_reason, cause)


def _read(visit: Visit, key: str) -> Reward:
    found = fetch(visit.connection, f"{SELECT} where c.key = :key", key=key)
    if not found:
        raise Missing(f"there is no commission {key}", "key")
    return _items(visit, found)[0]


def _items(visit: Visit, rows: Sequence[Any]) -> list[Reward]:
    return [Reward(**document) for document in shown_rewards(visit.connection, rows)]
