"""Offers: who is shown which, in what order, and what a rule can still become when only the partner is known."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.fields import Facts, Unknown
from domain.offers import offers_for
from domain.partners import Partner, PartnerVersion
from domain.rule_documents import parse_rule
from domain.rules import AllOf, AnyOf, Not, Rule, could_hold, holds
from domain.triggers import PercentAction, Trigger, TriggerEvent

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PARTNER = frozenset({"partner"})

GOLD = {"field": "partner.group", "op": "is_any_of", "value": ["gold"]}
INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
NEW_PARTNER = {"field": "partner.age", "op": "newer_than", "value": {"days": 10}}

ADA = Partner("ada", MARCH, (PartnerVersion(None, "gold"), PartnerVersion(MARCH + 5 * DAY, "silver")))


def trigger(description: str | None, rules: Any = None, position: int = 0, version: int = 1, **more: Any) -> Trigger:
    """A version of a trigger that makes an offer, from 1 March 2026."""
    made: dict[str, Any] = {
        "key": "trig_1",
        "version": version,
        "name": "for our eyes only",
        "event": TriggerEvent.TRANSACTION_CREATED,
        "rules": parse_rule(rules),
        "action": PercentAction(Decimal(10)),
        "effective_from": MARCH,
        "offer_description": description,
        "position": position,
    }
    return Trigger(**made | more)


def shown(triggers: Iterable[tuple[Trigger, ...]], as_of: datetime = MARCH, partner: Partner = ADA) -> list[str]:
    """The descriptions a partner is shown."""
    return [offer.description for offer in offers_for(partner, triggers, as_of, UTC)]


def facts(group: str | None) -> Facts:
    """A partner, and nothing else."""
    return Facts({"partner": {"group": group, "joined": MARCH}}, MARCH, UTC)


def test_an_offer_is_shown_to_those_its_partner_rules_hold_for() -> None:
    """A partner of group gold is shown what is for gold, and not what is for others."""
    for_others = {"not": GOLD}
    assert shown([(trigger("10 % for gold", GOLD),), (trigger("5 % for the rest", for_others),)]) == ["10 % for gold"]


def test_what_an_offer_asks_of_products_does_not_hide_it() -> None:
    """Conditions on anything but partners are yet to be seen."""
    rules = {"all": [GOLD, INBOX, {"not": {"field": "customer.country", "op": "is_set"}}]}
    assert shown([(trigger("20 % of Inbox", rules),)]) == ["20 % of Inbox"]


def test_offers_follow_the_partner_through_time() -> None:
    """Eligibility is as of the moment asked: the group and the age that held then."""
    offers = [(trigger("for gold", GOLD),), (trigger("for newcomers", NEW_PARTNER, position=1),)]
    assert shown(offers, MARCH + 4 * DAY) == ["for gold", "for newcomers"]
    assert shown(offers, MARCH + 5 * DAY) == ["for newcomers"]
    assert shown(offers, MARCH + 10 * DAY) == []


def test_only_the_version_in_force_is_offered() -> None:
    """Before it begins, once it is edited and while it is inactive, a version offers nothing."""
    versions = (
        trigger("10 %"),
        trigger("12 %", version=2, effective_from=MARCH + DAY),
        trigger("12 %", version=3, effective_from=MARCH + 2 * DAY, active=False),
        trigger(None, version=4, effective_from=MARCH + 3 * DAY),
    )
    days = [shown([versions], MARCH + number * DAY) for number in (-1, 0, 1, 2, 3)]
    assert days == [[], ["10 %"], ["12 %"], [], []]


def test_a_partners_calendar_is_the_programs() -> None:
    """A window of a partner condition is in the zone that is passed in."""
    joined_today = {"field": "partner.joined", "op": "within", "value": {"current": "day"}}
    later = MARCH + timedelta(hours=23)
    assert len(offers_for(ADA, [(trigger("welcome", joined_today),)], later, UTC)) == 1
    east = ZoneInfo("Asia/Tokyo")
    assert offers_for(ADA, [(trigger("welcome", joined_today),)], later, east) == []


def test_offers_stand_where_the_program_manager_put_them() -> None:
    """First by position, then by description; one that several triggers make is shown once, in its first place."""
    offers = [
        (trigger("b", position=2, key="t1"),),
        (trigger("a", position=2, key="t2"),),
        (trigger("z", position=1, key="t3"),),
        (trigger("z", position=9, key="t4"),),
        (trigger("b", position=3, key="t5"),),
    ]
    assert shown(offers) == ["z", "a", "b"]
    assert shown(reversed(offers)) == ["z", "a", "b"]


@settings(max_examples=30)
@given(st.text(min_size=1, max_size=8), st.text(max_size=8), st.integers(1, 9), st.sampled_from(["10", "0.5"]))
def test_an_offer_tells_nothing_but_its_description(key: str, name: str, version: int, percent: str) -> None:
    """Triggers with other keys, names, versions, rules and rates make the same offer if they describe it the same."""
    plain = offers_for(ADA, [(trigger("20 % of Inbox"),)], MARCH, UTC)
    pays = PercentAction(Decimal(percent))
    other = trigger("20 % of Inbox", INBOX, key=key, name=name, version=version, action=pays, exclusive_group=name)
    assert repr(offers_for(ADA, [(other,)], MARCH, UTC)) == repr(plain)


def test_offers_are_told_apart_by_their_keys() -> None:
    """Two offers have two keys, the same ones on every day."""
    offers = [(trigger("a", key="t1"),), (trigger("b", key="t2"),)]
    keys = [offer.key for offer in offers_for(ADA, offers, MARCH, UTC)]
    assert len(set(keys)) == 2
    assert keys == [offer.key for offer in offers_for(ADA, offers, MARCH, UTC)]
    assert all(key.startswith("offer_") for key in keys)
    assert keys == [offer.key for offer in offers_for(ADA, offers, MARCH + DAY, UTC)]


ANY_PRODUCT = {"field": "product.name", "op": "is_set"}
NO_PRODUCT = {"field": "product.name", "op": "is_not_set"}
SILVER = {"field": "partner.group", "op": "is_any_of", "value": ["silver"]}
WITH_WHERE = {**GOLD, "where": {"field": "partner.joined", "op": "is_not_set"}}


@pytest.mark.parametrize(
    ("rule", "could"),
    [
        (None, True),
        (GOLD, True),
        (SILVER, False),
        ({"not": GOLD}, False),
        ({"not": SILVER}, True),
        (INBOX, True),
        ({"not": INBOX}, True),
        (ANY_PRODUCT, True),
        (NO_PRODUCT, True),
        ({"not": NO_PRODUCT}, True),
        ({"all": [GOLD, INBOX]}, True),
        ({"all": [INBOX, SILVER]}, False),
        ({"not": {"all": [INBOX, GOLD]}}, True),
        ({"not": {"all": [INBOX, SILVER]}}, True),
        ({"any": [SILVER, INBOX]}, True),
        ({"any": [SILVER, {"not": GOLD}]}, False),
        ({"not": {"any": [INBOX, GOLD]}}, False),
        ({"not": {"any": [INBOX, SILVER]}}, True),
        (WITH_WHERE, False),
        ({"not": WITH_WHERE}, True),
        ({**INBOX, "where": ANY_PRODUCT}, True),
    ],
)
def test_a_rule_could_hold_unless_the_partner_rules_it_out(rule: Any, could: bool) -> None:
    """Only what is decided about a partner of group gold makes a rule impossible."""
    assert could_hold(parse_rule(rule), facts("gold"), PARTNER) is could


def test_an_object_that_is_there_but_not_decided_is_not_asked() -> None:
    """A product that the facts do hold is undetermined unless it is among the decided objects."""
    known = facts("gold").with_objects(product={"name": "Surveys"})
    assert could_hold(parse_rule(INBOX), known, PARTNER)
    assert not could_hold(parse_rule(INBOX), known, PARTNER | {"product"})


conditions = st.sampled_from([GOLD, SILVER, INBOX, ANY_PRODUCT, NO_PRODUCT]).map(parse_rule)
rules: st.SearchStrategy[Rule] = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=5,
)


@settings(max_examples=60)
@given(rules, st.sampled_from(["gold", "silver", None]), st.sampled_from(["Inbox", "Surveys", None]))
def test_what_holds_could_hold(rule: Rule, group: str | None, product: str | None) -> None:
    """Whatever the product turns out to be, a rule that then holds could hold before it was known."""
    later = facts(group).with_objects(product={"name": product} if product else Unknown("the line names no product"))
    assert could_hold(rule, facts(group), PARTNER) or not holds(rule, later)
    assert could_hold(rule, later, PARTNER | {"product"}) or not holds(rule, later)
