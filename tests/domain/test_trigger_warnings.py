"""What is said about a trigger when it is saved."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.catalogue import Catalogue, EntryName
from domain.catalogue import Entry as BookEntry
from domain.partners import Partner, PartnerVersion
from domain.trigger_warnings import WarningKind, warnings_for
from domain.triggers import Trigger, parse_trigger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOK = Catalogue().with_entries(
    BookEntry(f"pbook_{name}", (EntryName(None, name),), f"prod_{name}") for name in ("Inbox", "Live Chat")
)
PARTNERS = {"ada": Partner("ada", NOON, (PartnerVersion(None, "gold", frozenset({"vip"})),))}


def trigger(key: str, *conditions: tuple[Any, ...], since: datetime = NOON, **document: Any) -> Trigger:
    """A trigger of 10 percent, with conditions written (field, operator, value)."""
    rules = [dict(zip(("field", "op", "value"), each, strict=True)) for each in conditions]
    action = document.pop("action", {"type": "percent", "percent": "10"})
    event = document.pop("event", "transaction_created")
    written = {"name": f"{key} offer", "event": event, "action": action, "rules": {"all": rules} if rules else None}
    return parse_trigger({**written, **document}).as_version(key, 1, since)


def said(saved: Trigger, *others: Trigger) -> list[tuple[WarningKind, str, str]]:
    """(kind, field, message) of every warning."""
    found = warnings_for(saved, others, BOOK, PARTNERS, NOON, ZoneInfo("Europe/Berlin"))
    return [(each.kind, each.field, each.message) for each in found]


def kinds(saved: Trigger, *others: Trigger) -> list[WarningKind]:
    """Only the kinds."""
    return [kind for kind, _, _ in said(saved, *others)]


INBOX = ("product.name", "is_any_of", ["Inbox"])
CHAT = ("product.name", "is_any_of", ["Live Chat"])
FLAT: dict[str, Any] = {"type": "flat", "amount": 500, "currency": "usd"}


def test_two_that_pay_on_one_line_are_reported_with_the_remedy() -> None:
    """The other trigger is named, and what to do."""
    assert said(trigger("new", INBOX), trigger("old", INBOX)) == [
        (WarningKind.OVERLAP, "rules",
         '"old offer" can fire on the same line: both pay; give both one exclusive_group if only one should')
    ]  # fmt: skip
    assert "the same payment" in said(trigger("new", INBOX), trigger("all"))[0][2]
    other: dict[str, Any] = {"event": "partner_joined", "action": FLAT}
    assert "the same occasion" in said(trigger("new", **other), trigger("old", **other))[0][2]


def test_what_cannot_meet_does_not_overlap() -> None:
    """Other products, another event, an inactive trigger, the trigger itself."""
    flat: dict[str, Any] = {"event": "product_created", "action": FLAT}
    others = [trigger("chat", CHAT), trigger("bought", INBOX, **flat), trigger("off", INBOX, active=False)]
    assert said(trigger("new", INBOX), *others, trigger("new", INBOX)) == []
    assert kinds(trigger("new", INBOX), *others, trigger("meets", INBOX, position=9)) == [WarningKind.OVERLAP]
    assert said(trigger("new", INBOX, active=False), trigger("old", INBOX)) == []


def test_days_are_the_programs() -> None:
    """In Berlin March begins at 23:00 UTC: before March and from that moment on is never, for two rules or for one."""
    before = ("transaction.created", "within", {"before": "2026-03-01"})
    after = ("transaction.created", "within", {"after": 1772319600000})
    assert said(trigger("new", before), trigger("old", after)) == []
    assert kinds(trigger("new", before, after)) == [WarningKind.UNREACHABLE]


def test_names_are_those_of_the_day() -> None:
    """A product that was renamed, and a group that a partner left, are unknown under their old names from then on."""
    later = NOON + timedelta(days=31)
    renamed = EntryName(None, "Mail"), EntryName(NOON + timedelta(days=30), "Inbox")
    moved = PartnerVersion(None, "bronze"), PartnerVersion(NOON + timedelta(days=30), "gold")
    book = Catalogue().with_entries([BookEntry("pbook_1", renamed, "prod_1")])
    partners = {"ada": Partner("ada", NOON, moved)}
    asked = trigger("new", ("product.name", "is_any_of", ["Mail"]), ("partner.group", "is_any_of", ["bronze"]))
    found = [len(warnings_for(asked, (), book, partners, at, ZoneInfo("UTC"))) for at in (NOON, later)]
    assert found == [0, 2]


def test_a_name_is_reported_once_however_often_it_is_asked_for() -> None:
    """Asked for in two places, it is one thing to look at."""
    either = {"any": [{"field": "product.name", "op": "is_any_of", "value": ["Chat"]}] * 2}
    assert [kind for kind, _, _ in said(trigger("new", rules=either))] == [WarningKind.UNKNOWN_NAME]


def test_what_always_comes_second_never_pays() -> None:
    """In one group the earlier of two that fire together wins: the later is shadowed, whichever was saved."""
    wide = trigger("wide", ("product.name", "is_any_of", ["Inbox", "Live Chat"]), exclusive_group="best", position=1)
    narrow = trigger("narrow", INBOX, exclusive_group="best", position=2)
    comes_first = 'wherever it would, "wide offer" comes first in group best'
    assert said(narrow, wide) == [(WarningKind.SHADOWED, "position", f"it never pays: {comes_first}")]
    assert said(wide, narrow) == [(WarningKind.SHADOWED, "position", f'"narrow offer" never pays: {comes_first}')]


@pytest.mark.parametrize(
    "change",
    [
        {"position": 3},
        {"action": {"type": "percent", "percent": "10", "limit": {"per_customer": 1}}},
        {"since": NOON + timedelta(days=1)},
        {"exclusive_group": "other"},
    ],
)
def test_a_later_limited_or_younger_one_shadows_nothing(change: dict[str, Any]) -> None:
    """It comes second, stops one day, or began later: the other pays then."""
    wide = trigger("wide", INBOX, **{"exclusive_group": "best", "position": 1, **change})
    narrow = trigger("narrow", INBOX, ("line.quantity", "gt", 1), exclusive_group="best", position=2)
    assert WarningKind.SHADOWED not in kinds(narrow, wide)


def test_a_line_does_not_shadow_the_whole_payment() -> None:
    """The whole comes before its lines where its position says so; a line's trigger may find no such line."""
    whole = trigger("whole", exclusive_group="best", position=1)
    line = trigger("line", INBOX, exclusive_group="best", position=2)
    assert kinds(line, whole) == [WarningKind.SHADOWED]
    first = trigger("line", INBOX, exclusive_group="best", position=0)
    assert kinds(whole, first) == []


