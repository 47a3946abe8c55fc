"""Rules as JSON: read with every mistake reported at its path, and written back.

    {"all": [...]}   {"any": [...]}   {"not": ...}   {"field": ..., "op": ..., "value": ..., "where": <rule>}

A `where` reads the same object as its condition (a line and its product count as one) and must hold as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from domain.fields import OBJECTS_OF, PER_LINE_OBJECTS, Field, TriggerEvent, field_names, find_field
from domain.operators import FITTING, Operator, parse_expected, render_expected
from domain.problems import Problems, listed, quoted
from domain.rules import AllOf, Always, AnyOf, Condition, Not, Rule

DEPTH_MAX = 20
CONDITIONS_MAX = 200


def parse_rule(document: object, event: TriggerEvent | None = None, path: str = "rules") -> Rule:
    """A rule from its JSON form; None and {} mean always.

    With an event, only fields that exist when it happens are allowed. Raises RejectedDocument (a Rejected) with
    every mistake, each at its path: `rules.all[1].value`.
    """
    problems = Problems()
    rule = read_rule(document, event, path, problems)
    problems.raise_any()
    return rule


def read_rule(document: object, event: TriggerEvent | None, path: str, problems: Problems) -> Rule:
    """As `parse_rule`, but notes the mistakes in `problems`; the rule is of no use if there are any."""
    if document is None or document == {}:
        return Always()
    reader = _Reader(problems, OBJECTS_OF[event] if event else None, event)
    return reader.read(document, path, 1) or Always()


def render_rule(rule: Rule) -> dict[str, object]:
    """The JSON form that `parse_rule` reads back as an equal rule."""
    match rule:
        case Always():
            return {}
        case AllOf(parts):
            return {"all": [render_rule(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [render_rule(part) for part in parts]}
        case Not(part):
            return {"not": render_rule(part)}
        case Condition():
            document: dict[str, object] = {"field": rule.field.name, "op": rule.operator.value}
            if rule.expected is not None:
                document["value"] = render_expected(rule.expected)
            if rule.where is not None:
                document["where"] = render_rule(rule.where)
            return document


@dataclass(slots=True)
class _Reader:
    """Reads one document; counts its conditions."""

    problems: Problems
    #: Objects a field may be of here; None: any.
    objects: Sequence[str] | None
    event: TriggerEvent | None
    conditions_count: int = 0

    def read(self, document: object, path: str, depth: int) -> Rule | None:
        if depth > DEPTH_MAX:
            self.problems.add(path, f"is nested deeper than {DEPTH_MAX} levels")
            return None
        if not isinstance(document, Mapping):
            self.problems.add(path, "must be an object: all, any, not, or a condition with field and op")
            return None
        groups = [word for word in ("all", "any", "not") if word in document]
        if not groups:
            return self._read_condition(document, path, depth)
        if len(document) > 1:
            others = listed([quoted(str(key)) for key in document if key != groups[0]])
            self.problems.add(path, f"{groups[0]} must stand alone, without {others}")
            return None
        if groups[0] == "not":
            part = self.read(document["not"], f"{path}.not", depth + 1)
            return None if part is None else Not(part)
        return self._read_group(groups[0], document[groups[0]], f"{path}.{groups[0]}", depth)

    def _read_group(self, word: str, document: object, path: str, depth: int) -> Rule | None:
        if not isinstance(document, list | tuple) or not document:
            self.problems.add(path, "must be a list of at least one rule")
            return None
        if len(document) > CONDITIONS_MAX:
            self.problems.add(path, f"must not have more than {CONDITIONS_MAX} conditions")
            return None
        parts = [self.read(part, f"{path}[{index}]", depth + 1) for index, part in enumerate(document)]
        kept = tuple(part for part in parts if part is not None)
        return AllOf(kept) if word == "all" else AnyOf(kept)

    def _read_condition(self, document: Mapping[Any, object], path: str, depth: int) -> Rule | None:
        self.conditions_count += 1
        if self.conditions_count > CONDITIONS_MAX:
            if self.conditions_count == CONDITIONS_MAX + 1:
                self.problems.add(path, f"a rule must not have more than {CONDITIONS_MAX} conditions")
            return None
        for key in document:
            if key not in ("field", "op", "value", "where"):
                self.problems.add(path, f"unknown key {quoted(key)}; a condition has field, op, value and where")
        found = self._read_field(document.get("field"), f"{path}.field")
        operator = self._read_operator(found, document.get("op"), f"{path}.op")
        if found is None or operator is None:
            return None
        value_path = f"{path}.value"
        expected = parse_expected(found, operator, document.get("value"), value_path, self.problems)
        where = self._read_where(found, document.get("where"), f"{path}.where", depth)
        return Condition(found, operator, expected, where) if not self.problems.found else None

    def _read_field(self, name: object, path: str) -> Field | None:
        if not isinstance(name, str):
            self.problems.add(path, "must name a field, such as product.name")
            return None
        found = find_field(name)
        if found is None:
            close = get_close_matches(name[:100], field_names(), n=1)
            advice = f"did you mean {quoted(close[0])}?" if close else f"must be {listed(field_names())}"
            self.problems.add(path, f"unknown field {quoted(name)}; {advice}")
        elif self.objects is not None and found.object not in self.objects:
            allowed = listed([f"{each}.*" for each in self.objects])
            self.problems.add(path, f"{quoted(name)} does not exist here; must be {allowed}")
        return found

    def _read_operator(self, found: Field | None, name: object, path: str) -> Operator | None:
        if name is None:
            self.problems.add(path, "must name an operator, such as is_any_of")
            return None
        operator = Operator(name) if isinstance(name, str) and name in list(Operator) else None
        if operator is None or (found is not None and operator not in FITTING[found.kind]):
            fitting = FITTING[found.kind] if found is not None else tuple(Operator)
            owner = f"{found.name} is of type {found.kind}; " if found is not None else ""
            self.problems.add(path, f"{quoted(name)} does not fit: {owner}must be {listed([*fitting])}")
            return None
        return operator

    def _read_where(self, found: Field, document: object, path: str, depth: int) -> Rule | None:
        if document is None:
            return None
        outer = self.objects
        # A line is the sale of one product: seen from a rule, the two are the same object.
        same = sorted(PER_LINE_OBJECTS) if found.object in PER_LINE_OBJECTS else [found.object]
        self.objects = [each for each in same if outer is None or each in outer]
        where = self.read(document, path, depth + 1)
        self.objects = outer
        return where
