"""`/webhook_deliveries`: what endpoints were told or are yet to be told, and why something did not arrive."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Key
from dashboard.lists import Page, listed
from dashboard.visits import ThisVisit, manager_routes
from infra.outgoing.deliveries import DeliveryState, document, find_delivery, resend

router = manager_routes("/webhook_deliveries", "webhooks")


class Delivery(BaseModel):
    """One message to one endpoint."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "msg_0a1b2c3d4e5f4a1b8c3d0a1b2c3d4e5f",
                    "endpoint_key": "whep_0a1b2c3d4e5f4a1b8c3d0a1b2c3d4e5f",
                    "event_type": "commission.created",
                    "state": "pending",
                    "attempts": 2,
                    "next_attempt_at": 1767225630000,
                    "last_status": 503,
                    "reason": "answered 503",
                    "created_at": 1767225600000,
                    "finished_at": None,
                    "payload": '{"type":"commission.created","timestamp":"2026-01-01T00:00:00.000000Z","data":{}}',
                }
            ]
        }
    )

    key: str = Field(description="The `webhook-id` of every attempt: an endpoint that has seen it has seen it all.")
    endpoint_key: str
    event_type: str
    state: DeliveryState = Field(description="`pending` until an endpoint answers 2xx, or it was tried too often.")
    attempts: int
    next_attempt_at: int | None
    last_status: int | None = Field(description="Of the last attempt; null: it came to no answer.")
    reason: str | None = Field(description="Why the last attempt failed, or why it is dead.")
    created_at: int = Field(description="When what it tells of was committed.")
    finished_at: int | None
    payload: str | None = Field(description="The exact text that is signed; null until it is first sent.")


class Filters(Page):
    """Which deliveries."""

    endpoint_key: Key | None = None
    state: DeliveryState | None = None
    event_type: Key | None = None


@router.get("")
def list_deliveries(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[Delivery]]:
    """List deliveries. What was delivered is kept for 30 days, what is dead until somebody resends it."""
    wanted = filters.model_dump(include={"endpoint_key", "state", "event_type"}, exclude_none=True)
    conditions = [f"{name} = :{name}" for name in wanted]
    return listed(visit.connection, "select * from webhook_deliveries", filters, _item, conditions=conditions, **wanted)


@router.get("/{key}")
def read(visit: ThisVisit, key: Key) -> Answer[Delivery]:
    """One delivery."""
    return answered(Delivery(**find_delivery(visit.connection, key)), "found")


@router.post("/{key}/resend")
def send_again(visit: ThisVisit, key: Key) -> Answer[Delivery]:
    """Send a delivery again, whatever became of it: the same id and payload, its attempts counted anew."""
    found = resend(visit.connection, key)
    visit.audit("webhook_delivery.resent", key)
    return answered(Delivery(**found), "due now")


def _item(row: Any) -> Delivery:
    return Delivery(**document(row))
