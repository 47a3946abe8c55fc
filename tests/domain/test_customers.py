"""Attribution: folded from claims, reaching back once, never moving what was earned."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.customers import Attribution, Claim, attribution_at, attributions, first_difference

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOKBACK = timedelta(days=30)


def claim(day: int, partner: str, *, member: str | None = None, since: int | None = None, cause: str = "") -> Claim:
    """A claim made on a day, holding from then or from another day on."""
    effective_from = None if since is None else NOON + timedelta(days=since)
    learnt_at = NOON + timedelta(days=day)
    return Claim("customer:cust_1", partner, member, learnt_at, cause or f"stripe:evt_{day}_{partner}", effective_from)


def told(*claims: Claim) -> list[tuple[int, str]]:
    """From which day on the customer is whose."""
    return [((a.effective_from - NOON).days, a.partner_key) for a in attributions(claims, LOOKBACK)]


def test_the_first_reaches_back_and_a_later_one_does_not() -> None:
    """The first attribution holds from the lookback on, another partner from when it was said."""
    assert told(claim(0, "ada"), claim(5, "bob"), claim(9, "ada")) == [(-30, "ada"), (5, "bob"), (9, "ada")]


def test_saying_it_again_changes_nothing() -> None:
    """The same partner and member named again is no new attribution; another member is."""
    assert told(claim(0, "ada"), claim(5, "ada")) == [(-30, "ada")]
    assert told(claim(0, "ada"), claim(5, "ada", member="ann")) == [(-30, "ada"), (5, "ada")]


def test_a_claim_that_says_from_when_it_holds_replaces_what_it_reaches() -> None:
    """An explicit beginning counts as it is, also before other attributions."""
    assert told(claim(0, "ada"), claim(9, "bob", since=-40)) == [(-40, "bob")]
    assert told(claim(0, "ada", since=2)) == [(2, "ada")]


def test_of_two_claims_of_one_second_the_cause_decides() -> None:
    """Ties are broken by what said it, never by what arrived first."""
    claims = claim(0, "bob", cause="stripe:evt_2"), claim(0, "ada", cause="stripe:evt_1")
    assert told(*claims) == told(*reversed(claims)) == [(-30, "ada"), (0, "bob")]


_claims = st.lists(
    st.builds(
        lambda day, partner, member, since, cause: claim(day, partner, member=member, since=since, cause=cause),
        st.integers(0, 6),
        st.sampled_from(["ada", "bob"]),
        st.sampled_from([None, "ann"]),
        st.none() | st.integers(-40, 6),
        st.uuids().map(str),
    ),
    max_size=6,
)


@given(_claims, st.randoms(use_true_random=False))
def test_the_order_of_claims_does_not_matter(claims: list[Claim], random: Any) -> None:
    """Any permutation of the same claims makes the same history."""
    expected = attributions(claims, LOOKBACK)
    random.shuffle(claims)
    assert attributions(claims, LOOKBACK) == expected


@given(_claims, _claims, st.integers(-45, 10))
def test_histories_agree_before_their_first_difference(old: list[Claim], more: list[Claim], day: int) -> None:
    """Whoever earned before the first difference between two histories earns all the same after it."""
    before, after = attributions(old, LOOKBACK), attributions([*old, *more], LOOKBACK)
    since, moment = first_difference(before, after), NOON + timedelta(days=day)
    if since is None or moment < since:
        assert attribution_at(before, moment) == attribution_at(after, moment)
    else:
        assert before != after


def test_nobody_before_the_first() -> None:
    """Before the first attribution begins there is none."""
    history = (Attribution(NOON, "ada", None),)
    assert attribution_at(history, NOON - timedelta(seconds=1)) is None
    assert attribution_at(history, NOON) == history[0]
