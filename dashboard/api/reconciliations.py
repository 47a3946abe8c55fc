"""`/reconciliations`: compare with a provider's books. A POST asks for a run; a worker does it."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Body, Flag, Key, Milliseconds, moment
from dashboard.lists import Page, listed
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Missing, Rejected
from domain.windows import epoch_ms
from infra.reconciliation.providers import missing_settings
from infra.reconciliation.runs import request
from infra.rows import fetch

router = manager_routes("/reconciliations", "reconciliations")

Provider = Literal["stripe", "chargebee"]
Scope = Literal["events", "whole"]

_EXAMPLE: dict[str, Any] = {"provider": "stripe", "scope": "whole", "dry_run": False}


class Reconciliation(BaseModel):
    """One run, and its report once it is over."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "12",
                    **_EXAMPLE,
                    "requested_by": "api",
                    "state": "requested",
                    "phase": "events",
                    "reason": None,
                    "since": None,
                    "created_at": 1767225600000,
                    "finished_at": None,
                    "report": None,
                }
            ]
        }
    )

    key: str
    provider: Provider
    scope: Scope
    dry_run: bool
    requested_by: Literal["schedule", "api", "cli"]
    state: Literal["requested", "running", "finished", "failed"]
    phase: str = Field(description="What it does, or did last.")
    reason: str | None = Field(description="Why it failed, or waits to try again.")
    since: int | None = Field(description="From when on it was asked to look; null: as far as there is need to.")
    created_at: int
    finished_at: int | None
    report: dict[str, Any] | None = Field(description="Counts, keys and money; see the operator's handbook.")


class NewReconciliation(Body):
    """A run to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    provider: Provider
    scope: Scope = Field(
        default="whole", description="events: the event list alone; whole: what is sold, paid and taken back, too."
    )
    dry_run: Flag = Field(default=False, description="Say what would be stored, and store nothing.")
    since: Milliseconds | None = Field(default=None, description="Look from then on, rather than since the last run.")


class Filters(Page):
    """Which runs."""

    provider: Provider | None = None
    state: Literal["requested", "running", "finished", "failed"] | None = None


_SELECT = """
    select cast(id as text) as key, provider, scope, dry_run, requested_by, state, phase, reason,
        asked_since as since, created_at, finished_at, report
    from reconciliations
"""


@router.get("")
def list_reconciliations(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[Reconciliation]]:
    """List runs and their reports."""
    wanted = {name: getattr(filters, name) for name in ("provider", "state") if getattr(filters, name) is not None}
    return listed(
        visit.connection, _SELECT, filters, _item, conditions=[f"{name} = :{name}" for name in wanted], **wanted
    )


@router.post("")
def start(visit: ThisVisit, body: NewReconciliation) -> Answer[Reconciliation]:
    """Ask for a run. While one that was asked for the same is not over, that is the answer."""
    if (missing := missing_settings(visit.settings, body.provider)) is not None:
        raise Rejected(f"the books of {body.provider} cannot be read: set {missing}", "provider")
    since = moment(body.since, "since")
    if since is not None and since > visit.now:
        raise Rejected("lies in the future", "since")
    run_id = request(
        visit.connection,
        body.provider,
        visit.now,
        requested_by="api",
        scope=body.scope,
        dry_run=body.dry_run,
        since=since,
    )
    visit.audit("reconciliation.requested", str(run_id), fields=sorted(body.sent()))
    return answered(_read(visit, str(run_id)), "a worker will do it")


@router.get("/{key}")
def read(visit: ThisVisit, key: Key) -> Answer[Reconciliation]:
    """One run."""
    return answered(_read(visit, key), "found")


def _read(visit: Visit, key: str) -> Reconciliation:
    found = fetch(visit.connection, f"{_SELECT} where cast(id as text) = :key", key=key)
    if not found:
        raise Missing(f"there is no reconciliation {key}", "key")
    return _item(found[0])


def _item(row: Any) -> Reconciliation:
    times = ("since", "created_at", "finished_at")
    found = {name: None if getattr(row, name) is None else epoch_ms(getattr(row, name)) for name in times}
    return Reconciliation(**{**row._mapping, **found})
