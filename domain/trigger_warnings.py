"""What a program manager should know about a trigger just saved: nothing here refuses it.

Warnings are about likely mistakes: two triggers that both pay, one that never can, names that nothing has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from domain.catalogue import Catalogue
from domain.fields import Kind
from domain.near_misses import near_miss
from domain.operators import Operator
from domain.partners import Partner
from domain.problems import listed, quoted
from domain.rule_reasoning import can_both_hold, can_hold, currencies_asked, implies
from domain.rules import Condition, conditions
from domain.triggers import FlatAction, Trigger


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
    if not can_hold(saved.rules, zone):
        found.append(
            TriggerWarning(WarningKind.UNREACHABLE, "rules", "these rules contradict each other: it can never fire")
        )
        return found
    found += _currency_mismatches(saved)
    rivals = sorted((each for each in others if each.key != saved.key), key=lambda each: (each.position, each.key))
    active = [each for each in rivals if each.active and each.event is saved.event]
    found += _against(saved, active, zone)
    return found


# Against other triggers.


def _against(saved: Trigger, others: Sequence[Trigger], zone: tzinfo) -> Iterator[TriggerWarning]:
    for other in others:
        if not can_both_hold(saved.rules, other.rules, zone):
            continue
        if saved.exclusive_group is None or saved.exclusive_group != other.exclusive_group:
            yield _overlap(saved, other)
            continue
        if isinstance(saved.action, FlatAction) != isinstance(other.action, FlatAction):
            message = (
                f'"{other.name}" of group {saved.exclusive_group} pays in another unit: position decides, never worth'
            )
            yield TriggerWarning(WarningKind.MIXED_UNITS, "exclusive_group", message)
        first, second = (saved, other) if _place(saved) < _place(other) else (other, saved)
        if _always_first(first, second):
            whom = "it never pays" if second is saved else f'"{second.name}" never pays'
            message = f'{whom}: wherever it would, "{first.name}" comes first in group {saved.exclusive_group}'
            yield TriggerWarning(WarningKind.SHADOWED, "position", message)


def _overlap(saved: Trigger, other: Trigger) -> TriggerWarning:
    where = "line" if saved.per_line and other.per_line else "payment"
    on = f"the same {where}" if saved.event == "transaction_created" else "the same occasion"
    message = f'"{other.name}" can fire on {on}: both pay; give both one exclusive_group if only one should'
    return TriggerWarning(WarningKind.OVERLAP, "rules", message)


def _place(trigger: Trigger) -> tuple[int, str]:
    return trigger.position, trigger.key


def _always_first(first: Trigger, second: Trigger) -> bool:
    """Whether the first fires wherever the second would: a limit ends, and a line is not the whole payment."""
    same_money = first.per_line == second.per_line or not first.per_line
    in_time = first.effective_from <= second.effective_from
    return first.action.limit is None and same_money and in_time and implies(second.rules, first.rules)


# Within the trigger.


def _currency_mismatches(saved: Trigger) -> Iterator[TriggerWarning]:
    if not isinstance(saved.action, FlatAction):
        return
    asked = currencies_asked(saved.rules)
    if asked is not None and saved.action.currency not in asked:
        message = f"it pays {saved.action.currency}, and its rules ask for payments in {listed(sorted(asked))}"
        yield TriggerWarning(WarningKind.CURRENCY_MISMATCH, "action.currency", message)


def _unknown_names(
    saved: Trigger, catalogue: Catalogue, partners: Mapping[str, Partner], as_of: datetime
) -> Iterator[TriggerWarning]:
    versions = [partner.version_at(as_of) for partner in partners.values()]
    known: dict[str, tuple[str, set[str]]] = {
        "product.name": ("product", {entry.name_at(as_of) for entry in catalogue.entries.values()}),
        "product.key": ("product book entry", set(catalogue.entries)),
        "partner.key": ("partner", set(partners)),
        "partner.group": ("partner's group", {version.group for version in versions if version.group is not None}),
        "partner.tags": ("partner's tag", {tag for version in versions for tag in version.tags}),
    }
    said: set[tuple[str, str]] = set()
    for condition in conditions(saved.rules):
        name = condition.field.name
        for value in _names(condition) if name in known else ():
            what, there = known[name]
            if value in there or (name, value) in said:
                continue
            said.add((name, value))
            hint = near_miss(value, sorted(there))
            message = hint or f"no {what} is called {quoted(value)}"
            yield TriggerWarning(WarningKind.UNKNOWN_NAME, "rules", f"{name}: {message}")


def _names(condition: Condition) -> list[str]:
    """The names a condition asks for; parts of texts are none. A set of texts contains whole ones."""
    if condition.operator in (Operator.IS_ANY_OF, Operator.IS_NONE_OF):
        return [each for each in condition.expected if isinstance(each, str)]
    if condition.operator is Operator.CONTAINS and condition.field.kind is Kind.TEXT_SET:
        return [condition.expected]
    return []
