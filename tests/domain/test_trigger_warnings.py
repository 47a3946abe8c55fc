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


def test_what_is_told_apart_does_not_overlap() -> None:
    """A rate for the first year and one after it, partners with a tag and without, all but one product."""
    first_year = trigger("first", ("customer.age", "lt", {"months": 12}))
    assert said(trigger("later", ("customer.age", "gte", {"months": 12})), first_year) == []
    assert kinds(trigger("late", ("customer.age", "gte", {"months": 11})), first_year) == [WarningKind.OVERLAP]
    vip = trigger("vip", ("partner.tags", "contains", "vip"))
    assert said(trigger("others", ("partner.tags", "is_none_of", ["vip"])), vip) == []
    inbox = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
    assert said(trigger("rest", rules={"not": inbox}), trigger("inbox", INBOX)) == []
    assert said(trigger("rest", ("product.name", "is_none_of", ["Inbox"])), trigger("inbox", INBOX)) == []
    assert kinds(trigger("rest", rules={"not": inbox}), trigger("chat", CHAT)) == [WarningKind.OVERLAP]


NEVER = [
    (("transaction.created", "within", {"previous": "month"}), "contradict"),
    (("customer.transactions", "lt", 1), "count the payment itself"),
    (("transaction.number", "is_any_of", [0]), "count the payment itself"),
    (("line.amount", "lte", 0), "more than nothing"),
]


@pytest.mark.parametrize(("condition", "why"), NEVER)
def test_what_no_payment_is_is_unreachable(condition: tuple[Any, ...], why: str) -> None:
    """Of an earlier month than it is paid in, before the first, of nothing."""
    ((kind, field, message),) = said(trigger("never", condition))
    assert (kind, field) == (WarningKind.UNREACHABLE, "rules")
    assert why in message


def test_the_first_payment_is_number_one() -> None:
    """And a customer who has just come to be has paid nothing; a product is not bought in order to be over."""
    assert said(trigger("first", ("transaction.number", "lte", 1))) == []
    new: dict[str, Any] = {"event": "customer_created", "action": FLAT}
    assert said(trigger("new", ("customer.transactions", "lt", 1), **new)) == []
    bought: dict[str, Any] = {"event": "product_created", "action": FLAT}
    over = trigger("over", ("product.status", "is_any_of", ["churned"]), **bought)
    assert said(over) == [
        (WarningKind.UNREACHABLE, "rules", "it can never fire: a product is Trial or Active when it is created")
    ]
    changed: dict[str, Any] = {"event": "product_status_changed", "action": FLAT}
    assert said(trigger("left", ("product.status", "is_any_of", ["churned"]), **changed)) == []


def test_parts_of_names_that_nothing_has_are_reported_with_the_nearest() -> None:
    """A part that is in no name, by operator; where only capitals keep it out, whose name it would be in."""
    rules = [
        ("product.name", "starts_with", "inb"),
        ("product.name", "contains", "Knowledge"),
        ("product.name", "ends_with", "Chat"),
        ("partner.group", "contains", "OLD"),
    ]
    old, gold = '"OLD"', '"gold" does only if capitals are ignored'
    assert [message for _, _, message in said(trigger("new", *rules))] == [
        'product.name: no product is called anything that starts with "inb"; "Inbox" does only if capitals are ignored',
        'product.name: no product is called anything that contains "Knowledge"',
        f"partner.group: no partner's group is called anything that contains {old}; {gold}",
    ]


def test_a_former_name_says_whose_it_was() -> None:
    """A renamed product is asked for under its old name: the rule may be meant for what was paid by then."""
    book = Catalogue().with_entries(
        [BookEntry("pbook_1", (EntryName(None, "Mail"), EntryName(NOON - timedelta(days=1), "Inbox")), "prod_1")]
    )
    asked = trigger("old", ("product.name", "is_any_of", ["Mail"]))
    (found,) = warnings_for(asked, (), book, PARTNERS, NOON, ZoneInfo("UTC"))
    assert found.message == 'product.name: no product is called "Mail" now; "Inbox" was, or will be'


