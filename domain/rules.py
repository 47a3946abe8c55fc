"""Rules: a tree of conditions on facts, judged fast (`holds`) or with every step shown (`judge`).

What cannot be known is neither true nor false: on a line without a product, neither `product.name is_any_of
["Inbox"]` nor its negation nor `is_none_of` holds, because there is no product to speak of; `is_not_set` does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Literal

from domain.fields import PER_LINE_OBJECTS, Facts, Field, Unknown, metadata_text
from domain.operators import ON_UNKNOWN, Operator, Test, comparison_for, render_expected
from domain.remarks import remark

#: True or false, or None: about an object that is not there.
Outcome = bool | None


@dataclass(frozen=True, slots=True)
class Always:
    """The rule of a trigger without rules."""

    def outcome(self, facts: Facts) -> Outcome:
        return True


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part must hold."""

    parts: tuple["Rule", ...]

    def outcome(self, facts: Facts) -> Outcome:
        result: Outcome = True
        for part in self.parts:
            found = part.outcome(facts)
            if found is False:
                return False
            if found is None:
                result = None
        return result


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part must hold."""

    parts: tuple["Rule", ...]

    def outcome(self, facts: Facts) -> Outcome:
        result: Outcome = False
        for part in self.parts:
            found = part.outcome(facts)
            if found is True:
                return True
            if found is None:
                result = None
        return result


@dataclass(frozen=True, slots=True)
class Not:
    """The part must be false; if it is about an object that is not there, this does not hold either."""

    part: "Rule"

    def outcome(self, facts: Facts) -> Outcome:
        found = self.part.outcome(facts)
        return None if found is None else not found


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison, and what else must hold of the same object (`where`)."""

    field: Field
    operator: Operator
    #: Canonical and immutable, see `domain.operators.parse_expected`.
    expected: Any
    where: "Rule | None" = None
    #: The comparison alone, without `where`.
    own: Callable[[Facts], Outcome] = attribute(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        test = comparison_for(self.field, self.operator, self.expected)
        object.__setattr__(self, "own", _own(self.field, self.operator, test))

    def outcome(self, facts: Facts) -> Outcome:
        found = self.own(facts)
        if self.where is None or found is False:
            return found
        further = self.where.outcome(facts)
        return further if found is True or further is False else None


def _own(reads: Field, operator: Operator, test: Test) -> Callable[[Facts], Outcome]:
    """One comparison as one function: a payment meets dozens of them."""
    owner_name, item, metadata_key = reads.object, reads.item, reads.metadata_key
    on_unknown = ON_UNKNOWN.get(operator)

    def own(facts: Facts) -> Outcome:
        owner = facts.objects.get(owner_name)
        if owner is None or isinstance(owner, Unknown):
            return on_unknown
        value = owner.get(item)
        return test(value if metadata_key is None else metadata_text(value, metadata_key), facts)

    return own


Rule = Always | AllOf | AnyOf | Not | Condition


@dataclass(frozen=True, slots=True)
class GroupTrace:
    """How a group came out. `known` is false where neither it nor its negation holds."""

    word: Literal["always", "all", "any", "not"]
    held: bool
    known: bool
    parts: tuple["Trace", ...]

    @property
    def note(self) -> str | None:
        """Why it does not hold though what it denies does not either."""
        return None if self.known else "it asks of something that is not there: neither this nor its opposite holds"


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """How a condition came out, `where` included; `fitted` is its comparison alone."""

    field: str
    operator: str
    #: As the rule's JSON writes it.
    expected: object
    #: The value the facts held, an age as a timedelta; None if not set or not known.
    actual: object
    held: bool
    known: bool
    fitted: bool
    #: What a person would otherwise miss: a near miss, a missing object, another currency, a window's bounds.
    note: str | None
    where: "Trace | None" = None


Trace = GroupTrace | ConditionTrace


def holds(rule: Rule, facts: Facts) -> bool:
    """Whether the rule holds; stops as soon as that is certain. Always what `judge` says."""
    return rule.outcome(facts) is True


def could_hold(rule: Rule, facts: Facts, decided: frozenset[str]) -> bool:
    """Whether a rule may still hold when only conditions on the `decided` objects (`{"partner"}`) can be judged.

    Conditions on any other object are undetermined, `is_set` and `is_not_set` included, and so is their negation.
    True unless the rule is false whatever they turn out to be.
    """
    return _outcome_so_far(rule, facts, decided) is not False


def _outcome_so_far(rule: Rule, facts: Facts, decided: frozenset[str]) -> Outcome:
    """Like `outcome`, with None also for what is undetermined."""
    match rule:
        case Always():
            return True
        case AllOf(parts):
            found = [_outcome_so_far(part, facts, decided) for part in parts]
        case AnyOf(parts):
            found = [_outcome_so_far(part, facts, decided) for part in parts]
            return True if True in found else None if None in found else False
        case Not(part):
            negated = _outcome_so_far(part, facts, decided)
            return None if negated is None else not negated
        case Condition():
            found = [rule.own(facts) if rule.field.object in decided else None]
            if rule.where is not None:
                found.append(_outcome_so_far(rule.where, facts, decided))
    return False if False in found else None if None in found else True


def judge(rule: Rule, facts: Facts) -> Trace:
    """Whether the rule holds and why: every condition is judged and shown, also those that change nothing."""
    match rule:
        case Always():
            return GroupTrace("always", True, True, ())
        case AllOf(parts):
            traces = tuple(judge(part, facts) for part in parts)
            known = all(each.known for each in traces) or any(each.known and not each.held for each in traces)
            return GroupTrace("all", all(each.held for each in traces), known, traces)
        case AnyOf(parts):
            traces = tuple(judge(part, facts) for part in parts)
            held = any(each.held for each in traces)
            return GroupTrace("any", held, held or all(each.known for each in traces), traces)
        case Not(part):
            trace = judge(part, facts)
            return GroupTrace("not", trace.known and not trace.held, trace.known, (trace,))
        case Condition():
            return _judge_condition(rule, facts)


def _judge_condition(condition: Condition, facts: Facts) -> ConditionTrace:
    own = condition.own(facts)
    where = None if condition.where is None else judge(condition.where, facts)
    answers = [(own is True, own is not None)] + ([] if where is None else [(where.held, where.known)])
    held = all(answer for answer, _ in answers)
    known = all(sure for _, sure in answers) or any(sure and not answer for answer, sure in answers)
    found = facts.value(condition.field.name)
    if isinstance(found, Unknown):
        actual: object = None
        note: str | None = found.reason
    else:
        actual = found.value
        note = remark(condition.field, condition.operator, condition.expected, actual, facts)
    return ConditionTrace(
        condition.field.name,
        condition.operator.value,
        render_expected(condition.expected),
        actual,
        held,
        known,
        own is True,
        note,
        where,
    )


def conditions(rule: Rule) -> Iterator[Condition]:
    """Every condition of a rule, those inside `not` and `where` included, in the order written."""
    match rule:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from conditions(part)
        case Not(part):
            yield from conditions(part)
        case Condition():
            yield rule
            if rule.where is not None:
                yield from conditions(rule.where)


def fields_read(rule: Rule) -> frozenset[str]:
    """The names of all fields a rule reads."""
    return frozenset(condition.field.name for condition in conditions(rule))


def is_per_line(rule: Rule) -> bool:
    """Whether a rule reads a product or a line anywhere: then it is judged, and pays, per line."""
    return any(condition.field.object in PER_LINE_OBJECTS for condition in conditions(rule))


def texts_required(rule: Rule, name: str) -> frozenset[str] | None:
    """Texts one of which the field must equal for the rule to hold; None: the rule may hold with any text.

    For an index of many triggers by product name: those whose texts lack the product need not be judged.
    """
    match rule:
        case Condition():
            own = None
            if rule.field.name == name and rule.operator is Operator.IS_ANY_OF:
                own = frozenset(rule.expected)
            return _fewest([own, None if rule.where is None else texts_required(rule.where, name)])
        case AllOf(parts):
            return _fewest([texts_required(part, name) for part in parts])
        case AnyOf(parts):
            found = [texts_required(part, name) for part in parts]
            known = [texts for texts in found if texts is not None]
            return frozenset().union(*known) if len(known) == len(found) else None
        case _:
            return None


def _fewest(candidates: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    return min((texts for texts in candidates if texts is not None), key=len, default=None)
