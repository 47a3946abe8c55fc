"""Triggers: event -> rules -> action. A trigger is a row of versions; editing makes a new one, nothing is overwritten.

Which version counts depends on the moment judged, never on today: see `in_force`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from domain.drips import Drip
from domain.errors import Rejected
from domain.fields import TriggerEvent
from domain.limits import Limit
from domain.money import parse_currency, parse_percent
from domain.periods import Span
from domain.problems import UNSTORABLE, Problems, is_storable, listed
from domain.rule_documents import read_rule, render_rule
from domain.rules import Rule, is_per_line
from domain.windows import epoch_ms, parse_moment, parse_span, render_span

__all__ = (
    "Action",
    "FlatAction",
    "PercentAction",
    "Trigger",
    "TriggerDraft",
    "TriggerEvent",
    "change_trigger",
    "held_from",
    "in_force",
    "parse_trigger",
    "render_action",
    "render_trigger",
)

_NAME_LENGTH_MAX = 200
_DESCRIPTION_LENGTH_MAX = 2_000
_AMOUNT_MAX = 10**15
_POSITION_MAX = 1_000_000
_REQUIRED = ("name", "event", "action")
_KEYS = (*_REQUIRED, "rules", "offer", "position", "exclusive_group", "active", "effective_from")
_TERMS = ("drip", "limit")
_DRIPS = ("delay", "cycle", "occurrences", "stop_on_churn")
_LIMITS = ("per_customer", "months", "amount_max")
_OCCURRENCES_MAX = 120
_MONTHS_MAX = 1_200
_COUNT_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class PercentAction:
    """Pay a share of what was paid; `percent` is more than 0 and at most 100."""

    percent: Decimal
    drip: Drip | None = None
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class FlatAction:
    """Pay a fixed, positive amount in a currency (three letters, lower case)."""

    amount_minor: int
    currency: str
    drip: Drip | None = None
    limit: Limit | None = None


Action = PercentAction | FlatAction


@dataclass(frozen=True, slots=True)
class TriggerDraft:
    """A trigger as its document describes it, before it has a key and a version."""

    name: str
    event: TriggerEvent
    rules: Rule
    action: Action
    #: All that partners ever see of a trigger.
    offer_description: str | None = None
    #: Among triggers of one exclusive group, the lowest wins.
    position: int = 0
    exclusive_group: str | None = None
    active: bool = True
    #: Aware UTC; None: from when it is saved.
    effective_from: datetime | None = None

    def as_version(self, key: str, version: int, saved_at: datetime) -> "Trigger":
        """The version this draft becomes when it is saved."""
        return Trigger(
            key=key,
            version=version,
            name=self.name,
            event=self.event,
            rules=self.rules,
            action=self.action,
            effective_from=self.effective_from or saved_at,
            offer_description=self.offer_description,
            position=self.position,
            exclusive_group=self.exclusive_group,
            active=self.active,
        )


@dataclass(frozen=True, slots=True)
class Trigger:
    """One version of a trigger."""

    key: str
    #: Counts from 1; a higher one replaces the lower from its `effective_from` on, which may lie in the past.
    version: int
    name: str
    event: TriggerEvent
    rules: Rule
    action: Action
    effective_from: datetime
    offer_description: str | None = None
    position: int = 0
    exclusive_group: str | None = None
    active: bool = True
    #: True: judged per line and paid on the line. False: judged and paid once, on the whole transaction.
    per_line: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_line", is_per_line(self.rules))


def parse_trigger(document: object) -> TriggerDraft:
    """A trigger from the JSON body of `/triggers`. Raises RejectedDocument (a Rejected) with every mistake.

    Actions: `{"type": "percent", "percent": "12.5"}`, `{"type": "flat", "amount": 500, "currency": "usd"}`, either
    with `"drip": {"delay": {"days": 30}, "cycle": {"months": 1}, "occurrences": 12, "stop_on_churn": true}` and
    `"limit": {"per_customer": 1, "months": 12, "amount_max": 50000}`. Null is as good as leaving an optional field
    out. Only payments can carry a percentage: every other event is flat.
    """
    problems = Problems()
    if not isinstance(document, Mapping):
        raise Rejected("must be a JSON object", "body")
    for key in document:
        if key not in _KEYS:
            problems.add(str(key), f"unknown field; a trigger has {listed(_KEYS)}")
    for key in _REQUIRED:
        if document.get(key) is None:
            problems.add(key, "is required")
    event = _read_event(document.get("event"), problems)
    name = _read_text(document.get("name"), "name", _NAME_LENGTH_MAX, problems)
    action = _read_action(document.get("action"), event, problems)
    draft = TriggerDraft(
        name=name or "",
        event=event or TriggerEvent.TRANSACTION_CREATED,
        rules=read_rule(document.get("rules"), event, "rules", problems),
        action=action or FlatAction(0, ""),
        offer_description=_read_offer(document.get("offer"), problems),
        position=_read_position(document.get("position"), problems),
        exclusive_group=_read_text(document.get("exclusive_group"), "exclusive_group", _NAME_LENGTH_MAX, problems),
        active=_read_active(document.get("active"), problems),
        effective_from=_read_effective_from(document.get("effective_from"), problems),
    )
    problems.raise_any()
    return draft


def render_trigger(trigger: Trigger | TriggerDraft) -> dict[str, object]:
    """The JSON body that `parse_trigger` reads back as an equal draft."""
    effective_from = trigger.effective_from
    return {
        "name": trigger.name,
        "event": trigger.event.value,
        "action": render_action(trigger.action),
        "rules": render_rule(trigger.rules),
        "offer": {"description": trigger.offer_description},
        "position": trigger.position,
        "exclusive_group": trigger.exclusive_group,
        "active": trigger.active,
        "effective_from": None if effective_from is None else epoch_ms(effective_from),
    }


def render_action(action: Action) -> dict[str, object]:
    """An action as the trigger's JSON writes it."""
    match action:
        case PercentAction(percent):
            document: dict[str, object] = {"type": "percent", "percent": format(percent, "f")}
        case FlatAction(amount_minor, currency):
            document = {"type": "flat", "amount": amount_minor, "currency": currency}
    if (drip := action.drip) is not None:
        spans = {"delay": render_span(drip.delay), "cycle": render_span(drip.cycle)}
        document["drip"] = {**spans, "occurrences": drip.occurrences, "stop_on_churn": drip.stop_on_churn}
    if (limit := action.limit) is not None:
        parts = {name: getattr(limit, name) for name in _LIMITS}
        document["limit"] = {name: value for name, value in parts.items() if value is not None}
    return document