def test_what_is_no_code_of_a_country_or_currency_is_reported() -> None:
    """A name where a code stands never fits."""
    rules = [
        ("transaction.currency", "is_any_of", ["USD", "dollars"]),
        ("customer.country", "is_none_of", ["Germany", "de"]),
        ("partner.country", "is_any_of", ["U1"]),
    ]
    assert [message for _, _, message in said(trigger("new", *rules))] == [
        'transaction.currency: "dollars" is no code such as usd',
        'customer.country: "GERMANY" is no code such as DE',
        'partner.country: "U1" is no code such as DE',
    ]


def test_a_flat_amount_in_a_currency_that_its_rules_leave_out() -> None:
    """Everything but dollars, and dollars paid."""
    others = ("transaction.currency", "is_none_of", ["usd"])
    assert said(trigger("new", others, action=FLAT)) == [
        (
            WarningKind.CURRENCY_MISMATCH,
            "action.currency",
            "it pays usd, and its rules ask for payments in another currency",
        )
    ]
    assert said(trigger("new", ("transaction.currency", "is_none_of", ["eur"]), action=FLAT)) == []


def test_one_position_in_one_group_is_a_tie_that_the_key_settles() -> None:
    """Both are told which goes first; other positions and other groups are none."""
    apart: list[dict[str, Any]] = [{"position": 1}, {"exclusive_group": "other"}, {"exclusive_group": None}]
    first, second = (
        trigger(key, INBOX, ("line.quantity", op, 1), exclusive_group="best")
        for key, op in (("a", "gte"), ("b", "lte"))
    )
    tie = "has the same position in group best"
    assert said(first, second) == [
        (WarningKind.POSITION_TIE, "position", f'"b offer" {tie}: it goes first, by its key alone')
    ]
    assert said(second, first) == [
        (WarningKind.POSITION_TIE, "position", f'"a offer" {tie}: "a offer" goes first, by its key alone')
    ]
    for change in apart:
        assert WarningKind.POSITION_TIE not in kinds(
            second, trigger("a", INBOX, **{"exclusive_group": "best", **change})
        )


def test_a_group_that_is_nearly_another_excludes_nobody() -> None:
    """It is pointed out, whatever event the other waits for, unless somebody else is in it."""
    best = trigger("old", CHAT, exclusive_group="best")
    (found,) = said(trigger("new", INBOX, exclusive_group="Best"), best)
    assert found == (
        WarningKind.UNKNOWN_NAME,
        "exclusive_group",
        '"Best" differs from "best" only in capitals: they are two groups',
    )
    also = trigger("also", CHAT, exclusive_group="Best")
    assert WarningKind.UNKNOWN_NAME not in kinds(trigger("new", INBOX, exclusive_group="Best"), best, also)


def test_of_many_overlaps_the_first_are_named_and_the_rest_counted() -> None:
    """A trigger on everything beside a hundred products is told of twenty, and of how many more there are."""
    others = [trigger(f"t{number:02}", ("line.quantity", "gt", number)) for number in range(22)]
    assert len(said(trigger("new", INBOX), *others[:20])) == 20
    found = said(trigger("new", INBOX), *others)
    assert [message.split(" offer")[0] for _, _, message in found[:20]] == [f'"t{number:02}' for number in range(20)]
    assert found[20:] == [(WarningKind.OVERLAP, "rules", "2 more can fire on the same line: each of them pays as well")]


def test_two_rules_of_many_ways_are_left_open_not_searched() -> None:
    """Sixteen ways beside sixteen are looked at pair by pair; beside more, any two overlap."""

    def either(word: str, count: int) -> dict[str, Any]:
        return {
            "any": [
                {"field": "customer.metadata.plan", "op": "is_any_of", "value": [f"{word}{n}"]} for n in range(count)
            ]
        }

    assert said(trigger("new", rules=either("a", 16)), trigger("old", rules=either("b", 16))) == []
    assert kinds(trigger("new", rules=either("a", 16)), trigger("old", rules=either("b", 17))) == [WarningKind.OVERLAP]
