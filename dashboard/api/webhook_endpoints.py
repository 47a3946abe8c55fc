"""`/webhook_endpoints`: addresses of the company's own systems that are told when commissions and products change."""

from datetime import timedelta
from typing import Annotated, Any

import structlog
from fastapi import Body as RequestBody
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Body, Flag, Key
from dashboard.lists import Page, listed
from dashboard.visits import ThisVisit, Visit, manager_routes
from infra.outgoing.endpoints import (
    ENDPOINTS,
    EVENT_TYPES,
    OVERLAP_MAX,
    add_endpoint,
    change_endpoint,
    delete_endpoint,
    document,
    find_endpoint,
    rotate_secret,
)
from infra.outgoing.seals import Seal
from infra.outgoing.targets import URL_LENGTH_MAX

router = manager_routes("/webhook_endpoints", "webhooks")

_log = structlog.get_logger()

_EXAMPLE: dict[str, Any] = {
    "url": "https://example.com/told",
    "event_types": ["commission.created", "commission.paid"],
    "active": True,
}
_SHOWN: dict[str, Any] = {
    "key": "whep_0a1b2c3d4e5f4a1b8c3d0a1b2c3d4e5f",
    **_EXAMPLE,
    "stopped_reason": None,
    "created_at": 1767225600000,
    "earlier_secret_until": None,
}
_SECRET: dict[str, Any] = {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}


class Endpoint(BaseModel):
    """An endpoint, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SHOWN]})

    key: str
    url: str = Field(description="Where deliveries are sent, in its one spelling.")
    event_types: list[str]
    active: bool = Field(description="false: nothing is sent, and nothing new is written down for it.")
    stopped_reason: str | None = Field(description="Why the program itself stopped it: it answered 410 Gone.")
    created_at: int
    earlier_secret_until: int | None = Field(
        description="Until when a secret from before the last rotation signs as well."
    )


class RegisteredEndpoint(Endpoint):
    """An endpoint that was just registered, or got another secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SHOWN | _SECRET]})

    secret: str = Field(description="Signs every delivery by the Standard Webhooks scheme. Shown this once.")


class DeletedEndpoint(BaseModel):
    """An endpoint that is no more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": _SHOWN["key"], "deleted": True}]})

    key: str
    deleted: bool


Url = Annotated[
    str,
    Field(
        max_length=URL_LENGTH_MAX,
        description="https, without credentials, at port 443 or 8443 of a host whose every address is public.",
    ),
]
EventTypes = Annotated[
    list[Key], Field(max_length=len(EVENT_TYPES), description=f"Of {', '.join(f'`{each}`' for each in EVENT_TYPES)}.")
]


class EndpointChange(Body):
    """What to change: a field that is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"active": False}]})

    url: Url = ""
    event_types: EventTypes = Field(default=[])
    active: Flag = True


class NewEndpoint(Body):
    """An endpoint to register."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    url: Url
    event_types: EventTypes
    active: Flag = True


class Rotation(Body):
    """How another secret takes over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_hours": 24}]})

    overlap_hours: StrictInt = Field(
        default=24,
        ge=0,
        le=OVERLAP_MAX // timedelta(hours=1),
        description="How long the secret it has now signs as well; 0: not at all any more, nor does any before it.",
    )


#: Nothing at all is the usual overlap.
MaybeRotation = Annotated[Rotation | None, RequestBody(examples=[{"overlap_hours": 24}])]


@router.get("")
def list_endpoints(visit: ThisVisit, filters: Annotated[Page, Query()]) -> Answer[Items[Endpoint]]:
    """List the endpoints that were not deleted."""
    return listed(visit.connection, ENDPOINTS, filters, _item)


@router.post("")
def register(visit: ThisVisit, body: NewEndpoint) -> Answer[RegisteredEndpoint]:
    """Register an endpoint. Its host is looked up now and again for every delivery; `secret` is not shown again."""
    seal = Seal(visit.settings.sealing_keys)
    allowed = visit.settings.webhook_targets_allowed
    made = add_endpoint(visit.connection, **body.model_dump(), allowed=allowed, seal=seal)
    visit.audit("webhook_endpoint.created", made["key"])
    return answered(_with_secret(visit, made, seal), "registered; keep the secret, it is not shown again")


@router.get("/{key}")
def read(visit: ThisVisit, key: Key) -> Answer[Endpoint]:
    """One endpoint."""
    return answered(Endpoint(**find_endpoint(visit.connection, key)), "found")


@router.patch("/{key}")
def change(visit: ThisVisit, key: Key, body: EndpointChange) -> Answer[Endpoint]:
    """Change an endpoint. What waits for it is sent to its new address, once it is active."""
    before = find_endpoint(visit.connection, key)
    after = change_endpoint(visit.connection, key, **body.sent(), allowed=visit.settings.webhook_targets_allowed)
    if changed := sorted(name for name in before if before[name] != after[name]):
        visit.audit("webhook_endpoint.changed", key, fields=changed)
    return answered(Endpoint(**after), "changed" if changed else "nothing to change")


@router.delete("/{key}")
def delete(visit: ThisVisit, key: Key) -> Answer[DeletedEndpoint]:
    """Forget an endpoint and its secrets. What waits for it is dead; its past deliveries stay in their list."""
    delete_endpoint(visit.connection, key)
    visit.audit("webhook_endpoint.deleted", key)
    return answered(DeletedEndpoint(key=key, deleted=True), "deleted")


@router.post("/{key}/rotate_secret")
def rotate(visit: ThisVisit, key: Key, body: MaybeRotation = None) -> Answer[RegisteredEndpoint]:
    """Give an endpoint another secret; `secret` is not shown again.

    Until the overlap ends every delivery has a signature by the secret it had as well: whoever verifies with either
    finds its own. Give the receiving system the new one meanwhile.
    """
    seal = Seal(visit.settings.sealing_keys)
    overlap = timedelta(hours=(body or Rotation()).overlap_hours)
    made = rotate_secret(visit.connection, key, overlap=overlap, seal=seal)
    visit.audit("webhook_endpoint.secret_rotated", key, earlier_secret_until=made["earlier_secret_until"])
    return answered(_with_secret(visit, made, seal), "rotated; keep the secret, it is not shown again")


def _with_secret(visit: Visit, made: dict[str, Any], seal: Seal) -> RegisteredEndpoint:
    if not seal.is_there:
        _log.warning("endpoint_secret.unsealed", endpoint=made["key"], reason="SEALING_KEYS is not set")
    visit.answer_is_secret = True
    return RegisteredEndpoint(**made)


def _item(row: Any) -> Endpoint:
    return Endpoint(**document(row))