def change_trigger(current: Trigger, changes: object, since: datetime | None = None) -> TriggerDraft:
    """The draft of the next version: `current` with some fields of its JSON body replaced.

    It counts from `since` (None: from when it is saved), unless the changes name an `effective_from` of their own.
    Raises RejectedDocument with every mistake.
    """
    if not isinstance(changes, Mapping):
        raise Rejected("must be a JSON object", "body")
    draft = parse_trigger({**render_trigger(current), "effective_from": None, **changes})
    return replace(draft, effective_from=draft.effective_from or since)


def in_force(versions: Iterable[Trigger], at: datetime) -> Trigger | None:
    """Of one trigger's versions the one that counts at a moment; None before the first, and while it is inactive.

    The latest saved among those in effect by then: a later version that reaches back replaces what it reaches.
    """
    latest = None
    for version in versions:
        if version.effective_from <= at and (latest is None or version.version > latest.version):
            latest = version
    return latest if latest is not None and latest.active else None


def held_from(versions: Iterable[Trigger], at: datetime) -> list[Trigger]:
    """The version that counts at a moment, and those that take over after it, in that order; inactive ones as well."""
    held: list[Trigger] = []
    for version in sorted(versions, key=lambda version: (version.effective_from, version.version)):
        if held and version.version < held[-1].version:
            continue
        since = version.effective_from
        held = [] if since <= at else [earlier for earlier in held if earlier.effective_from < since]
        held.append(version)
    return held


def _read_event(value: object, problems: Problems) -> TriggerEvent | None:
    if isinstance(value, str) and value in list(TriggerEvent):
        return TriggerEvent(value)
    if value is not None:
        problems.add("event", f"must be {listed([event.value for event in TriggerEvent])}")
    return None


def _read_action(value: object, event: TriggerEvent | None, problems: Problems) -> Action | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        problems.add("action", 'must be an object such as {"type": "percent", "percent": "10"}')
        return None
    drip = _read_drip(value.get("drip"), problems)
    limit = _read_limit(value.get("limit"), event, problems)
    kind = value.get("type") or _kind_meant(value)
    if kind == "percent":
        if event is not None and event is not TriggerEvent.TRANSACTION_CREATED:
            problems.add("action.type", f"must be flat: {event} carries no payment to take a percentage of")
        percent = _read_percent(value, problems)
        return None if percent is None else PercentAction(percent, drip, limit)
    if kind == "flat":
        flat = _read_flat(value, problems)
        return None if flat is None else FlatAction(*flat, drip, limit)
    examples = '{"type": "percent", "percent": "10"} or {"type": "flat", "amount": 500, "currency": "usd"}'
    problems.add("action.type", f"must be percent or flat, such as {examples}")
    return None


