"""Comparing books: what is missing, extra or different, and that every line stands in one bucket, to the cent."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.differences import Comparison, Difference, Kind
from domain.facts import ProductStatus, Source, SubscriptionItem, SubscriptionSeen
from domain.periods import Period
from domain.reconcile import (
    Bucket,
    OurBooks,
    PaidInvoice,
    PaidLine,
    ProviderBooks,
    RecordedInvoice,
    RecordedLine,
    Repair,
    Repaired,
    Subscription,
    Tally,
    Total,
    compare,
    placements,
    repaired,
    repairs,
    subscription_of,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MARCH = Period(NOON - DAY, NOON + DAY)
INBOX = SubscriptionItem("inbox", ("price_1",), 1, 9900)
SURVEYS = SubscriptionItem("surveys", ("price_2", "price_3"), 2, 3900)
SUB = Subscription("sub_1", ProductStatus.ACTIVE, "active", False, (INBOX, SURVEYS))


def billed(key: str, *nets: int, currency: str = "usd", total: int | None = None) -> PaidInvoice:
    """An invoice at the provider with lines `0`, `1`, ..."""
    lines = tuple(PaidLine(str(number), net) for number, net in enumerate(nets))
    return PaidInvoice(key, currency, sum(nets) if total is None else total, lines)


def line(net: int, bucket: Bucket = Bucket.COMMISSIONED, reason: str | None = None, key: str = "0") -> RecordedLine:
    """One of our lines."""
    return RecordedLine(key, net, bucket, reason)


def recorded(key: str, *lines: RecordedLine, currency: str = "usd", paid_at: datetime = NOON) -> RecordedInvoice:
    """One of our transactions; its lines are numbered like the provider's."""
    numbered = tuple(replace(each, key=str(number)) for number, each in enumerate(lines))
    return RecordedInvoice(key, currency, paid_at, numbered)


def test_what_is_taken_back_is_not_extra_and_still_compared() -> None:
    """An invoice of which nothing is left may be missing there; where the provider names it, it is compared."""
    ours = recorded("in_1", RecordedLine("", 900, Bucket.EXCLUDED, "why"))
    for taken_back, extra in ((False, ("in_1",)), (True, ())):
        here = OurBooks((), (replace(ours, taken_back=taken_back),))
        assert compare(ProviderBooks(MARCH), here).invoices.extra == extra
        named = ProviderBooks(MARCH, (), (PaidInvoice("in_1", "usd", 900, (PaidLine("0", 900),)),))
        found = compare(named, here).invoices
        assert (found.ours_count, found.different, found.extra) == (1, (), ())


def subscriptions(there: list[Subscription], here: list[Subscription]) -> Comparison:
    """The comparison of subscriptions alone."""
    return compare(ProviderBooks(MARCH, tuple(there)), OurBooks(tuple(here))).subscriptions


def test_books_that_agree_have_nothing_to_report() -> None:
    """Equal subscriptions and equal invoices leave no difference, no repair and all money commissioned."""
    there = ProviderBooks(MARCH, (SUB,), (billed("in_1", 9900, 3900),))
    report = compare(there, OurBooks((SUB,), (recorded("in_1", line(9900), line(3900)),)))
    assert report.window == MARCH
    assert report.subscriptions == Comparison(1, 1, (), (), ())
    assert report.invoices == Comparison(1, 1, (), (), ())
    assert report.money == (Total("usd", 13800, 13800, (Tally(Bucket.COMMISSIONED, None, 2, 13800),)),)
    assert repairs(report) == ()


def test_subscriptions_are_found_by_key() -> None:
    """What only one side has is missing or extra, each counted once however often it is listed."""
    only_there = [replace(SUB, key=key) for key in ("b", "a", "b")]
    only_here = [replace(SUB, key=key) for key in ("d", "c")]
    assert subscriptions([SUB, *only_there], [*only_here, SUB]) == Comparison(3, 3, ("a", "b"), ("c", "d"), ())


def test_a_subscription_differs_field_by_field() -> None:
    """Each field that differs is named with both values; an item that one side lacks has nothing there."""
    more = replace(INBOX, quantity=3, price_keys=("price_9", "price_1"), amount_minor=None)
    stale = Subscription("sub_1", ProductStatus.CHURNED, "paused", True, (more,))
    assert subscriptions([SUB], [stale]).different == (
        Difference("sub_1", "ended", "no", "yes"),
        Difference("sub_1", "items[inbox].amount", 9900, None),
        Difference("sub_1", "items[inbox].prices", "price_1", "price_1 price_9"),
        Difference("sub_1", "items[inbox].quantity", 1, 3),
        Difference("sub_1", "items[surveys].amount", 3900, None),
        Difference("sub_1", "items[surveys].prices", "price_2 price_3", None),
        Difference("sub_1", "items[surveys].quantity", 2, None),
        Difference("sub_1", "provider_status", "active", "paused"),
        Difference("sub_1", "status", "active", "churned"),
    )


