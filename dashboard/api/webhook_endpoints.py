"""`/webhook_endpoints`: addresses of the company's own systems that are told when commissions and products change."""

from typing import Annotated, Any

import structlog
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Body, Flag, Key
from dashboard.lists import Page, listed
from dashboard.visits import ThisVisit, manager_routes
from infra.outgoing.endpoints import (
    EVENT_TYPES,
    add_endpoint,
    change_endpoint,
    delete_endpoint,
    document,
    find_endpoint,
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
}


class Endpoint(BaseModel):
    """An endpoint, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SHOWN]})

    key: str
    url: str = Field(description="Where deliveries are sent, in its one spelling.")
    event_types: list[str]
    active: bool = Field(description="false: nothing is sent, and nothing new is written down for it.")
    stopped_reason: str | None = Field(description="Why the program itself stopped it: it answered 410 Gone.")
    created_at: int


class RegisteredEndpoint(Endpoint):
    """An endpoint that was just registered."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_SHOWN, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}]}
    )

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


@router.get("")
def list_endpoints(visit: ThisVisit, filters: Annotated[Page, Query()]) -> Answer[Items[Endpoint]]:
    """List the endpoints that were not deleted."""
    return listed(visit.connection, "select * from webhook_endpoints where deleted_at is null", filters, _item)


@router.post("")
def register(visit: ThisVisit, body: NewEndpoint) -> Answer[RegisteredEndpoint]:
    """Register an endpoint. Its host is looked up now and again for every delivery; `secret` is not shown again."""
    seal = Seal(visit.settings.sealing_keys)
    allowed = visit.settings.webhook_targets_allowed
    made = add_endpoint(visit.connection, **body.model_dump(), allowed=allowed, seal=seal)
    if not seal.is_there:
        _log.warning("endpoint_secret.unsealed", endpoint=made["key"], reason="SEALING_KEYS is not set")
    visit.answer_is_secret = True
    visit.audit("webhook_endpoint.created", made["key"])
    return answered(RegisteredEndpoint(**made), "registered; keep the secret, it is not shown again")


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
    """Forget an endpoint and its secret. What waits for it is dead; its past deliveries stay in their list."""
    delete_endpoint(visit.connection, key)
    visit.audit("webhook_endpoint.deleted", key)
    return answered(DeletedEndpoint(key=key, deleted=True), "deleted")


def _item(row: Any) -> Endpoint:
    return Endpoint(**document(row))