def _kind_meant(value: Mapping[object, object]) -> str | None:
    """What an action without `type` can only be."""
    said = [kind for kind, sign in (("percent", "percent"), ("flat", "amount")) if sign in value]
    return said[0] if len(said) == 1 else None


def _read_percent(value: Mapping[object, object], problems: Problems) -> Decimal | None:
    _refuse_unknown(value, "action", ("type", "percent", *_TERMS), problems)
    try:
        return parse_percent(value.get("percent"), "action.percent")
    except Rejected as error:
        problems.add("action.percent", str(error))
        return None


def _read_flat(value: Mapping[object, object], problems: Problems) -> tuple[int, str] | None:
    _refuse_unknown(value, "action", ("type", "amount", "currency", *_TERMS), problems)
    amount_minor = value.get("amount")
    if not isinstance(amount_minor, int) or isinstance(amount_minor, bool) or not 0 < amount_minor <= _AMOUNT_MAX:
        problems.add("action.amount", "must be a positive whole number of minor units, such as 500 for 5.00 USD")
        amount_minor = 0
    try:
        return amount_minor, parse_currency(value.get("currency"), "action.currency")
    except Rejected as error:
        problems.add("action.currency", str(error))
        return None


def _read_drip(value: object, problems: Problems) -> Drip | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        problems.add("action.drip", 'must be an object such as {"cycle": {"months": 1}, "occurrences": 12}')
        return None
    _refuse_unknown(value, "action.drip", _DRIPS, problems)
    occurrences = _read_count(value.get("occurrences"), "action.drip.occurrences", _OCCURRENCES_MAX, problems)
    delay = Span() if value.get("delay") is None else parse_span(value["delay"], "action.drip.delay", problems)
    once = occurrences == 1 and value.get("cycle") is None
    cycle = Span() if once else parse_span(value.get("cycle"), "action.drip.cycle", problems, least=1)
    stop_on_churn = value.get("stop_on_churn")
    if stop_on_churn is not None and not isinstance(stop_on_churn, bool):
        problems.add("action.drip.stop_on_churn", "must be true or false")
    if occurrences is None or delay is None or cycle is None:
        return None
    return Drip(delay, cycle, occurrences, stop_on_churn is True)


def _read_limit(value: object, event: TriggerEvent | None, problems: Problems) -> Limit | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or all(value.get(name) is None for name in _LIMITS):
        problems.add("action.limit", f"must be an object with one or more of {listed(_LIMITS)}")
        return None
    if event is TriggerEvent.PARTNER_JOINED:
        problems.add("action.limit", f"limits count per customer, and {event} has none")
    _refuse_unknown(value, "action.limit", _LIMITS, problems)
    given = {name: value[name] for name in _LIMITS if value.get(name) is not None}
    most = {"amount_max": _AMOUNT_MAX, "months": _MONTHS_MAX}
    return Limit(
        **{
            name: _read_count(each, f"action.limit.{name}", most.get(name, _COUNT_MAX), problems)
            for name, each in given.items()
        }
    )


def _read_count(value: object, path: str, most: int, problems: Problems) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        problems.add(path, f"must be a whole number from 1 to {most:,}")
        return None
    return value


def _read_offer(value: object, problems: Problems) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        problems.add("offer", 'must be an object such as {"description": "20 % of Inbox"}')
        return None
    _refuse_unknown(value, "offer", ("description",), problems)
    return _read_text(value.get("description"), "offer.description", _DESCRIPTION_LENGTH_MAX, problems)


def _read_position(value: object, problems: Problems) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _POSITION_MAX:
        problems.add("position", f"must be a whole number from 0 to {_POSITION_MAX:,}")
        return 0
    return value


def _read_active(value: object, problems: Problems) -> bool:
    if value is not None and not isinstance(value, bool):
        problems.add("active", "must be true or false")
    return value is not False


def _read_effective_from(value: object, problems: Problems) -> datetime | None:
    return None if value is None else parse_moment(value, "effective_from", problems)


def _read_text(value: object, path: str, length_max: int, problems: Problems) -> str | None:
    """A text without the white space around it; None where there is none, or after noting what is wrong."""
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > length_max:
        problems.add(path, f"must be a text of 1 to {length_max:,} characters")
        return None
    if not is_storable(text):
        problems.add(path, UNSTORABLE)
        return None
    return text


def _refuse_unknown(value: Mapping[object, object], path: str, known: Sequence[str], problems: Problems) -> None:
    for key in value:
        if key not in known:
            problems.add(f"{path}.{key}", f"unknown field; {path} has {listed(known)}")
