"""`/customers/{key}/erasures`: a person's details are taken out of everything, by a worker; the books stay."""

from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Key
from dashboard.visits import ThisVisit, manager_routes
from infra.erasure import erasures_of, request_erasure

router = manager_routes("/customers", "customers")

_OUTCOME: dict[str, Any] = {
    "events": 12,
    "put_aside": 0,
    "descriptions": 3,
    "payments": 2,
    "webhooks": 1,
    "answers": 0,
    "kept": ["customer.country"],
}
_EXAMPLE: dict[str, Any] = {
    "key": "1",
    "state": "finished",
    "requested_by": "person:grace@example.com",
    "requested_at": 1767225600000,
    "finished_at": 1767225612000,
    "reason": None,
    "outcome": _OUTCOME,
}


class Erasure(BaseModel):
    """One erasure."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    key: str
    state: str = Field(description="`requested` until a worker has done it; `finished`; `refused`, see `reason`.")
    requested_by: str
    requested_at: int
    finished_at: int | None
    reason: str | None = Field(description="What it waits for, or why it cannot be.")
    outcome: dict[str, Any] | None = Field(
        description="How many rows of what were cleared, and what was `kept` because rules read it.",
        examples=[_OUTCOME],
    )


CustomerKey = Annotated[Key, Path(description="By `customer_key` or `key`, or `stripe:cus_...` of nobody's.")]


@router.get("/{key:path}/erasures")
def list_erasures(visit: ThisVisit, key: CustomerKey) -> Answer[Items[Erasure]]:
    """List the erasures that were asked for, the newest first."""
    found = [Erasure(**each) for each in erasures_of(visit.connection, key)]
    return answered(Items(items=found, has_more=False), f"{len(found)} item{'s' * (len(found) != 1)}")


@router.post("/{key:path}/erasures")
def erase(visit: ThisVisit, key: CustomerKey) -> Answer[Erasure]:
    """Erase a customer's name, addresses, country and metadata, and the bodies of events about them. Not to be undone.

    A worker does it, after it has read every stored event; keys, payments and commissions stay. Erase them at the
    provider first: what it sends afterwards would bring their details in again.
    """
    found, is_new = request_erasure(visit.connection, key, visit.who.actor, visit.now)
    if is_new:
        visit.audit("customer.erasure_requested", key)
    return answered(Erasure(**found), "a worker will do it" if is_new else "it was asked for already")
