"""Refunds, credit notes and disputes compared: what is missing, what differs, and what does not count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.differences import REVERSALS, Comparison, Difference, Kind
from domain.facts import Reversal, ReversalKind, ReversalLine, Source
from domain.periods import Period
from domain.reconcile import OurBooks, ProviderBooks, Repair, compare, repairs
from domain.reversal_books import TakenBack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MARCH = Period(NOON - DAY, NOON + DAY)


def part(key: str = "re_1", amount: int = 500, **more: Any) -> Reversal:
    """What a refund takes from an invoice."""
    source = Source(0, NOON, 1, "evt_1")
    return Reversal("stripe", ReversalKind.REFUND, key, source, "usd", amount, payment_keys=("ch_1",), **more)


def refund(*parts: Reversal, key: str = "re_1", at: datetime = NOON, kind: Kind = Kind.REFUND) -> TakenBack:
    """One refund on either side."""
    return TakenBack(kind, key, at, parts or (part(key),))


def compared(there: list[TakenBack], here: list[TakenBack], **waiting: str) -> Comparison:
    """The comparison of refunds alone."""
    ours = OurBooks(reversals=tuple(here), reversals_waiting=waiting)
    return compare(ProviderBooks(MARCH, reversals=tuple(there)), ours).refunds


def differences(there: Reversal, here: Reversal) -> list[tuple[str, str | int | None, str | int | None]]:
    """(field, provider, ours)."""
    return [(each.field, each.provider, each.ours) for each in compared([refund(there)], [refund(here)]).different]


@pytest.mark.parametrize("kind", REVERSALS)
def test_each_kind_is_compared_by_itself(kind: Kind) -> None:
    """What is there and not here is missing, what is here and not there is extra; other kinds have none of it."""
    there = refund(key="a", kind=kind), refund(key="b", kind=kind)
    here = refund(key="b", kind=kind), refund(key="c", kind=kind)
    report = compare(ProviderBooks(MARCH, reversals=there), OurBooks(reversals=here))
    assert report.of(kind) == Comparison(2, 2, ("a",), ("c",), ())
    assert [report.of(other) for other in Kind if other is not kind] == [Comparison(0, 0, (), (), ())] * 4
    assert repairs(report) == (Repair(kind, "a"), Repair(kind, "c"))
    assert report.money == ()


def test_what_waits_is_not_missing() -> None:
    """What the inbox holds is waiting; what else is there is missing."""
    found = compared([refund(key="a"), refund(key="b")], [], b="its event is not processed yet", z="whatever")
    assert (found.missing, found.waiting) == (("a",), ("b",))


@pytest.mark.parametrize("at", [NOON - 2 * DAY, NOON + DAY])
def test_outside_the_window_only_what_leads_to_us_counts(at: datetime) -> None:
    """Older than the window, or made after the list was begun, either side is left out unless both have it, or we have
    the payment that it takes from."""
    outside = refund(at=at)
    assert compared([outside], []) == compared([], [outside]) == Comparison(0, 0, (), (), ())
    assert compared([replace(outside, of_ours=True)], []).missing == ("re_1",)
    less = refund(part(amount=400), at=at)
    assert compared([outside], [less]) == Comparison(1, 1, (), (), (Difference("re_1", "amount", 500, 400),))


def test_what_is_undone_need_not_be_there() -> None:
    """A refund that failed may be gone; one of which a part still stands may not."""
    failed, half = part(undone_minor=500), part("re_1/in_2", undone_minor=499)
    assert compared([], [refund(failed)]) == Comparison(0, 0, (), (), ())
    assert compared([], [refund(failed, half)]).extra == ("re_1",)
    assert compared([refund(failed)], []).missing == ("re_1",)


@pytest.mark.parametrize(
    ("changed", "field", "provider", "ours"),
    [
        ({"amount_minor": 700}, "amount", 700, 500),
        ({"amount_minor": 300}, "amount", 300, 500),
        ({"currency": "eur"}, "currency", "eur", "usd"),
        ({"undone_minor": 500}, "undone", 500, 0),
        ({"refunded_minor": 200}, "refunded", 200, 0),
        ({"invoice_key": "in_1"}, "invoice", "in_1", None),
        ({"payment_keys": ("pi_1",)}, "payments", "ch_1 pi_1", "ch_1"),
        ({"lines": (ReversalLine(300), ReversalLine(150))}, "net", 450, None),
    ],
)
def test_each_field_that_differs_is_named(
    changed: dict[str, Any], field: str, provider: str | int, ours: str | int | None
) -> None:
    """With both values: whatever the provider says that we were not told, or told otherwise."""
    assert differences(replace(part(), **changed), part()) == [(field, provider, ours)]


@pytest.mark.parametrize(
    "more",
    [
        {"refunded_minor": 200},
        {"invoice_key": "in_1"},
        {"payment_keys": ("ch_1", "pi_1")},
        {"lines": (ReversalLine(300),)},
        {"source": Source(9, NOON + DAY, 2, "evt_2")},
        {"provider_customer_key": "cus_1"},
    ],
)
def test_what_we_know_besides_is_no_difference(more: dict[str, Any]) -> None:
    """Other events told more of it than the object shows: nothing is wrong with that."""
    assert differences(part(), replace(part(), **more)) == []


def test_lines_differ_by_what_they_come_to() -> None:
    """How the two sides name the lines is no difference; what they take is."""
    there = part(lines=(ReversalLine(300, "il_1"), ReversalLine(100)))
    assert differences(there, part(lines=(ReversalLine(400, "line_1"),))) == []
    assert differences(there, part(lines=(ReversalLine(399),))) == [("net", 400, 399)]


def test_a_refund_of_several_invoices_is_compared_part_by_part() -> None:
    """The first part goes by the refund's own name; of one that we lack only the amount is named."""
    there = refund(part(), part("re_1/in_2", 300), part("re_1/in_3", 200, undone_minor=200))
    here = refund(part(amount=499), part("re_1/in_3", 200))
    assert compared([there], [here]).different == (
        Difference("re_1", "amount", 500, 499),
        Difference("re_1", "parts[re_1/in_2].amount", 300, None),
        Difference("re_1", "parts[re_1/in_3].undone", 200, 0),
    )