def test_rules_that_contradict_each_other_are_unreachable() -> None:
    """And nothing else is said of a trigger that never fires but the names it gets wrong."""
    both = trigger("none", INBOX, CHAT)
    assert said(both, trigger("old", INBOX)) == [
        (WarningKind.UNREACHABLE, "rules", "these rules contradict each other: it can never fire")
    ]


def test_names_that_nothing_has_are_reported_with_the_nearest() -> None:
    """Once each, with what the eye misses."""
    rules = [
        ("product.name", "is_any_of", ["inbox", "Chat", "Inbox"]),
        ("product.key", "is_none_of", ["pbook_x"]),
        ("partner.key", "is_any_of", ["Ada", "bob"]),
        ("partner.group", "is_any_of", ["gold", "silver"]),
        ("partner.tags", "contains", "VIP"),
        ("partner.tags", "is_any_of", ["vip", "new"]),
    ]
    assert [message for kind, field, message in said(trigger("new", *rules))] == [
        'product.name: "inbox" differs from "Inbox" only in capitals',
        'product.name: no product is called "Chat"',
        'product.key: no product book entry is called "pbook_x"',
        'partner.key: "Ada" differs from "ada" only in capitals',
        'partner.key: no partner is called "bob"',
        'partner.group: no partner\'s group is called "silver"',
        'partner.tags: "VIP" differs from "vip" only in capitals',
        'partner.tags: no partner\'s tag is called "new"',
    ]
    assert set(kinds(trigger("new", *rules))) == {WarningKind.UNKNOWN_NAME}
    assert said(trigger("new", ("product.name", "contains", "Chat"), ("product.name", "starts_with", "L"))) == []


def test_a_flat_amount_in_a_currency_nobody_pays_in() -> None:
    """The rules ask for euros, the trigger pays dollars; a percentage is in the payment's own."""
    euros = ("transaction.currency", "is_any_of", ["eur"])
    assert said(trigger("new", euros, action=FLAT)) == [
        (WarningKind.CURRENCY_MISMATCH, "action.currency", "it pays usd, and its rules ask for payments in eur")
    ]
    assert said(trigger("new", euros)) == []
    assert said(trigger("new", ("transaction.currency", "is_any_of", ["eur", "usd"]), action=FLAT)) == []


def test_percentages_and_flat_amounts_in_one_group() -> None:
    """Position decides between them; a manager may expect the larger to win."""
    flat = trigger("flat", INBOX, exclusive_group="best", position=1, action=FLAT)
    share = trigger("share", INBOX, ("line.quantity", "gt", 1), exclusive_group="best", position=0)
    (first, *rest) = said(flat, share)
    assert first == (
        WarningKind.MIXED_UNITS,
        "exclusive_group",
        '"share offer" of group best pays in another unit: position decides, never worth',
    )
    assert rest == []
    assert kinds(flat, trigger("other", INBOX, action=FLAT, exclusive_group="best", position=2)) == [
        WarningKind.SHADOWED
    ]


def test_warnings_come_in_a_fixed_order() -> None:
    """By position and key of the other trigger, whatever order they are given in."""
    others = [trigger(key, INBOX, position=position) for key, position in (("c", 1), ("a", 2), ("b", 1))]
    expected = ["b offer", "c offer", "a offer"]
    for order in (others, others[::-1]):
        assert [message.split('"')[1] for _, _, message in said(trigger("new", INBOX), *order)] == expected
