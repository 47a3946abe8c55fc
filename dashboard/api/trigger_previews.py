"""`/triggers/preview`: what a draft would have paid. May take minutes; ends when the caller goes away."""

import asyncio
import threading
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException

from dashboard.answers import Answer, answered
from dashboard.api.triggers import DOCUMENT_EXAMPLE, DOCUMENT_PROPERTIES, TriggerNotice
from dashboard.fields import QueryMilliseconds
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Rejected, TryLater
from domain.problems import Problems, RejectedDocument
from domain.triggers import parse_trigger
from domain.windows import parse_moment
from infra.previews import document, preview
from infra.unit_of_work import unit_of_work_on

router = manager_routes("/triggers", "triggers")

_CLIENT_CLOSED_REQUEST = 499

#: What the body has beside the trigger's own fields.
_PERIOD: dict[str, Any] = {
    "from": {"type": ["integer", "null"], "description": "Epoch milliseconds; from the beginning if left out."},
    "to": {"type": ["integer", "null"], "description": "Epoch milliseconds, itself not included; now if left out."},
    "replaces": {"type": ["string", "null"], "description": "Key of the trigger whose place the draft takes."},
}
Draft = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "A trigger with a period beside its fields, or as `trigger` beside the period.",
            "properties": {**DOCUMENT_PROPERTIES, **_PERIOD},
            "required": ["name", "event", "action"],
            "additionalProperties": False,
            "examples": [{**DOCUMENT_EXAMPLE, "from": 1764547200000, "to": 1767225600000}],
        }
    ),
]


class QueriedPeriod(BaseModel):
    """The period, for whoever puts it beside the address."""

    model_config = ConfigDict(extra="forbid")

    from_: QueryMilliseconds | None = Field(default=None, alias="from")
    to: QueryMilliseconds | None = None


NOTHING_SAID = QueriedPeriod()


class Amounts(BaseModel):
    """Minor units of one currency."""

    currency: str
    amount: int = Field(description="What the draft would have paid.")
    count: int = Field(description="How often it would have paid.")
    amount_all_triggers: int = Field(description="What all triggers would have paid with the draft among them.")
    amount_booked: int = Field(description="What is booked now, declined commissions aside.")


class PreviewedRow(Amounts):
    """One partner, product and currency."""

    partner_key: str
    product: str | None = Field(description="Name of the product; null: on the whole payment, or on no product.")


class ShownPreview(BaseModel):
    """What a draft would have paid, beside what was paid."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "from": 1764547200000,
                    "to": 1767225600000,
                    "transactions": 1,
                    "rows": [
                        {
                            "partner_key": "ada",
                            "product": "Inbox",
                            "currency": "usd",
                            "amount": 1980,
                            "count": 1,
                            "amount_all_triggers": 1980,
                            "amount_booked": 990,
                        }
                    ],
                    "totals": [
                        {
                            "currency": "usd",
                            "amount": 1980,
                            "count": 1,
                            "amount_all_triggers": 1980,
                            "amount_booked": 990,
                        }
                    ],
                    "warnings": [],
                }
            ]
        },
    )

    from_: int | None = Field(alias="from")
    to: int
    transactions: int = Field(description="How many were judged.")
    rows: list[PreviewedRow]
    totals: list[Amounts] = Field(description="All rows of a currency together.")
    warnings: list[TriggerNotice]


class _Abandoned(Exception):
    """Nobody waits for the preview any more."""


@router.post("/preview")
async def preview_trigger(
    visit: ThisVisit, request: Request, body: Draft, query: Annotated[QueriedPeriod, Query()] = NOTHING_SAID
) -> Answer[ShownPreview]:
    """Judge recorded history as if the draft had been in force; nothing is saved, and nobody waits for it."""
    abandoned = threading.Event()
    watching = asyncio.create_task(_watch(request, abandoned))
    try:
        found = await run_in_threadpool(_previewed, visit, _with_period(body, query), abandoned)
    except _Abandoned:
        raise HTTPException(_CLIENT_CLOSED_REQUEST, "the caller went away") from None
    finally:
        watching.cancel()
    return answered(found, "previewed")


def _with_period(body: dict[str, Any], query: QueriedPeriod) -> dict[str, Any]:
    """The body with the period that the query says, where the body says nothing else."""
    said = query.model_dump(by_alias=True, exclude_none=True)
    problems = Problems()
    for name in said:
        if body.get(name) not in (None, said[name]):
            problems.add(name, "stands in the query and in the body, and not the same; say it once")
    problems.raise_any()
    return {**body, **said}


async def _watch(request: Request, abandoned: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    abandoned.set()


def _previewed(visit: Visit, body: dict[str, Any], abandoned: threading.Event) -> ShownPreview:
    trigger, period = _apart(body)
    problems = Problems()
    since, until = (
        None if period.get(name) is None else parse_moment(period[name], name, problems) for name in ("from", "to")
    )
    replaces = period.get("replaces")
    if replaces is not None and not isinstance(replaces, str):
        problems.add("replaces", "must be the key of a trigger")
    _note_mistakes(trigger, "trigger." if "trigger" in body else "", problems)
    problems.raise_any()

    def look_up(done: int, total: int) -> None:
        if abandoned.is_set():
            raise _Abandoned

    try:
        with unit_of_work_on(visit.previewing) as connection:
            until = until or visit.now
            details: dict[str, Any] = {"replaces": replaces, "now": visit.now, "progress": look_up}
            found = preview(connection, trigger, since, until, visit.settings, **details)
    except NoConnectionFree:
        raise TryLater("other previews are running") from None
    return ShownPreview(**document(found))


def _note_mistakes(trigger: Any, path: str, problems: Problems) -> None:
    """What is wrong with the draft, beside what is wrong with the period."""
    try:
        parse_trigger(trigger)
    except RejectedDocument as error:
        for each in error.problems:
            problems.add(f"{path}{each.field}", each.message)
    except Rejected as error:
        problems.add("trigger", str(error))


def _apart(body: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The trigger's document, and what stands beside it."""
    beside = {name: value for name, value in body.items() if name in _PERIOD}
    rest = {name: value for name, value in body.items() if name not in _PERIOD}
    if "trigger" not in rest:
        return rest, beside
    if len(rest) > 1:
        raise Rejected("a trigger's fields stand in `trigger` or beside the period, not both", "trigger")
    return rest["trigger"], beside
