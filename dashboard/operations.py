"""What replaying and ignoring answer with, shared by events and dead letters."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dashboard.fields import Body, Flag, Key, LongText, Milliseconds, moment
from dashboard.visits import Visit
from domain.errors import Rejected
from infra.dry_runs import dry_run
from infra.inbox import InboxState
from infra.replays import Changed, Which, ignore, replay

_CHANGES: dict[str, Any] = {
    "matching": 2,
    "erased": 0,
    "tried": 2,
    "busy": 0,
    "after": None,
    "events": [
        {
            "id": 17,
            "provider": "stripe",
            "event_key": "evt_1",
            "type": "invoice.paid",
            "state": "processed",
            "reason": None,
        }
    ],
    "commissions": [
        {
            "key": "cmsn_0a1b2c3d4e5f60718293",
            "partner_key": "ada",
            "transaction_key": "stripe:in_1",
            "line_key": "sub_1/prod_inbox",
            "trigger_key": "trg_inbox",
            "currency": "usd",
            "before": None,
            "after": {"amount": 1980, "reward_status": "pending", "arithmetic": "99.00 USD line x 20 % = 19.80 USD"},
        }
    ],
    "products": [],
    "transactions": [],
    "totals": [{"partner_key": "ada", "currency": "usd", "amount": 1980}],
    "more": False,
}


class TriedEvent(BaseModel):
    """What would become of one event."""

    id: int
    provider: str
    event_key: str
    type: str
    state: str = Field(description="processed, waiting, ignored, received (again later), dead; busy: ask again.")
    reason: str | None


class Change(BaseModel):
    """A row that would be another; null: it is not there."""

    model_config = ConfigDict(extra="allow")

    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class PartnerTotal(BaseModel):
    """By how much a partner's commissions would change."""

    partner_key: str
    currency: str
    amount: int


class WouldChange(BaseModel):
    """What a replay would change."""

    matching: int = Field(description="Events that are meant.")
    erased: int = Field(description="How many of them cannot be replayed: their bodies were erased.")
    tried: int = Field(description="How many of them were tried: 200 at most.")
    busy: int = Field(description="How many were not, because a worker has their customer.")
    after: int | None = Field(description="Where there are more: ask again with this `after`.")
    events: list[TriedEvent]
    commissions: list[Change]
    products: list[Change]
    transactions: list[Change]
    totals: list[PartnerTotal]
    more: bool = Field(description="Whether more would change than is shown.")


class Done(BaseModel):
    """What was done, or would be."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"count": 2, "after": None, "dry_run": False, "would_change": None}]}
    )

    count: int = Field(description="Events changed; in a dry run, that would be.")
    after: int | None = Field(description="Where there may be more: ask again with this `after`.")
    dry_run: bool
    would_change: WouldChange | None = Field(description="Only of a dry run.", examples=[_CHANGES])


class Replay(Body):
    """How to replay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dry_run": True}]})

    dry_run: Flag = Field(default=False, description="Say what would change, and change nothing.")


class Reason(Body):
    """Why an event is put aside."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "an invoice of a test customer"}]})

    reason: LongText = Field(max_length=500, description="Kept with the event.")


class DeadFilter(Replay):
    """Which dead letters; without anything, all. What says which may stand in `filter`, too."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"fingerprint": "stripe invoice.paid Unreadable no amount at `$.total`", "dry_run": True}]
        }
    )

    fingerprint: Key | None = Field(default=None, description="A group of dead letters.")
    provider: Key | None = None
    type: Key | None = None
    since: Milliseconds | None = Field(default=None, description="Received then or later.")
    until: Milliseconds | None = Field(default=None, description="Received before then.")
    filter: dict[str, Any] | None = Field(default=None, description="What says which may stand here instead.")
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="The `after` of the last answer, to go on.")

    @model_validator(mode="before")
    @classmethod
    def _in_one_place(cls, body: Any) -> Any:
        if not isinstance(body, dict) or not isinstance(body.get("filter"), dict):
            return body
        rest = {name: value for name, value in body.items() if name != "filter"}
        if twice := sorted(rest.keys() & body["filter"].keys()):
            raise Rejected(f"says {', '.join(twice)}, and so does the body beside it; say it once", "filter")
        return {**rest, **body["filter"]}

    def which(self, state: InboxState | None) -> Which:
        """The events meant."""
        return Which(
            fingerprint=self.fingerprint,
            provider=self.provider,
            event_type=self.type,
            state=state,
            since=moment(self.since, "since"),
            until=moment(self.until, "until"),
        )


def replayed(visit: Visit, which: Which, *, trial: bool, after: int = 0) -> Done:
    """Replay events, or say what that would change."""
    if trial:
        found = WouldChange(**dry_run(visit.connection, which, visit.settings, visit.now, after=after))
        return Done(count=found.matching, after=found.after, dry_run=True, would_change=found)
    return _done(replay(visit.connection, which, visit.now, _audit(visit), after=after))


def said_of(done: Done) -> str:
    """What a replay came to, for people."""
    if done.dry_run:
        return "nothing was changed"
    return "due again" if done.count else "nothing fits, so nothing was changed"


def ignored(visit: Visit, which: Which, reason: str, *, after: int = 0) -> Done:
    """Put events aside."""
    return _done(ignore(visit.connection, which, reason, visit.now, _audit(visit), after=after))


def _done(changed: Changed) -> Done:
    return Done(count=changed.count, after=changed.after, dry_run=False, would_change=None)


def _audit(visit: Visit) -> Any:
    def write(action: str, subject: str, details: Mapping[str, object]) -> None:
        visit.audit(action, subject, **details)

    return write
