"""Portions added up: the same report as comparing all at once."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.differences import REVERSALS
from domain.facts import ProductStatus, Reversal, ReversalKind, Source
from domain.periods import Period
from domain.portions import together
from domain.reconcile import (
    Bucket,
    OurBooks,
    PaidInvoice,
    PaidLine,
    ProviderBooks,
    RecordedInvoice,
    RecordedLine,
    Report,
    Subscription,
    compare,
)
from domain.reversal_books import TakenBack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = Period(NOON, NOON + timedelta(days=1))

keys = st.sampled_from("abcdef")
amounts = st.integers(-3, 3)
subscriptions = st.builds(
    Subscription, keys, st.sampled_from(ProductStatus), st.sampled_from(["active", "paused"]), st.booleans()
)
billed = st.builds(
    PaidInvoice,
    keys,
    st.sampled_from(["usd", "jpy"]),
    amounts,
    st.lists(st.builds(PaidLine, st.sampled_from("xy"), amounts), max_size=2, unique_by=lambda e: e.key).map(tuple),
)
fates = st.builds(
    RecordedLine, st.sampled_from("xy"), amounts, st.sampled_from(Bucket), st.sampled_from([None, "because", "why"])
)
recorded = st.builds(
    RecordedInvoice,
    keys,
    st.sampled_from(["usd", "jpy"]),
    st.sampled_from([NOON, NOON - timedelta(days=9)]),
    st.lists(fates, max_size=2, unique_by=lambda e: e.key).map(tuple),
)
taken_back = st.builds(
    TakenBack,
    st.sampled_from(REVERSALS),
    keys,
    st.sampled_from([NOON, NOON - timedelta(days=9)]),
    st.builds(
        Reversal,
        st.just("stripe"),
        st.just(ReversalKind.REFUND),
        st.just("re_1"),
        st.just(Source(0, NOON, 1, "evt_1")),
        st.just("usd"),
        amounts,
    ).map(lambda part: (part,)),
)


def unique(of: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    """Each under a key of its own."""
    return st.lists(of, max_size=6, unique_by=lambda each: each.key)  # type: ignore[attr-defined]


def compared(there: ProviderBooks, here: OurBooks, keys: str) -> Report:
    """The comparison of one stretch of keys."""
    return compare(
        ProviderBooks(
            WINDOW,
            tuple(each for each in there.subscriptions if each.key in keys),
            tuple(each for each in there.invoices if each.key in keys),
            tuple(each for each in there.reversals if each.key in keys),
        ),
        OurBooks(
            tuple(each for each in here.subscriptions if each.key in keys),
            tuple(each for each in here.invoices if each.key in keys),
            here.waiting,
            tuple(each for each in here.reversals if each.key in keys),
            here.reversals_waiting,
        ),
    )


@settings(max_examples=80)
@given(
    unique(subscriptions),
    unique(subscriptions),
    unique(billed),
    unique(recorded),
    st.dictionaries(keys, st.sampled_from(["more lines", "a link"]), max_size=2),
    unique(taken_back),
    unique(taken_back),
    st.integers(0, 6),
)
def test_any_portions_add_up_to_the_whole(
    sold: list[Subscription],
    known: list[Subscription],
    there: list[PaidInvoice],
    here: list[RecordedInvoice],
    waiting: dict[str, str],
    refunded: list[TakenBack],
    heard: list[TakenBack],
    cut: int,
) -> None:
    """Wherever the keys are cut, counts, keys, differences and money are those of one comparison of everything."""
    provider = ProviderBooks(WINDOW, tuple(sold), tuple(there), tuple(refunded))
    ours = OurBooks(tuple(known), tuple(here), waiting, tuple(heard), waiting)
    portions = [compared(provider, ours, "abcdef"[:cut]), compared(provider, ours, "abcdef"[cut:])]
    assert together(WINDOW, portions) == compare(provider, ours)