def test_the_order_of_items_and_prices_is_no_difference() -> None:
    """Items and prices are sets, however each side lists them."""
    turned = replace(SUB, items=(replace(SURVEYS, price_keys=("price_3", "price_2")), INBOX))
    assert subscriptions([SUB], [turned]).different == ()


@pytest.mark.parametrize(("there", "here", "differs"), [(True, True, False), (True, False, True), (False, True, True)])
def test_the_items_of_an_ended_subscription_are_not_compared(there: bool, here: bool, differs: bool) -> None:
    """Once both sides know that it is over, what was on it no longer matters; until then it does."""
    found = subscriptions([replace(SUB, ended=there)], [replace(SUB, ended=here, items=())]).different
    assert any(each.field.startswith("items") for each in found) is differs


def test_a_snapshot_is_compared_as_it_was_seen() -> None:
    """A snapshot's status, items and end are what is compared, under the subscription's own id."""
    source = Source(0, NOON, 1, "evt_1")
    seen = SubscriptionSeen(
        "stripe", "sub_1", "cus_1", source, NOON, ProductStatus.ACTIVE, "active", False, True, "usd", (INBOX, SURVEYS)
    )
    assert subscription_of(seen) == SUB


def test_an_invoice_we_lack_is_missing_unless_it_waits() -> None:
    """What we never heard of is missing; what the inbox holds is waiting, for the reason it gives."""
    there = ProviderBooks(MARCH, invoices=(billed("in_2", 700), billed("in_1", 200, 300, total=600)))
    report = compare(there, OurBooks(waiting={"in_2": "more lines", "in_9": "more lines"}))
    assert report.invoices == Comparison(2, 0, ("in_1",), (), (), ("in_2",))
    assert report.money[0].tallies == (
        Tally(Bucket.WAITING, "more lines", 1, 700),
        Tally(Bucket.MISSING, None, 2, 600),
    )
    assert repairs(report) == (Repair(Kind.INVOICE, "in_1"),)


def test_the_rest_of_an_invoice_waits_with_it() -> None:
    """Of an invoice whose first lines alone are known, the rest of the total stands where its lines stand."""
    there = ProviderBooks(MARCH, invoices=(billed("in_1", 200, total=500),))
    (total,) = compare(there, OurBooks(waiting={"in_1": "more lines"})).money
    assert total.tallies == (Tally(Bucket.WAITING, "more lines", 1, 500),)


def test_of_ours_only_the_window_and_what_was_asked_count() -> None:
    """An invoice of ours outside the window is neither extra nor counted, unless the provider names it."""
    early, late = NOON - DAY, NOON + DAY
    ours = (
        recorded("in_0", line(1), paid_at=early - DAY),
        recorded("in_1", line(1), paid_at=early),
        recorded("in_2", line(1), paid_at=late),
        recorded("in_3", line(100), paid_at=late),
    )
    report = compare(ProviderBooks(MARCH, invoices=(billed("in_3", 100),)), OurBooks(invoices=ours))
    assert report.invoices == Comparison(1, 2, (), ("in_1",), ())
    assert (report.money[0].provider_minor, report.money[0].ours_minor) == (100, 101)
    assert repairs(report) == (Repair(Kind.INVOICE, "in_1"),)


def test_an_invoice_differs_by_currency_total_and_line() -> None:
    """Each field that differs is named with both values; a line that one side lacks has no amount there."""
    there = ProviderBooks(MARCH, invoices=(billed("in_1", 500, 600),))
    here = replace(recorded("in_1", line(500), line(400), currency="eur"))
    here = replace(here, lines=(*here.lines, line(50, key="2")))
    report = compare(there, OurBooks(invoices=(here,)))
    assert report.invoices.different == (
        Difference("in_1", "currency", "usd", "eur"),
        Difference("in_1", "net", 1100, 950),
        Difference("in_1", "lines[1]", 600, 400),
        Difference("in_1", "lines[2]", None, 50),
    )
    assert repairs(report) == (Repair(Kind.INVOICE, "in_1"),)


