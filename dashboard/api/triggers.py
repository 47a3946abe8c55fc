"""`/triggers`: event, rules, action. What a document may say, `domain.triggers` knows; it is not said twice here."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Key
from dashboard.lists import Page, listed
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Missing
from domain.trigger_warnings import TriggerWarning
from domain.triggers import Trigger, held_from, render_trigger
from domain.windows import epoch_ms
from infra.program import trigger_of
from infra.program_changes import change_trigger_by_key, create_trigger, warnings_about
from infra.rows import fetch

router = manager_routes("/triggers", "triggers")

DOCUMENT_EXAMPLE: dict[str, Any] = {
    "name": "20 % of Inbox",
    "event": "transaction_created",
    "rules": {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
    "action": {"type": "percent", "percent": "20"},
    "offer": {"description": "20 % of every Inbox payment"},
    "position": 0,
    "exclusive_group": None,
    "active": True,
}
_EVENTS = [
    *("transaction_created", "product_created", "product_status_changed", "customer_created", "partner_joined"),
]
DOCUMENT_PROPERTIES: dict[str, Any] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "event": {"type": "string", "enum": _EVENTS},
    "action": {
        "type": "object",
        "description": 'percent ("12.5") or flat (minor units and currency), each with optional drip and limit',
        "properties": {
            "type": {"type": "string", "enum": ["percent", "flat"], "description": "percent or amount says it, too."},
            "percent": {"type": "string"},
            "amount": {"type": "integer"},
            "currency": {"type": "string"},
            "drip": {"type": ["object", "null"]},
            "limit": {"type": ["object", "null"]},
        },
    },
    "rules": {
        "type": ["object", "null"],
        "description": 'a condition {"field", "op", "value"}, or {"all": [...]}, {"any": [...]}, {"not": ...}',
    },
    "offer": {"type": ["object", "null"], "properties": {"description": {"type": ["string", "null"]}}},
    "position": {"type": ["integer", "null"], "minimum": 0},
    "exclusive_group": {"type": ["string", "null"]},
    "active": {"type": ["boolean", "null"]},
    "effective_from": {"type": ["integer", "null"], "description": "Epoch milliseconds; now if left out."},
}


def _document(example: dict[str, Any], *required: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "object",
            "properties": DOCUMENT_PROPERTIES,
            "required": list(required),
            "additionalProperties": False,
            "examples": [example],
        }
    )


NewTrigger = Annotated[dict[str, Any], _document(DOCUMENT_EXAMPLE, "name", "event", "action")]
TriggerChange = Annotated[dict[str, Any], _document({"action": {"type": "percent", "percent": "25"}})]

_SAVED: dict[str, Any] = {
    "key": "trg_0a1b2c3d4e5f60718293",
    "version": 1,
    **DOCUMENT_EXAMPLE,
    "effective_from": 1767225600000,
    "created_at": 1767225600000,
}


class Offer(BaseModel):
    """What partners see of a trigger."""

    description: str | None


class _Version(BaseModel):
    key: str
    version: int = Field(description="Counts from 1; each change makes one.")
    name: str
    event: str
    rules: dict[str, Any] | None
    action: dict[str, Any]
    offer: Offer
    position: int = Field(description="Within an exclusive group, the lowest wins.")
    exclusive_group: str | None
    active: bool
    effective_from: int = Field(description="From when on this version counts.")
    created_at: int


class PlannedVersion(BaseModel):
    """A version that is to take over."""

    version: int
    effective_from: int


class ListedTrigger(_Version):
    """A trigger as its latest saved version says, which may have yet to begin."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_SAVED, "in_force": 1, "planned": []}]})

    in_force: int | None = Field(description="The version that counts now; null while the first has yet to begin.")
    planned: list[PlannedVersion] = Field(description="The versions that are to take over, in that order.")


class TriggerVersion(_Version):
    """One version of a trigger as it was saved."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_SAVED, "in_effect": True}]})

    in_effect: bool = Field(description="Whether it is the one that counts now; others counted earlier, or are to.")


class TriggerNotice(BaseModel):
    """Something to look at."""

    kind: str
    field: str
    message: str


class ShownTrigger(ListedTrigger):
    """A trigger, and what is likely to be wrong with it beside the others in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_SAVED,
                    "in_force": 1,
                    "planned": [],
                    "warnings": [
                        {
                            "kind": "unknown_name",
                            "field": "rules",
                            "message": 'product.name: no product is called "Inbox"',
                        }
                    ],
                }
            ]
        }
    )

    warnings: list[TriggerNotice]


class Filters(Page):
    """Which triggers."""

    active: bool | None = None
    event: (
        Literal[
            "transaction_created", "product_created", "product_status_changed", "customer_created", "partner_joined"
        ]
        | None
    ) = None
    exclusive_group: Key | None = None


