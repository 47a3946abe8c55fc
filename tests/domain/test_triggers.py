"""Triggers: what their document may say, which version counts when, and who gives way in an exclusive group."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import Rejected
from domain.fields import TriggerEvent
from domain.problems import RejectedDocument
from domain.rule_documents import parse_rule
from domain.rules import Always
from domain.triggers import (
    FlatAction,
    PercentAction,
    Trigger,
    TriggerDraft,
    change_trigger,
    held_from,
    in_force,
    parse_trigger,
    render_trigger,
)

DAY = timedelta(days=1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
LEAST: dict[str, Any] = {
    "name": "Inbox",
    "event": "transaction_created",
    "action": {"type": "percent", "percent": "20"},
}
FULL: dict[str, Any] = {
    **LEAST,
    "action": {"type": "flat", "amount": 500, "currency": "USD"},
    "rules": {"all": [INBOX]},
    "offer": {"description": "5 dollars for every Inbox"},
    "position": 3,
    "exclusive_group": "inbox",
    "active": False,
    "effective_from": 1772323200000,
}


def trigger(key: str = "trig_1", version: int = 1, **changes: Any) -> Trigger:
    """A version of a trigger that pays 10 % of everything, from 1 March 2026."""
    pays = PercentAction(Decimal(10))
    made = Trigger(key, version, "Everything", TriggerEvent.TRANSACTION_CREATED, Always(), pays, MARCH)
    return replace(made, **changes)


def mistakes(document: object) -> dict[str, str]:
    """Every mistake of a refused trigger, by path."""
    with pytest.raises(RejectedDocument) as refusal:
        parse_trigger(document)
    return {problem.field: problem.message for problem in refusal.value.problems}


def test_a_trigger_needs_a_name_an_event_and_an_action() -> None:
    """The three required fields make a trigger that is active, unconditional, first in line and from now on."""
    draft = parse_trigger(LEAST)
    assert draft == TriggerDraft(
        "Inbox", TriggerEvent.TRANSACTION_CREATED, Always(), PercentAction(Decimal(20)), None, 0, None, True, None
    )
    assert list(mistakes({})) == ["name", "event", "action"]
    assert mistakes({})["name"] == "is required"


def test_every_field_of_the_document_is_kept() -> None:
    """Each field of a full document lands in the draft."""
    assert parse_trigger(FULL) == TriggerDraft(
        name="Inbox",
        event=TriggerEvent.TRANSACTION_CREATED,
        rules=parse_rule({"all": [INBOX]}),
        action=FlatAction(500, "usd"),
        offer_description="5 dollars for every Inbox",
        position=3,
        exclusive_group="inbox",
        active=False,
        effective_from=MARCH,
    )


DRIPPING: dict[str, Any] = {
    **LEAST,
    "action": {
        "type": "percent",
        "percent": "0.0125",
        "drip": {"delay": {"days": 14}, "cycle": {"months": 1}, "occurrences": 12, "stop_on_churn": True},
        "limit": {"per_customer": 1, "months": 12, "amount_max": 50_000},
    },
}


@pytest.mark.parametrize("document", [LEAST, FULL, DRIPPING])
def test_a_trigger_survives_being_written_and_read(document: dict[str, Any]) -> None:
    """A trigger written as JSON and read again is equal, and null counts as left out."""
    draft = parse_trigger(document)
    assert parse_trigger(json.loads(json.dumps(render_trigger(draft)))) == draft


def test_a_drip_and_a_limit_are_written_as_they_are_read() -> None:
    """Every part of an action stands in its JSON, and of a limit only the parts that are set."""
    assert render_trigger(parse_trigger(DRIPPING))["action"] == DRIPPING["action"]
    once = {"type": "percent", "percent": "5", "limit": {"per_customer": 1}}
    assert render_trigger(parse_trigger({**LEAST, "action": once}))["action"] == once


@pytest.mark.parametrize("document", [LEAST, FULL])
def test_an_action_says_what_it_is_by_what_it_pays(document: dict[str, Any]) -> None:
    """Without `type`, a percentage or an amount says it; with both, or neither, it must be said."""
    untyped = {name: value for name, value in document["action"].items() if name != "type"}
    assert parse_trigger({**document, "action": untyped}) == parse_trigger(document)
    for unclear in ({"percent": "20", "amount": 5, "currency": "usd"}, {"currency": "usd"}):
        assert list(mistakes({**document, "action": unclear})) == ["action.type"]


MISTAKE_TABLE = """
{"nmae": "x"}                                                      nmae                  unknown field
{"id": 5}                                                          id                    a trigger has name
{"name": ""}                                                       name                  1 to 200
{"name": "   "}                                                    name                  1 to 200
{"name": 5}                                                        name                  1 to 200
{"name": "a\\u0000b"}                                              name                  NUL
{"event": "paid"}                                                  event                 transaction_created
{"event": ["paid"]}                                                event                 must be
{"action": "10 %"}                                                 action                must be an object
{"action": {}} action.type percent or flat
{"action": {"type": "gift"}} action.type percent or flat
{"action": {"type": "percent"}} action.percent decimal string
{"action": {"type": "percent", "percent": 10}} action.percent decimal string
{"action": {"type": "percent", "percent": "0"}} action.percent more than 0
{"action": {"type": "percent", "percent": "100.5"}} action.percent at most 100
{"action": {"type": "percent", "percent": "10", "amount": 5}} action.amount unknown field
{"action": {"type": "flat", "amount": 5}} action.currency three-letter
{"action": {"type": "flat", "currency": "usd"}} action.amount positive whole number
{"action": {"type": "flat", "amount": 0, "currency": "usd"}} action.amount positive whole number
{"action": {"type": "flat", "amount": -5, "currency": "usd"}} action.amount positive whole number
{"action": {"type": "flat", "amount": 4.9, "currency": "usd"}} action.amount positive whole number
{"action": {"type": "flat", "amount": true, "currency": "usd"}} action.amount positive whole number
{"action": {"type": "percent", "percent": "10", "drip": []}} action.drip must be an object such as
{"action": {"type": "percent", "percent": "10", "drip": {"cycle": {"months": 1}}}} action.drip.occurrences from 1 to 120
{"action": {"type": "percent", "percent": "10", "drip": {"cycle": {"months": 1}, "occurrences": 121}}} action.drip.occurrences from 1 to 120
{"action": {"type": "percent", "percent": "10", "drip": {"occurrences": 2}}} action.drip.cycle such as {"days": 30}
{"action": {"type": "percent", "percent": "10", "drip": {"occurrences": 2, "cycle": {"months": 0}}}} action.drip.cycle must be from 1 months
{"action": {"type": "percent", "percent": "10", "drip": {"occurrences": 1, "delay": "soon"}}} action.drip.delay such as {"days": 30}
{"action": {"type": "percent", "percent": "10", "drip": {"occurrences": 1, "delay": {}}}} action.drip.delay such as {"days": 30}
{"action": {"type": "percent", "percent": "10", "drip": {"occurrences": 1, "delay": ""}}} action.drip.delay such as {"days": 30}
{"action": {"type": "percent", "percent": "10", "drip": {"occurrences": 1, "stop_on_churn": "yes"}}} action.drip.stop_on_churn must be true or false
{"action": {"type": "percent", "percent": "10", "drip": {"occurrences": 1, "cycl": 1}}} action.drip.cycl unknown field; action.drip has delay
{"action": {"type": "percent", "percent": "10", "limit": {}}} action.limit one or more of per_customer, months or amount_max
{"action": {"type": "percent", "percent": "10", "limit": {"months": 0}}} action.limit.months from 1 to 1,200
{"action": {"type": "percent", "percent": "10", "limit": {"per_customer": true}}} action.limit.per_customer from 1 to 1,000,000
{"action": {"type": "percent", "percent": "10", "limit": {"amount_max": 1000000000000001}}} action.limit.amount_max from 1 to 1,000,000,000,000,000
{"action": {"type": "percent", "percent": "10", "limit": {"months": 1, "each": 2}}} action.limit.each unknown field; action.limit has per_customer
{"event": "partner_joined"}                                        action.type           must be flat
{"rules": {"field": "x", "op": "is_set"}}                          rules.field           unknown field
{"rules": []}                                                      rules                 must be an object
{"offer": "20 %"}                                                  offer                 must be an object
{"offer": {"description": ""}}                                     offer.description     1 to 2,000
{"offer": {"text": "x"}}                                           offer.text            unknown field
{"position": -1}                                                   position              whole number from 0
{"position": "1"}                                                  position              whole number from 0
{"exclusive_group": ""}                                            exclusive_group       1 to 200
{"active": "yes"}                                                  active                true or false
{"active": 0}                                                      active                true or false
{"effective_from": "2026-03-01"}                                   effective_from        epoch milliseconds
{"effective_from": 1772323200}                                     effective_from        looks like seconds
{"effective_from": -1}                                             effective_from        epoch milliseconds
{"effective_from": 1e300}                                          effective_from        epoch milliseconds
"""  # noqa: E501


@pytest.mark.parametrize("row", MISTAKE_TABLE.strip().splitlines())
def test_each_mistake_is_refused_by_field(row: str) -> None:
    """A trigger that is right but for one field is refused for that field alone, saying what is allowed."""
    changes, end = json.JSONDecoder().raw_decode(row)
    field, message = row[end:].split(maxsplit=1)
    found = mistakes({**LEAST, **changes})
    assert list(found) == [field]
    assert message in found[field]


def test_all_mistakes_are_reported_at_once() -> None:
    """A trigger with several mistakes names each of them, those of its rules included."""
    broken = {"nmae": "x", "event": "paid", "action": {"type": "gift"}, "rules": {"all": [INBOX, {"any": []}]}}
    assert set(mistakes(broken)) == {"nmae", "name", "event", "action.type", "rules.all[1].any"}


@pytest.mark.parametrize("document", [None, [], "trigger", 5])
def test_only_an_object_is_a_trigger(document: object) -> None:
    """A body, or a change, that is no JSON object is refused as a whole."""
    with pytest.raises(Rejected) as of_a_body:
        parse_trigger(document)
    with pytest.raises(Rejected) as of_a_change:
        change_trigger(trigger(), document)
    assert (of_a_body.value.field, of_a_change.value.field) == ("body", "body")


@pytest.mark.parametrize("event", [event for event in TriggerEvent if event is not TriggerEvent.TRANSACTION_CREATED])
def test_events_without_a_payment_pay_flat(event: TriggerEvent) -> None:
    """Every event but a payment takes a flat amount, and none takes a percentage."""
    flat = {"type": "flat", "amount": 500, "currency": "usd"}
    assert parse_trigger({**LEAST, "event": event.value, "action": flat}).action == FlatAction(500, "usd")
    assert list(mistakes({**LEAST, "event": event.value})) == ["action.type"]


def test_rules_read_only_what_the_event_has() -> None:
    """A trigger for a new customer cannot ask for a product."""
    flat = {"type": "flat", "amount": 500, "currency": "usd"}
    found = mistakes({**LEAST, "event": "customer_created", "action": flat, "rules": INBOX})
    assert list(found) == ["rules.field"]


def test_a_product_rule_makes_a_trigger_per_line() -> None:
    """A trigger with a product rule is judged per line, one without on the whole."""
    assert parse_trigger(FULL).as_version("trig_1", 1, MARCH).per_line
    assert not parse_trigger(LEAST).as_version("trig_1", 1, MARCH).per_line


def test_a_trigger_takes_effect_when_it_is_saved_unless_it_says_otherwise() -> None:
    """Without `effective_from` a version counts from its saving, with one from then."""
    saved_at = MARCH + 40 * DAY
    assert parse_trigger(LEAST).as_version("trig_1", 1, saved_at).effective_from == saved_at
    assert parse_trigger(FULL).as_version("trig_1", 1, saved_at).effective_from == MARCH


def test_a_change_keeps_the_rest_and_counts_from_now() -> None:
    """Changing one field keeps the others, but not the old `effective_from`: what was before stays as it was."""
    current = parse_trigger(FULL).as_version("trig_1", 1, MARCH)
    draft = change_trigger(current, {"name": "Inbox Pro", "offer": None})
    assert draft == replace(parse_trigger(FULL), name="Inbox Pro", offer_description=None, effective_from=None)
    assert change_trigger(current, {"effective_from": 1772323200000}).effective_from == MARCH
    with pytest.raises(RejectedDocument, match="nmae"):
        change_trigger(current, {"nmae": "x"})


IN_FORCE_TABLE = """
day -1   -     # before the first version
day  0   v1
day  9   v1
day 10   v2    # an ordinary change
day 19   v2
day 20   v4    # version 4, saved last, reaches back over version 3
day 29   v4
day 30   -     # version 5 switches it off
day 39   -
day 40   v6
"""


@pytest.mark.parametrize("row", IN_FORCE_TABLE.strip().splitlines())
def test_the_version_that_counts_is_the_last_saved_in_effect(row: str) -> None:
    """At each day the version saved last among those in effect counts, in whatever order the versions come."""
    _, day, expected = row.partition("#")[0].split()
    versions = [
        trigger(version=number, effective_from=MARCH + start * DAY, active=number != 5)
        for number, start in [(1, 0), (2, 10), (3, 25), (4, 20), (5, 30), (6, 40)]
    ]
    for shuffled in (versions, versions[::-1], versions[3:] + versions[:3]):
        found = in_force(shuffled, MARCH + int(day) * DAY)
        assert (f"v{found.version}" if found else "-") == expected


def test_no_versions_mean_no_trigger() -> None:
    """A trigger without versions is never in force."""
    assert in_force([], MARCH) is None


HELD_TABLE = """
day -1   v1 v2 v4 v5 v6   # nothing yet; version 4 reaches back over version 3, which never counts
day  0   v1 v2 v4 v5 v6
day 20   v4 v5 v6
day 35   v5 v6            # switched off, until version 6
day 99   v6
"""


@pytest.mark.parametrize("row", HELD_TABLE.strip().splitlines())
def test_what_counts_now_and_what_takes_over_later(row: str) -> None:
    """Of a moment on: the version in effect, be it inactive, and each that is to replace it, in order of time."""
    _, day, *expected = row.partition("#")[0].split()
    versions = [
        trigger(version=number, effective_from=MARCH + start * DAY, active=number != 5)
        for number, start in [(1, 0), (2, 10), (3, 25), (4, 20), (5, 30), (6, 40)]
    ]
    for shuffled in (versions, versions[::-1], versions[3:] + versions[:3]):
        assert [f"v{each.version}" for each in held_from(shuffled, MARCH + int(day) * DAY)] == expected