@pytest.mark.parametrize(
    ("ours", "bucket", "reason"),
    [
        (line(500), Bucket.COMMISSIONED, None),
        (line(500, Bucket.EXCLUDED, "no trigger fired"), Bucket.EXCLUDED, "no trigger fired"),
        (line(500, Bucket.WAITING, "not linked"), Bucket.WAITING, "not linked"),
        (line(500, Bucket.EXCLUDED), Bucket.UNEXPLAINED, "nothing says what became of it"),
        (line(500, Bucket.WAITING, ""), Bucket.UNEXPLAINED, "nothing says what became of it"),
        (line(500, Bucket.UNEXPLAINED), Bucket.UNEXPLAINED, "nothing says what became of it"),
        (line(499), Bucket.UNEXPLAINED, "recorded with another amount"),
        (line(499, Bucket.EXCLUDED, "zero"), Bucket.UNEXPLAINED, "recorded with another amount"),
    ],
)
def test_a_recorded_line_stands_where_its_fate_says(ours: RecordedLine, bucket: Bucket, reason: str | None) -> None:
    """A line of the right amount stands where we say, if we say why; any other is unexplained, with all its money."""
    there = ProviderBooks(MARCH, invoices=(billed("in_1", 500),))
    (placed,) = placements(there, OurBooks(invoices=(recorded("in_1", ours),), waiting={"in_1": "later news"}))
    assert (placed.invoice_key, placed.line_key, placed.currency, placed.amount_minor) == ("in_1", "0", "usd", 500)
    assert (placed.bucket, placed.reason) == (bucket, reason)


def test_a_line_we_lack_of_an_invoice_we_have_is_missing() -> None:
    """A line is missing on its own; another currency or an odd total is unexplained."""
    there = ProviderBooks(MARCH, invoices=(billed("in_1", 5, 7, total=13), billed("in_2", 9, 1)))
    ours = OurBooks(invoices=(recorded("in_1", line(5)), recorded("in_2", line(9), currency="eur")))
    found = [(each.line_key, each.amount_minor, each.bucket.value, each.reason) for each in placements(there, ours)]
    assert found == [
        ("0", 5, "commissioned", None),
        ("1", 7, "missing", None),
        (None, 1, "unexplained", "the lines do not add up to the total"),
        ("0", 9, "unexplained", "recorded in another currency"),
        ("1", 1, "missing", None),
    ]


def test_money_is_told_per_currency_bucket_and_reason() -> None:
    """Each currency is for itself; what only we have shows in our total alone."""
    there = ProviderBooks(MARCH, invoices=(billed("in_1", 5, 7, 9, -2), billed("in_2", 11, currency="eur")))
    no_partner, zero = line(7, Bucket.EXCLUDED, "no partner"), line(9, Bucket.EXCLUDED, "a trial")
    ours = OurBooks(
        invoices=(
            recorded("in_1", line(5), no_partner, zero, line(-2)),
            recorded("in_3", line(1000), currency="jpy"),
        )
    )
    eur, jpy, usd = compare(there, ours).money
    assert eur == Total("eur", 11, 0, (Tally(Bucket.MISSING, None, 1, 11),))
    assert jpy == Total("jpy", 0, 1000, ())
    assert usd.tallies == (
        Tally(Bucket.COMMISSIONED, None, 2, 3),
        Tally(Bucket.EXCLUDED, "a trial", 1, 9),
        Tally(Bucket.EXCLUDED, "no partner", 1, 7),
    )
    assert (usd.amount_minor(Bucket.EXCLUDED), usd.amount_minor(Bucket.MISSING)) == (16, 0)
    assert eur.ties_out and jpy.ties_out and usd.ties_out


def test_everything_is_told_in_order() -> None:
    """However the books are listed, keys, fields, invoices and lines come out in their order."""
    keys = [f"k{number}" for number in range(10, 22)]
    stale = tuple(replace(SUB, key=key, provider_status="past_due") for key in reversed(keys))
    fresh = tuple(replace(each, provider_status="active") for each in stale)
    assert [each.key for each in subscriptions(list(fresh), list(stale)).different] == keys
    bills = tuple(PaidInvoice(key, "usd", 5, (PaidLine("b", 2), PaidLine("a", 3))) for key in reversed(keys))
    placed = [(each.invoice_key, each.line_key) for each in placements(ProviderBooks(MARCH, (), bills), OurBooks())]
    assert placed == [(key, line_key) for key in keys for line_key in ("a", "b")]
    ours = tuple(RecordedInvoice(key, "usd", NOON, ()) for key in reversed(keys))
    assert [each.key for each in compare(ProviderBooks(MARCH, (), bills), OurBooks((), ours)).invoices.different] == [
        key for key in keys for _ in ("net", "a", "b")
    ]
    assert compare(ProviderBooks(MARCH), OurBooks((), ours)).invoices.extra == tuple(keys)
    waits = compare(ProviderBooks(MARCH, (), bills), OurBooks(waiting=dict.fromkeys(keys, "more lines"))).invoices
    assert (waits.missing, waits.waiting) == ((), tuple(keys))