#: As `domain.triggers.held_from` has it: one that was saved later replaces all that it reaches.
_SELECT = """
    select t.key, t.created_at, v.version, v.effective_from, v.definition,
        (select max(held.version) from trigger_versions held
            where held.key = t.key and held.effective_from <= :now) as in_force,
        array(select array[planned.version, (extract(epoch from planned.effective_from) * 1000)::bigint]
            from trigger_versions planned
            where planned.key = t.key and planned.effective_from > :now and not exists (
                select from trigger_versions later where later.key = planned.key
                    and later.version > planned.version and later.effective_from <= planned.effective_from)
            order by planned.effective_from) as planned
    from triggers t join lateral (
        select * from trigger_versions v where v.key = t.key order by version desc limit 1
    ) v on true
"""
_CONDITIONS = {
    "active": "(definition ->> 'active')::boolean = :active",
    "event": "definition ->> 'event' = :event",
    "exclusive_group": "definition ->> 'exclusive_group' = :exclusive_group",
}


@router.get("")
def list_triggers(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[ListedTrigger]]:
    """List the triggers, each as its latest saved version says, with the one that counts now and those planned.

    `GET /triggers/{key}/versions` has the terms of each.
    """
    given = {name: value for name in _CONDITIONS if (value := getattr(filters, name)) is not None}
    conditions = [_CONDITIONS[name] for name in given]
    return listed(visit.connection, _SELECT, filters, _listed, conditions=conditions, now=visit.now, **given)


@router.post("")
def create(visit: ThisVisit, body: NewTrigger) -> Answer[ShownTrigger]:
    """Add a trigger; it takes effect now, or at `effective_from`. One that says exactly the same is not made twice."""
    saved, is_new = create_trigger(visit.connection, body, visit.now)
    if is_new:
        visit.audit("trigger.created", saved.key, version=saved.version)
    return answered(_shown(visit, saved), "created" if is_new else "it was there already")


@router.get("/{key}")
def read(visit: ThisVisit, key: Key) -> Answer[ShownTrigger]:
    """One trigger, as its latest saved version says, with the version that counts now and those that are planned."""
    row = _row(visit, key)
    if row is None:
        raise Missing(f"there is no trigger {key}", "key")
    return answered(_shown(visit, trigger_of(row)), "found")


@router.get("/{key}/versions")
def list_versions(visit: ThisVisit, key: Key) -> Answer[Items[TriggerVersion]]:
    """Every version of a trigger, the latest saved first. From its `effective_from` on, each replaces those before."""
    statement = "select * from trigger_versions where key = :key order by version desc"
    rows = fetch(visit.connection, statement, key=key)
    if not rows:
        raise Missing(f"there is no trigger {key}", "key")
    versions = [(trigger_of(row), epoch_ms(row.created_at)) for row in rows]
    held = held_from((version for version, _ in versions), visit.now)[:1]
    items = [
        TriggerVersion(**_fields(version, saved_at), in_effect=version in held and version.effective_from <= visit.now)
        for version, saved_at in versions
    ]
    return answered(Items(items=items, has_more=False), "found")


@router.patch("/{key}")
def change(visit: ThisVisit, key: Key, body: TriggerChange) -> Answer[ShownTrigger]:
    """Make a version with some fields changed; it holds from now on, or from `effective_from`.

    Without `effective_from`, versions that are to take over some day keep their day and get the same change: there is
    one more of each, and the answer shows the latest.
    """
    saved, changed = change_trigger_by_key(visit.connection, key, body, visit.now)
    if changed:
        visit.audit("trigger.changed", key, version=saved.version, fields=changed)
    return answered(_shown(visit, saved), "changed" if changed else "nothing to change")


def _shown(visit: Visit, trigger: Trigger) -> ShownTrigger:
    said = warnings_about(visit.connection, visit.program_reader(), trigger, visit.now)
    row = _row(visit, trigger.key)
    return ShownTrigger(
        **_fields(trigger, epoch_ms(row.created_at)), **_standing(row), warnings=[_warning(each) for each in said]
    )


def _listed(row: Any) -> ListedTrigger:
    return ListedTrigger(**_fields(trigger_of(row), epoch_ms(row.created_at)), **_standing(row))


def _row(visit: Visit, key: str) -> Any:
    found = fetch(visit.connection, f"{_SELECT} where t.key = :key", key=key, now=visit.now)
    return found[0] if found else None


def _standing(row: Any) -> dict[str, Any]:
    planned = [PlannedVersion(version=version, effective_from=since) for version, since in row.planned]
    return {"in_force": row.in_force, "planned": planned}


def _fields(trigger: Trigger, created_at: int) -> dict[str, Any]:
    return {"key": trigger.key, "version": trigger.version, **render_trigger(trigger), "created_at": created_at}


def _warning(found: TriggerWarning) -> TriggerNotice:
    return TriggerNotice(kind=found.kind.value, field=found.field, message=found.message)
