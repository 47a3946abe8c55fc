"""Desired minus booked: what is written, and that writing it twice writes it once."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commissions import Claimant, Commission, CommissionState, Desired, Entry, bookings, move, released
from domain.errors import Rejected
from domain.fields import TriggerEvent
from domain.problems import listed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF_LINE = Claimant("inbox", "stripe:in_1", "sub_1/prod_inbox", "ada", "usd")


def wanted(amount_minor: int, claimant: Claimant = OF_LINE, member: str | None = None, version: int = 1) -> Desired:
    """A commission that should amount to so much."""
    return Desired(claimant, version, member, "cust_1", amount_minor, f"{amount_minor}", None, NOON)


def written(booked: Iterable[Commission], entries: Iterable[Entry]) -> list[Commission]:
    """The books after these entries."""
    books = {commission.key: commission for commission in booked}
    for entry in entries:
        known = books.get(entry.commission_key)
        particulars = entry.desired.particulars if entry.desired else known.particulars if known else None
        books[entry.commission_key] = Commission(
            entry.commission_key, entry.claimant, entry.part, entry.state, entry.balance_minor, particulars
        )
    return list(books.values())


def settled(state: CommissionState, amount_minor: int) -> list[Commission]:
    """A commission that a person moved into a state."""
    return [replace(c, state=state) for c in written([], bookings([wanted(amount_minor)], []))]


def amounts(entries: Iterable[Entry]) -> list[tuple[int, int, int, CommissionState]]:
    """(part, amount, balance, state) of each entry."""
    return [(e.part, e.amount_minor, e.balance_minor, e.state) for e in entries]


def test_the_first_booking_is_the_whole_amount() -> None:
    """A commission that is not there yet is booked whole, and is pending."""
    assert amounts(bookings([wanted(490)], [])) == [(0, 490, 490, CommissionState.PENDING)]


def test_only_the_difference_is_booked() -> None:
    """A commission that should be less is lowered by the difference."""
    booked = written([], bookings([wanted(490)], []))
    assert amounts(bookings([wanted(245)], booked)) == [(0, -245, 245, CommissionState.PENDING)]


def test_what_nobody_asks_for_any_more_is_reversed_and_can_come_back() -> None:
    """Fallen to nothing it is reversed; asked for again it is pending again."""
    booked = written([], bookings([wanted(490)], []))
    gone = bookings([], booked)
    assert amounts(gone) == [(0, -490, 0, CommissionState.REVERSED)]
    back = bookings([wanted(490)], written(booked, gone))
    assert amounts(back) == [(0, 490, 490, CommissionState.PENDING)]


def test_an_approved_commission_is_adjusted_by_another() -> None:
    """What was approved or paid stands; what it was too much is a new commission that names it."""
    for state in (CommissionState.APPROVED, CommissionState.PAID):
        booked = settled(state, 490)
        (entry,) = bookings([wanted(400)], booked)
        assert amounts([entry]) == [(1, -90, -90, CommissionState.PENDING)]
        assert entry.adjusts == booked[0].key != entry.commission_key
        (further,) = bookings([wanted(300)], written(booked, [entry]))
        assert (further.commission_key, further.amount_minor, further.balance_minor) == (
            entry.commission_key,
            -100,
            -190,
        )


def test_nothing_follows_a_declined_commission() -> None:
    """A person refused it: neither more nor less is booked on it."""
    booked = settled(CommissionState.DECLINED, 490)
    assert bookings([wanted(900)], booked) == bookings([], booked) == []


def test_a_held_commission_stays_held_while_its_amount_follows() -> None:
    """Only the amount changes; the person who stopped it decides on."""
    assert amounts(bookings([wanted(400)], settled(CommissionState.HOLD, 490))) == [(0, -90, 400, CommissionState.HOLD)]
    assert amounts(bookings([], settled(CommissionState.HOLD, 490))) == [(0, -490, 0, CommissionState.HOLD)]


def test_an_instalment_whose_day_is_put_off_waits_for_it_again() -> None:
    """Pending since its old day, it is scheduled for the new one; brought forward, approved or adjusting, it stays."""
    first, later = (replace(wanted(490), due_at=NOON + timedelta(days=days)) for days in (0, 30))
    less = replace(later, amount_minor=400)

    def booked_for(asked: Desired, state: CommissionState) -> list[Commission]:
        return [replace(c, state=state) for c in written([], bookings([asked], []))]

    pending = booked_for(first, CommissionState.PENDING)
    assert amounts(bookings([later], pending)) == [(0, 0, 490, CommissionState.SCHEDULED)]
    assert amounts(bookings([less], pending)) == [(0, -90, 400, CommissionState.SCHEDULED)]
    forward = booked_for(later, CommissionState.PENDING)
    assert amounts(bookings([first], forward)) == [(0, 0, 490, CommissionState.PENDING)]
    approved = booked_for(first, CommissionState.APPROVED)
    adjusted = written(approved, bookings([replace(first, amount_minor=450)], approved))
    assert bookings([later], approved) == []
    assert amounts(bookings([less], adjusted)) == [(1, -50, -90, CommissionState.PENDING)]


def test_an_open_commission_says_what_is_known_now() -> None:
    """With the amount right and the member not, an entry of zero puts it right, once; a settled one stands."""
    booked = written([], bookings([wanted(490)], []))
    (entry,) = bookings([wanted(490, member="ann")], booked)
    assert (entry.amount_minor, entry.balance_minor, entry.state) == (0, 490, CommissionState.PENDING)
    assert bookings([wanted(490, member="ann")], written(booked, [entry])) == []
    assert bookings([wanted(490, member="ann")], settled(CommissionState.PAID, 490)) == []


_claimants = st.builds(
    Claimant,
    st.sampled_from(["inbox", "all"]),
    st.just("stripe:in_1"),
    st.sampled_from([None, "sub_1/prod_inbox"]),
    st.sampled_from(["ada", "bob"]),
    st.sampled_from(["usd", "jpy"]),
)
_desired = st.lists(
    st.builds(
        lambda claimant, amount, version: wanted(amount, claimant, version=version),
        _claimants,
        st.integers(-500, 500).filter(bool),
        st.integers(1, 3),
    ),
    unique_by=lambda d: d.claimant,
)
_moves = st.dictionaries(st.integers(0, 7), st.sampled_from(list(CommissionState)), max_size=3)


@given(st.lists(st.tuples(_desired, _moves), max_size=5))
def test_booking_twice_books_once(rounds: list[tuple[list[Desired], dict[int, CommissionState]]]) -> None:
    """After any history of wishes and decisions, the books say what is desired, and the same wish adds nothing."""
    booked: list[Commission] = []
    for desired, moves in rounds:
        booked = written(booked, bookings(desired, booked))
        assert bookings(desired, booked) == bookings(list(reversed(desired)), list(reversed(booked))) == []
        declined = {c.claimant for c in booked if c.state is CommissionState.DECLINED}
        for claimant in {c.claimant for c in booked} - declined:
            total = sum(c.amount_minor for c in booked if c.claimant == claimant)
            assert total == next((d.amount_minor for d in desired if d.claimant == claimant), 0)
        booked = [
            replace(c, state=moves.get(n, c.state)) if c.amount_minor or n not in moves else c
            for n, c in enumerate(booked)
        ]


# What moves a commission besides facts.

LEGAL = {
    CommissionState.SCHEDULED: "hold declined",
    CommissionState.PENDING: "approved hold declined",
    CommissionState.HOLD: "pending approved declined",
    CommissionState.APPROVED: "paid",
    CommissionState.PAID: "",
    CommissionState.DECLINED: "",
    CommissionState.REVERSED: "",
}


@pytest.mark.parametrize("state", CommissionState)
def test_a_person_makes_legal_moves_only(state: CommissionState) -> None:
    """Each state has its moves; any other is refused, naming the field and what would be legal."""
    commission = settled(state, 490)[0]
    for to in CommissionState:
        reason = "fraud" if to is CommissionState.DECLINED else None
        if to in LEGAL[state].split():
            assert move(commission, to, reason) is to
            continue
        with pytest.raises(Rejected) as caught:
            move(commission, to, reason)
        assert caught.value.field == "reward_status"
        legal = sorted(LEGAL[state].split())
        allowed = f"it can become {listed(legal)}" if legal else "nothing moves it"
        assert str(caught.value) == f"a commission that is {state} cannot become {to}; {allowed}"


@pytest.mark.parametrize("reason", [None, "", "   "])
def test_declining_needs_a_reason(reason: str | None) -> None:
    """The partner sees it, so white space is none."""
    with pytest.raises(Rejected) as caught:
        move(settled(CommissionState.PENDING, 490)[0], CommissionState.DECLINED, reason)
    assert caught.value.field == "decline_reason"
    assert str(caught.value) == "a commission is declined with a reason that the partner sees"


def test_a_reason_belongs_to_declining_and_has_an_end() -> None:
    """500 characters are enough; approving takes none."""
    pending = settled(CommissionState.PENDING, 490)[0]
    assert move(pending, CommissionState.DECLINED, "x" * 500) is CommissionState.DECLINED
    for to, reason in ((CommissionState.DECLINED, "x" * 501), (CommissionState.APPROVED, "well done")):
        with pytest.raises(Rejected) as caught:
            move(pending, to, reason)
        assert caught.value.field == "decline_reason"
        assert str(caught.value) == "belongs to declining alone, in at most 500 characters"


def dripped(state: CommissionState, due_at: datetime | None) -> Commission:
    """A commission earned at noon on 1 March, due when it is said."""
    particulars = replace(wanted(490), due_at=due_at).particulars
    return Commission("cmsn_1", OF_LINE, 0, state, 490, particulars)


DUE = datetime(2026, 4, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_an_instalment_is_pending_from_its_day() -> None:
    """Not a second earlier; without a hold period nothing more happens."""
    waiting = dripped(CommissionState.SCHEDULED, DUE)
    assert released(waiting, DUE - SECOND, None) is CommissionState.SCHEDULED
    assert released(waiting, DUE, None) is CommissionState.PENDING
    assert released(waiting, DUE + timedelta(days=400), None) is CommissionState.PENDING


def test_the_hold_period_ends_in_approval() -> None:
    """So many days after it was earned or, if that is later, fell due; zero days approve at once."""
    at_once, later = dripped(CommissionState.PENDING, None), dripped(CommissionState.PENDING, DUE)
    two_weeks = timedelta(days=14)
    assert released(at_once, NOON + two_weeks - SECOND, 14) is CommissionState.PENDING
    assert released(at_once, NOON + two_weeks, 14) is CommissionState.APPROVED
    assert released(later, NOON + two_weeks, 14) is CommissionState.PENDING
    assert released(later, DUE + two_weeks, 14) is CommissionState.APPROVED
    assert released(dripped(CommissionState.SCHEDULED, DUE), DUE, 0) is CommissionState.APPROVED
    assert released(dripped(CommissionState.PENDING, NOON - two_weeks), NOON, 0) is CommissionState.APPROVED
    assert released(dripped(CommissionState.PENDING, NOON - two_weeks), NOON - SECOND, 0) is CommissionState.PENDING


@pytest.mark.parametrize("state", [s for s in CommissionState if s not in ("scheduled", "pending")])
def test_the_calendar_moves_nothing_else(state: CommissionState) -> None:
    """What a person stopped, settled or paid waits for no day."""
    assert released(dripped(state, DUE), DUE + timedelta(days=400), 0) is state
    bare = replace(dripped(CommissionState.SCHEDULED, DUE), particulars=None)
    assert released(bare, DUE, 0) is CommissionState.SCHEDULED


def test_an_instalment_is_booked_as_scheduled_and_what_adjusts_it_is_not() -> None:
    """Taken back and asked for again it waits for its day once more; a clawback of one that was paid does not."""
    asked = replace(wanted(490), due_at=DUE)
    first = bookings([asked], [])
    assert amounts(first) == [(0, 490, 490, CommissionState.SCHEDULED)]
    gone = written(written([], first), bookings([], written([], first)))
    assert amounts(bookings([asked], gone)) == [(0, 490, 490, CommissionState.SCHEDULED)]
    paid = [replace(c, state=CommissionState.PAID) for c in written([], first)]
    (adjusting,) = bookings([replace(asked, amount_minor=400)], paid)
    assert amounts([adjusting]) == [(1, -90, -90, CommissionState.PENDING)]
    assert adjusting.adjusts == paid[0].key


def test_an_adjustment_that_was_declined_counts_as_made() -> None:
    """The company forgave it: only what is taken back after it is booked, as a part of its own."""
    paid = settled(CommissionState.PAID, 490)
    books = written(paid, bookings([wanted(390)], paid))
    forgiven = [replace(c, state=CommissionState.DECLINED) if c.part else c for c in books]
    assert bookings([wanted(390)], forgiven) == []
    assert amounts(bookings([wanted(300)], forgiven)) == [(2, -90, -90, CommissionState.PENDING)]


def test_only_what_was_earned_on_a_payment_names_a_transaction() -> None:
    """Another occasion's key is nobody's transaction, whatever it looks like, and makes another commission."""
    joined = replace(OF_LINE, event=TriggerEvent.PARTNER_JOINED)
    assert (OF_LINE.transaction_key, joined.transaction_key) == ("stripe:in_1", None)
    keys = {entry.commission_key for c in (OF_LINE, joined) for entry in bookings([wanted(1, c)], [])}
    assert len(keys) == 2