def test_a_total_that_does_not_tie_out_says_so() -> None:
    """One cent that stands in no bucket shows."""
    assert not Total("usd", 100, 100, (Tally(Bucket.COMMISSIONED, None, 1, 99),)).ties_out


def test_repairs_are_what_to_fetch_again() -> None:
    """Missing, extra and different objects of both kinds, each once and in order."""
    changed = replace(SUB, key="s2", provider_status="past_due", items=())
    there = ProviderBooks(MARCH, (SUB, replace(SUB, key="s2")), (billed("in_2", 5), billed("in_1", 7)))
    ours = OurBooks((changed, replace(SUB, key="s3")), (recorded("in_1", line(8)), recorded("in_3", line(5))))
    invoices = [Repair(Kind.INVOICE, key) for key in ("in_1", "in_2", "in_3")]
    rest = [Repair(Kind.SUBSCRIPTION, key) for key in ("s2", "s3", "sub_1")]
    assert repairs(compare(there, ours)) == (*invoices, *rest)


def test_what_was_put_right_is_told_from_what_is_left() -> None:
    """A repair is done when it is asked for no longer; what came up since is left to do."""
    there = ProviderBooks(MARCH, invoices=(billed("in_1", 5), billed("in_2", 5)))
    before = compare(there, OurBooks())
    later = replace(there, invoices=(*there.invoices, billed("in_3", 5)))
    after = compare(later, OurBooks(invoices=(recorded("in_1", line(5)),)))
    one, two, three = (Repair(Kind.INVOICE, key) for key in ("in_1", "in_2", "in_3"))
    assert repaired(before, after) == Repaired(done=(one,), left=(two, three))


keys = st.sampled_from(["in_1", "in_2", "in_3"])
currencies = st.sampled_from(["usd", "jpy"])
nets = st.integers(-3, 3)
invoices = st.builds(
    PaidInvoice,
    keys,
    currencies,
    st.integers(-5, 5),
    st.lists(st.builds(PaidLine, st.sampled_from("abc"), nets), max_size=3, unique_by=lambda each: each.key).map(tuple),
)
ours_lines = st.builds(
    RecordedLine, st.sampled_from("abc"), nets, st.sampled_from(Bucket), st.sampled_from([None, "because"])
)
ours_invoices = st.builds(
    RecordedInvoice,
    keys,
    currencies,
    st.sampled_from([NOON, NOON + 9 * DAY]),
    st.lists(ours_lines, max_size=3, unique_by=lambda each: each.key).map(tuple),
)


def unique(of: st.SearchStrategy[PaidInvoice]) -> st.SearchStrategy[tuple[PaidInvoice, ...]]:
    """Invoices under keys of their own."""
    return st.lists(of, max_size=3, unique_by=lambda each: each.key).map(tuple)


@settings(max_examples=60)
@given(
    unique(invoices),
    st.lists(ours_invoices, max_size=3, unique_by=lambda each: each.key),
    st.dictionaries(keys, st.just("more lines"), max_size=2),
    st.randoms(use_true_random=False),
)
def test_every_line_stands_in_one_bucket_and_money_ties_out(
    there: tuple[PaidInvoice, ...], ours: list[RecordedInvoice], waiting: dict[str, str], random: Random
) -> None:
    """Whatever the books say: each line is placed once, the buckets make up the totals, and order does not matter."""
    provider, books = ProviderBooks(MARCH, invoices=there), OurBooks((), tuple(ours), waiting)
    report = compare(provider, books)
    placed = Counter((each.invoice_key, each.line_key) for each in placements(provider, books) if each.line_key)
    assert placed == Counter((invoice.key, line.key) for invoice in there for line in invoice.lines)
    assert sum(total.provider_minor for total in report.money) == sum(invoice.net_minor for invoice in there)
    assert all(total.ties_out for total in report.money)
    random.shuffle(ours)
    turned = ProviderBooks(MARCH, invoices=(*reversed(there), *there))
    assert compare(turned, OurBooks((), tuple(ours), waiting)) == report
