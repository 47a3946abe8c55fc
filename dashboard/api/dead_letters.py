"""`/dead_letters`: events that no retry will help, by what killed them; replay or ignore a group, or what fits."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Key, LongText
from dashboard.lists import Page, listed
from dashboard.operations import DeadFilter, Done, ignored, replayed, said_of
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Rejected
from infra.inbox import InboxState
from infra.replays import DEAD_GROUPS, group_document

router = manager_routes("/dead_letters", "operating")

_FINGERPRINT = "stripe invoice.paid Unreadable no amount at `$.total`"


class Group(BaseModel):
    """Dead letters with one cause."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": _FINGERPRINT,
                    "fingerprint": _FINGERPRINT,
                    "provider": "stripe",
                    "type": "invoice.paid",
                    "count": 3,
                    "first_seen_at": 1767225600000,
                    "last_seen_at": 1767229200000,
                    "example_id": 17,
                    "reason": "no amount at `$.total`",
                }
            ]
        }
    )

    key: str = Field(description="The fingerprint.")
    fingerprint: str = Field(description="Provider, type and error.")
    provider: str
    type: str
    count: int
    first_seen_at: int = Field(description="When the first of them was received.")
    last_seen_at: int = Field(description="When the last of them was received.")
    example_id: int = Field(description="The last of them, at `/events/{id}`.")
    reason: str | None


class Filters(Page):
    """Which groups."""

    provider: Key | None = None
    type: Key | None = None


class Act(DeadFilter):
    """What to do with which dead letters."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "ignore", "fingerprint": _FINGERPRINT, "reason": "a test account's events"}]
        }
    )

    action: Literal["replay", "ignore"] = "replay"
    reason: LongText | None = Field(default=None, max_length=500, description="Why; needed to ignore.")


class Ignore(DeadFilter):
    """Which dead letters to put aside, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"fingerprint": _FINGERPRINT, "reason": "a test account's events"}]}
    )

    reason: LongText = Field(max_length=500, description="Why; kept with each of them.")


@router.get("")
def list_groups(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[Group]]:
    """List dead letters by what killed them, the most recent group first."""
    conditions = []
    parameters: dict[str, Any] = {}
    for name, value in (("provider", filters.provider), ("event_type", filters.type)):
        if value is not None:
            conditions.append(f"{name} = :{name}")
            parameters[name] = value
    return listed(visit.connection, DEAD_GROUPS, filters, _group, conditions=conditions, **parameters)


@router.post("")
def act(visit: ThisVisit, body: Act) -> Answer[Done]:
    """Replay dead letters, or ignore them with a reason."""
    if body.action == "replay":
        return _replay(visit, body)
    if body.reason is None:
        raise Rejected("is required to ignore: it is kept with the events", "reason")
    return _ignore(visit, body, body.reason)


@router.post("/replay")
def replay(visit: ThisVisit, body: DeadFilter) -> Answer[Done]:
    """Make dead letters due again, with today's code; `dry_run` says what that would change."""
    return _replay(visit, body)


@router.post("/ignore")
def ignore(visit: ThisVisit, body: Ignore) -> Answer[Done]:
    """Put dead letters aside."""
    return _ignore(visit, body, body.reason)


def _replay(visit: Visit, body: DeadFilter) -> Answer[Done]:
    done = replayed(visit, body.which(InboxState.DEAD), trial=body.dry_run, after=body.after)
    return answered(done, said_of(done))


def _ignore(visit: Visit, body: DeadFilter, reason: str) -> Answer[Done]:
    if body.dry_run:
        raise Rejected("shows what a replay would change; ignoring changes nothing but the events", "dry_run")
    return answered(ignored(visit, body.which(InboxState.DEAD), reason, after=body.after), "ignored")


def _group(row: Any) -> Group:
    return Group(key=row.key, **group_document(row))
