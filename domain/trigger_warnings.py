"""What a program manager should know about a trigger just saved: nothing here refuses it.

Warnings are about likely mistakes: two triggers that both pay, one that never can, names that nothing has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from enum import StrEnum

from domain.catalogue import Catalogue
from domain.fields import FIELDS, Kind
from domain.near_misses import near_miss
from domain.operators import PARTS, Operator
from domain.partners import Partner
from domain.problems import listed, quoted
from domain.rule_documents import parse_rule
from domain.rule_reasoning import can_both_hold, can_hold, currencies_asked, implies, passes
from domain.rules import Condition, Rule, conditions
from domain.triggers import FlatAction, Trigger, TriggerEvent

_OVERLAPS_NAMED_MAX = 20
_CHOICES = (Operator.IS_ANY_OF, Operator.IS_NONE_OF)
#: Fields that hold codes: how many letters, and one of them.
_CODES = {"transaction.currency": (3, "usd"), "customer.country": (2, "DE"), "partner.country": (2, "DE")}
#: What holds whenever an event is judged, and why.
_ALWAYS_SO: Mapping[TriggerEvent, tuple[Rule, str]] = {
    TriggerEvent.TRANSACTION_CREATED: (
        parse_rule(
            {
                "all": [
                    {"field": "transaction.number", "op": "gte", "value": 1},
                    {"field": "customer.transactions", "op": "gte", "value": 1},
                    {"field": "line.amount", "op": "gt", "value": 0},
                ]
            }
        ),
        "it pays on more than nothing, and transaction.number and customer.transactions count the payment itself",
    ),
    TriggerEvent.PRODUCT_CREATED: (
        parse_rule({"field": "product.status", "op": "is_any_of", "value": ["trial", "active"]}),
        "a product is Trial or Active when it is created",
    ),
}


class WarningKind(StrEnum):
    """What is likely to be wrong."""

    #: Another trigger can fire on the same money, and both pay.
    OVERLAP = "overlap"
    #: In an exclusive group, one always comes before the other.
    SHADOWED = "shadowed"
    #: Its rules can never hold.
    UNREACHABLE = "unreachable"
    #: It asks for a name that nothing has.
    UNKNOWN_NAME = "unknown_name"
    #: In an exclusive group, nothing but their keys decides which of two comes first.
    POSITION_TIE = "position_tie"
    #: Its exclusive group holds percentages and flat amounts, which are never compared.
    MIXED_UNITS = "mixed_units"
    #: It pays a flat amount in another currency than the one its rules ask for.
    CURRENCY_MISMATCH = "currency_mismatch"


@dataclass(frozen=True, slots=True)
class TriggerWarning:
    """One thing to look at: which field of the trigger, and a sentence."""

    kind: WarningKind
    field: str
    message: str


def warnings_for(
    saved: Trigger,
    others: Iterable[Trigger],
    catalogue: Catalogue,
    partners: Mapping[str, Partner],
    as_of: datetime,
    zone: tzinfo,
) -> list[TriggerWarning]:
    """Warnings about `saved`, given the other triggers in force, in a fixed order. An inactive trigger has none."""
    if not saved.active:
        return []
    found = list(_unknown_names(saved, catalogue, partners, as_of))
    if (reason := _never_fires(saved, zone)) is not None:
        return [*found, TriggerWarning(WarningKind.UNREACHABLE, "rules", reason)]
    found += _currency_mismatches(saved, zone)
    rivals = [each for each in sorted(others, key=_place) if each.key != saved.key and each.active]
    found += _similar_groups(saved, rivals)
    found += _against(saved, [each for each in rivals if each.event is saved.event], zone)
    return found


# Against other triggers.


def _against(saved: Trigger, others: Sequence[Trigger], zone: tzinfo) -> Iterator[TriggerWarning]:
    overlaps_count = 0
    for other in others:
        if not can_both_hold(saved.rules, other.rules, zone):
            continue
        if saved.exclusive_group is None or saved.exclusive_group != other.exclusive_group:
            overlaps_count += 1
            if overlaps_count <= _OVERLAPS_NAMED_MAX:
                yield _overlap(saved, other)
            continue
        if isinstance(saved.action, FlatAction) != isinstance(other.action, FlatAction):
            message = (
                f'"{other.name}" of group {saved.exclusive_group} pays in another unit: position decides, never worth'
            )
            yield TriggerWarning(WarningKind.MIXED_UNITS, "exclusive_group", message)
        if saved.position == other.position:
            yield _tie(saved, other)
        first, second = (saved, other) if _place(saved) < _place(other) else (other, saved)
        if _always_first(first, second):
            whom = "it never pays" if second is saved else f'"{second.name}" never pays'
            message = f'{whom}: wherever it would, "{first.name}" comes first in group {saved.exclusive_group}'
            yield TriggerWarning(WarningKind.SHADOWED, "position", message)
    if overlaps_count > _OVERLAPS_NAMED_MAX:
        rest = overlaps_count - _OVERLAPS_NAMED_MAX
        message = f"{rest} more can fire on {_money(saved)}: each of them pays as well"
        yield TriggerWarning(WarningKind.OVERLAP, "rules", message)


def _overlap(saved: Trigger, other: Trigger) -> TriggerWarning:
    on = _money(saved, other)
    message = f'"{other.name}" can fire on {on}: both pay; give both one exclusive_group if only one should'
    return TriggerWarning(WarningKind.OVERLAP, "rules", message)


def _money(*triggers: Trigger) -> str:
    """What several triggers fire on together."""
    if triggers[0].event is not TriggerEvent.TRANSACTION_CREATED:
        return "the same occasion"
    return "the same line" if all(each.per_line for each in triggers) else "the same payment"


def _tie(saved: Trigger, other: Trigger) -> TriggerWarning:
    first = min(saved, other, key=_place)
    goes = "it goes" if first is saved else f'"{other.name}" goes'
    message = f'"{other.name}" has the same position in group {saved.exclusive_group}: {goes} first, by its key alone'
    return TriggerWarning(WarningKind.POSITION_TIE, "position", message)


def _similar_groups(saved: Trigger, others: Sequence[Trigger]) -> Iterator[TriggerWarning]:
    """Groups are compared exactly: one that is misspelt excludes nobody."""
    groups = {other.exclusive_group for other in others if other.exclusive_group is not None}
    group = saved.exclusive_group
    if group is None or group in groups:
        return
    if (hint := near_miss(group, sorted(groups))) is not None:
        yield TriggerWarning(WarningKind.UNKNOWN_NAME, "exclusive_group", f"{hint}: they are two groups")


def _place(trigger: Trigger) -> tuple[int, str]:
    return trigger.position, trigger.key


def _always_first(first: Trigger, second: Trigger) -> bool:
    """Whether the first fires wherever the second would: a limit ends, and a line is not the whole payment."""
    same_money = first.per_line == second.per_line or not first.per_line
    in_time = first.effective_from <= second.effective_from
    return first.action.limit is None and same_money and in_time and implies(second.rules, first.rules)


# Within the trigger.


def _never_fires(saved: Trigger, zone: tzinfo) -> str | None:
    """Why not, where that is certain."""
    if not can_hold(saved.rules, zone):
        return "these rules contradict each other: it can never fire"
    always, why = _ALWAYS_SO.get(saved.event, (None, ""))
    if always is not None and not can_both_hold(saved.rules, always, zone):
        return f"it can never fire: {why}"
    return None


def _currency_mismatches(saved: Trigger, zone: tzinfo) -> Iterator[TriggerWarning]:
    if not isinstance(saved.action, FlatAction):
        return
    asked, pays = currencies_asked(saved.rules), saved.action.currency
    in_its_own = Condition(FIELDS["transaction.currency"], Operator.IS_ANY_OF, (pays,))
    if pays in (asked or (pays,)) and can_both_hold(saved.rules, in_its_own, zone):
        return
    message = f"it pays {pays}, and its rules ask for payments in {listed(sorted(asked or ['another currency']))}"
    yield TriggerWarning(WarningKind.CURRENCY_MISMATCH, "action.currency", message)


def _unknown_names(
    saved: Trigger, catalogue: Catalogue, partners: Mapping[str, Partner], as_of: datetime
) -> Iterator[TriggerWarning]:
    versions = [partner.version_at(as_of) for partner in partners.values()]
    renamed = {name.name: entry.name_at(as_of) for entry in catalogue.entries.values() for name in entry.names}
    known: dict[str, tuple[str, set[str]]] = {
        "product.name": ("product", set(renamed.values())),
        "product.key": ("product book entry", set(catalogue.entries)),
        "partner.key": ("partner", set(partners)),
        "partner.group": ("partner's group", {version.group for version in versions if version.group is not None}),
        "partner.tags": ("partner's tag", {tag for version in versions for tag in version.tags}),
    }
    said: dict[str, None] = {}
    for condition in conditions(saved.rules):
        name = condition.field.name
        if name in known:
            said |= dict.fromkeys(f"{name}: {each}" for each in _missed(condition, *known[name], renamed))
        if name in _CODES and condition.operator in _CHOICES:
            letters, example = _CODES[name]
            odd = [each for each in condition.expected if len(each) != letters or not each.isalpha()]
            said |= dict.fromkeys(f"{name}: {quoted(each)} is no code such as {example}" for each in odd)
    for message in said:
        yield TriggerWarning(WarningKind.UNKNOWN_NAME, "rules", message)


def _missed(condition: Condition, what: str, there: set[str], renamed: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each name that a condition asks for and nothing has, with the nearest that something has."""
    is_part = condition.operator in PARTS and condition.field.kind is Kind.TEXT
    if is_part and not any(passes(condition, each) for each in there):
        part = f"{condition.operator.replace('_', ' ')} {quoted(condition.expected)}"
        plain = replace(condition, expected=condition.expected.casefold())
        alike = next((each for each in sorted(there) if passes(plain, each.casefold())), None)
        hint = "" if alike is None else f"; {quoted(alike)} does only if capitals are ignored"
        yield f"no {what} is called anything that {part}{hint}"
    for value in () if is_part else _names(condition):
        if value not in there:
            now = f" now; {quoted(renamed[value])} was, or will be" if value in renamed and what == "product" else ""
            yield near_miss(value, sorted(there)) or f"no {what} is called {quoted(value)}{now}"


def _names(condition: Condition) -> list[str]:
    """The names a condition asks for. A set of texts contains whole ones."""
    if condition.operator in _CHOICES:
        return [each for each in condition.expected if isinstance(each, str)]
    return [condition.expected] if condition.operator is Operator.CONTAINS else []
