"""`/events`: the inbox, event by event, newest first. Bodies are not shown."""

from typing import Annotated, Any

from fastapi import Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Key
from dashboard.lists import Page
from dashboard.operations import DeadFilter, Done, Reason, Replay, ignored, replayed, said_of
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Missing, Rejected
from infra.inbox import InboxState
from infra.replays import Which
from infra.reports import event_named, events_page

router = manager_routes("/events", "operating")

ID_MAX = 2**63 - 1
MaybeReplay = Annotated[Replay | None, Body(examples=[{"dry_run": True}])]
EventId = Annotated[Key, Path(description="The event's number here, or the provider's id.")]


class Event(BaseModel):
    """One event as it was received, and what became of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "17",
                    "id": 17,
                    "provider": "stripe",
                    "event_key": "evt_1",
                    "type": "invoice.paid",
                    "livemode": True,
                    "state": "processed",
                    "attempts": 1,
                    "reason": None,
                    "fingerprint": None,
                    "occurred_at": 1767225600000,
                    "received_at": 1767225601000,
                    "next_attempt_at": None,
                    "finished_at": 1767225601200,
                    "erased": False,
                    "outcome": {
                        "transactions": ["stripe:in_1"],
                        "commissions": ["cmsn_0a1b2c3d4e5f60718293"],
                    },
                }
            ]
        }
    )

    key: str = Field(description="The id as text: what lists take as a cursor.")
    id: int
    provider: str = Field(description="stripe, chargebee, api; program: a change of the program to judge by.")
    event_key: str = Field(description="The provider's id.")
    type: str
    livemode: bool | None
    state: InboxState
    attempts: int
    reason: str | None = Field(description="Why it waits, failed or was ignored.")
    fingerprint: str | None = Field(description="Its group among dead letters.")
    occurred_at: int
    received_at: int
    next_attempt_at: int | None = Field(description="When it is due.")
    finished_at: int | None
    erased: bool = Field(description="Its body is gone: it cannot be replayed, and what it caused stays.")
    outcome: dict[str, Any] | None = Field(description="What it is about and which commissions it caused, as keys.")


class Filters(Page):
    """Which events."""

    provider: Key | None = None
    type: Key | None = None
    state: InboxState | None = None
    fingerprint: Key | None = Field(default=None, description="A group of dead letters.")
    event_key: Key | None = Field(default=None, description="The provider's id.")


class ReplayFilter(DeadFilter):
    """Which events to replay, whatever became of them; at least one thing is said."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"provider": "stripe", "type": "invoice.paid", "since": 1767225600000, "dry_run": True}]
        }
    )

    state: InboxState | None = None


@router.get("")
def list_events(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[Event]]:
    """List what came in and what became of it."""
    wanted = {
        "provider": filters.provider,
        "event_type": filters.type,
        "state": filters.state,
        "fingerprint": filters.fingerprint,
        "event_key": filters.event_key,
    }
    rows, has_more = events_page(
        visit.connection,
        {name: value for name, value in wanted.items() if value is not None},
        limit=filters.limit,
        starting_after=_cursor(filters.starting_after, "starting_after"),
        ending_before=_cursor(filters.ending_before, "ending_before"),
        min_received_ms=filters.min_created,
        max_received_ms=filters.max_created,
        oldest_first=filters.order_by == "created_at",
    )
    count = f"{len(rows)} event" if len(rows) == 1 else f"{len(rows)} events"
    return answered(Items(items=[Event(**row) for row in rows], has_more=has_more), count)


@router.post("/replay")
def replay_filter(visit: ThisVisit, body: ReplayFilter) -> Answer[Done]:
    """Make events due again that fit; what was processed already books nothing again."""
    done = replayed(visit, body.which(body.state), trial=body.dry_run, after=body.after)
    return answered(done, said_of(done))


@router.get("/{id}")
def read(visit: ThisVisit, id: EventId) -> Answer[Event]:  # noqa: A002 - as the path calls it
    """One event."""
    return answered(_read(visit, id), "found")


@router.post("/{id}/replay")
def replay(visit: ThisVisit, id: EventId, body: MaybeReplay = None) -> Answer[Done]:  # noqa: A002
    """Make an event due again, with today's code; `dry_run` says what that would change."""
    event = _read(visit, id)
    done = replayed(visit, Which(id=event.id), trial=body is not None and body.dry_run)
    return answered(done, said_of(done))


@router.post("/{id}/ignore")
def ignore(visit: ThisVisit, id: EventId, body: Reason) -> Answer[Event]:  # noqa: A002
    """Put an event aside that is received, waiting or dead."""
    event = _read(visit, id)
    ignored(visit, Which(id=event.id), body.reason)
    return answered(_read(visit, id), "ignored")


def _read(visit: Visit, event: str) -> Event:
    found = event_named(visit.connection, event)
    if found is None:
        raise Missing(f"there is no event {event}", "id")
    return Event(**found)


def _cursor(key: str | None, name: str) -> int | None:
    if key is None:
        return None
    if not key.isascii() or not key.isdigit() or not 1 <= int(key[:20]) <= ID_MAX:
        raise Rejected("is no item of this list; use the `key` of an item that a page has shown", name)
    return int(key)
