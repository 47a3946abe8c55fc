"""Books that hold, and for each invariant books that break it and nothing else."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import ids, invariants
from domain.books import BookedCommission, BookedEntry, BookedLine, BookedTransaction, Books, InboxRows, Tallied
from domain.invariants import INBOX_GRACE, RELEASE_GRACE, Breach, breaches

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)

#: Two charges and a credit that takes back from the first.
PAID = (
    BookedTransaction("in_1", "usd", (BookedLine("inbox", 12000, 2100, 9900), BookedLine("chat", 4900, 0))),
    BookedTransaction("in_2", "usd", (BookedLine("inbox", -5000, 0, credits=("in_1", "inbox")),), credits="in_1"),
)


def commission(amount: int, occasion: str = "in_1", line: str | None = "inbox", **more: Any) -> BookedCommission:
    """A commission under its own key; `part` 1 and up adjusts the first part."""
    said: dict[str, Any] = {
        "trigger_key": "t",
        "event": "transaction_created",
        "partner_key": "ada",
        "currency": "usd",
        "instalment": 0,
        "part": 0,
        "state": "pending",
        **more,
    }
    first, key = (
        ids.commission_key("t", occasion, line, "ada", said["currency"], said["instalment"], part, said["event"])
        for part in (0, said["part"])
    )
    said = {"key": key, "adjusts": first if said["part"] else None, **said}
    return BookedCommission(occasion_key=occasion, line_key=line, amount_minor=amount, **said)


def entry(of: BookedCommission, amount: int, seq: int = 1, balance: int | None = None) -> BookedEntry:
    """An entry of a commission; the first one's balance is its amount."""
    return BookedEntry(of.key, seq, amount, amount if balance is None else balance, NOON)


def books(*commissions: BookedCommission, transactions: Iterable[BookedTransaction] = PAID) -> Books:
    """Books in which each commission was booked at once."""
    return Books(commissions, tuple(entry(each, each.amount_minor) for each in commissions), tuple(transactions))


def found(checked: Books, as_of: datetime = NOON) -> list[tuple[str, str]]:
    """(invariant, message) of each breach."""
    return [(breach.invariant, breach.message) for breach in breaches(checked, as_of)]


PAID_OUT = commission(1980, state="paid")
CLAWBACK = commission(-990, part=1)
CREDIT = commission(-990, "in_2")
RISEN = commission(300, line="chat")
RISEN_ENTRIES = (entry(RISEN, 490), entry(RISEN, -190, 2, 300))
GONE = commission(0, line="chat", instalment=1, state="reversed")
GONE_ENTRIES = (entry(GONE, 490), entry(GONE, -490, 2, 0))
#: A credit that takes nothing any more.
SPARED = commission(0, "in_2", instalment=1, state="reversed")
SPARED_ENTRIES = (entry(SPARED, -5), entry(SPARED, 5, 2, 0))


def sound() -> Books:
    """Books of every kind of commission, all of them in order."""
    whole = commission(500, line=None, flat=True, currency="eur", state="approved")
    dripping = commission(50, line="chat", instalment=2, state="scheduled", due_at=NOON)
    declined = commission(-7, line="chat", instalment=3, state="declined", decline_reason="a friend")
    welcome = commission(100, "ada", None, event="partner_joined", state="hold")
    booked = books(PAID_OUT, CLAWBACK, CREDIT, whole, dripping, declined, welcome)
    return replace(
        booked,
        commissions=(*booked.commissions, RISEN, GONE, SPARED),
        entries=(*RISEN_ENTRIES, *booked.entries, *GONE_ENTRIES, *SPARED_ENTRIES),
        inbox=(
            InboxRows("stripe", "received", 3, NOON),
            InboxRows("stripe", "waiting", 2, NOON + DAY),
            InboxRows("stripe", "processed", 9, not_due_count=9, no_reason_count=9),
            InboxRows("stripe", "ignored", 2, not_due_count=2),
            InboxRows("stripe", "dead", 1, not_due_count=1),
        ),
    )


def with_line(**changes: Any) -> Books:
    """A payment of one line, changed."""
    return Books(transactions=(BookedTransaction("in_1", "usd", (replace(BookedLine("l", 100, 10), **changes),)),))


def with_rows(**changes: Any) -> Books:
    """An inbox of rows that wait, changed."""
    rows: dict[str, Any] = {"provider": "stripe", "state": "waiting", "count": 3, "due_at": NOON}
    return Books(inbox=(InboxRows(**rows | changes),))


def test_sound_books_hold() -> None:
    """Books of every state, with drips, adjustments, credits and occasions, break nothing."""
    assert breaches(sound(), NOON) == []
    assert breaches(Books(), NOON) == []


#: Invariants that are named often.
SUMS = "a_commission_is_the_sum_of_its_entries"
ADJUSTS = "an_adjustment_names_what_it_adjusts"
CREDITS = "credits_never_exceed_their_charge"
SIGNS = "no_charge_costs_and_no_credit_earns"
ROWS = "every_open_row_is_due_and_taken"
REASONS = "what_waits_or_failed_says_why"
TALLIES = "tallies_are_what_counting_gives"
TALLIED_NOT = "are tallied, and counting gives"
TALLIED = Tallied("commissions", "pending", "usd", (2, 900), (2, 900))
COUNT_ANEW = 'count anew by the SQL under "Backup and restore" in docs/operations.md'
RUN = "balances_run"
LINES = "a_line_is_reversed_at_most_once_over"

#: Each with the invariant it breaks and what is said of it.
BROKEN: list[tuple[str, Books, str]] = [
    (SUMS, replace(books(RISEN), entries=(entry(RISEN, 301),)), "it amounts to 300, its entries to 301"),
    (SUMS, replace(books(GONE), entries=()), "it has no entry"),
    (SUMS, Books(entries=(entry(RISEN, 5),)), "it has entries, and there is no such commission"),
    (
        RUN,
        replace(books(RISEN), entries=(entry(RISEN, 490), entry(RISEN, -190, 2, 299))),
        "entry 2 adds -190 to 490 and says 299",
    ),
    (RUN, replace(books(RISEN), entries=(entry(RISEN, 490), entry(RISEN, -190, 3, 300))), "entry 3 follows entry 1"),
    (RUN, replace(books(RISEN), entries=(replace(entry(RISEN, 300), seq=2),)), "entry 2 follows entry 0"),
    (
        "every_entry_says_something",
        replace(books(RISEN), entries=(entry(RISEN, 300), entry(RISEN, 0, 2, 300))),
        "entry 2 is one of zero",
    ),
    (
        "parts_are_numbered_without_a_gap",
        books(PAID_OUT, commission(-5, part=1, state="paid"), commission(-5, part=3)),
        "it is part 3, and there is no part 2",
    ),
    (ADJUSTS, books(PAID_OUT, replace(CLAWBACK, adjusts=None)), "it is part 1 and adjusts nothing"),
    (ADJUSTS, books(replace(PAID_OUT, adjusts="cmsn_0")), "it is part 0 and adjusts cmsn_0"),
    (
        ADJUSTS,
        books(PAID_OUT, replace(CLAWBACK, adjusts=CREDIT.key), CREDIT),
        f"it adjusts {CREDIT.key}, which is not its own first part",
    ),
    (
        ADJUSTS,
        books(replace(PAID_OUT, state="declined", decline_reason="no"), CLAWBACK),
        f"it adjusts {PAID_OUT.key}, which is declined",
    ),
    (
        "only_the_last_part_is_open",
        books(PAID_OUT, CLAWBACK, commission(-5, part=2)),
        f"it is pending, and {commission(-5, part=2).key} was made after it",
    ),
    ("states_are_reachable", books(commission(5, state="settled")), "settled is not a state"),
    ("states_are_reachable", books(commission(5, state="reversed")), "it is reversed and amounts to 5"),
    ("states_are_reachable", books(commission(5, state="scheduled")), "it is scheduled without a due date"),
    ("states_are_reachable", books(commission(5, state="declined")), "it is declined without a reason"),
    (
        "states_are_reachable",
        books(commission(5, state="declined", decline_reason=" ")),
        "it is declined without a reason",
    ),
    (
        "states_are_reachable",
        books(commission(5, state="hold", decline_reason="no")),
        "it is hold and has a decline reason",
    ),
    (
        "earned_on_what_was_paid",
        books(commission(5), transactions=()),
        "it was earned on in_1, and there is no such transaction",
    ),
    (
        "earned_on_what_was_paid",
        books(commission(5, line="gone")),
        "it was earned on in_1, and there is no line gone in it",
    ),
    (SIGNS, books(PAID_OUT, commission(-1981, part=1)), "its parts take back 0.01 USD more than was booked"),
    (
        SIGNS,
        books(commission(-5, "cust_1", None, event="customer_created")),
        "its parts take back 0.05 USD more than was booked",
    ),
    (SIGNS, books(commission(-5, line=None)), "its parts take back 0.05 USD more than was booked"),
    (SIGNS, books(PAID_OUT, commission(5, "in_2")), "it was earned on no charge, and its parts add up to 0.05 USD"),
    (CREDITS, books(PAID_OUT, commission(-1981, "in_2")), "credits of inbox in in_1 took 0.01 USD more than it earned"),
    (
        CREDITS,
        books(commission(90, line=None), commission(-100, "in_2", None)),
        "credits of all in in_1 took 0.10 USD more than it earned",
    ),
    (
        CREDITS,
        books(replace(PAID_OUT, state="declined", decline_reason="no"), CREDIT),
        "credits of inbox in in_1 took 9.90 USD more than it earned",
    ),
    (
        SIGNS,
        Books((commission(-5), SPARED), (entry(commission(-5), -5), *SPARED_ENTRIES), PAID),
        "its parts take back 0.05 USD more than was booked",
    ),
    (
        "earned_on_what_was_paid",
        books(commission(-5), transactions=()),
        "it was earned on in_1, and there is no such transaction",
    ),
    (LINES, with_line(reversed_minor=91), "91 of at most 90 is reversed"),
    (LINES, with_line(reversed_minor=-1), "-1 of at most 90 is reversed"),
    (LINES, with_line(gross_minor=-100, discount_minor=0, reversed_minor=1), "1 of at most 0 is reversed"),
    (
        "another_currency_is_a_flat_amount",
        books(commission(5, currency="eur")),
        "it is a percentage in eur of a payment in usd",
    ),
    (ROWS, with_rows(not_due_count=2), "2 of 3 will never be due"),
    (
        ROWS,
        with_rows(state="received", due_at=NOON - INBOX_GRACE - TICK),
        "the oldest of 3 has been due since 2026-03-01T11:44:59.999999+00:00",
    ),
    (ROWS, with_rows(state="processing"), "processing is not a state"),
    (ROWS, with_rows(state="dead", not_due_count=2), "1 of 3 are finished and still due"),
    (REASONS, with_rows(no_reason_count=1), "1 of 3 say no reason"),
    (REASONS, with_rows(state="ignored", not_due_count=3, no_reason_count=2), "2 of 3 say no reason"),
    (REASONS, with_rows(state="dead", not_due_count=3, no_reason_count=3), "3 of 3 say no reason"),
    (TALLIES, Books(tallies=(TALLIED, replace(TALLIED, tallied=(3, 900)))), f"3 rows {TALLIED_NOT} 2; {COUNT_ANEW}"),
    (TALLIES, Books(tallies=(replace(TALLIED, found=(2, 1)),)), f"900 in minor units {TALLIED_NOT} 1; {COUNT_ANEW}"),
    (
        "nothing_scheduled_is_overdue",
        books(commission(5, state="scheduled", due_at=NOON - 9 * DAY)),
        "it is scheduled, and was due at 2026-02-20T12:00:00+00:00",
    ),
    ("a_key_is_derived_from_its_cause", books(replace(RISEN, key="cmsn_1")), f"its cause gives the key {RISEN.key}"),
]
#: When the books of this invariant are looked at; the others' at noon.
LATER = {"nothing_scheduled_is_overdue": NOON + RELEASE_GRACE + TICK}


@pytest.mark.parametrize(("invariant", "broken", "message"), BROKEN)
def test_each_invariant_finds_what_breaks_it_and_no_other_does(invariant: str, broken: Books, message: str) -> None:
    """Books that break one invariant are found by that one alone, which says what is wrong."""
    assert found(broken, LATER.get(invariant, NOON)) == [(invariant, message)]


def test_two_commissions_of_one_cause_are_found() -> None:
    """A second commission of the same cause is found under whatever key; so is one stored twice."""
    under_another_key = books(RISEN, replace(RISEN, key="cmsn_2"))
    assert found(under_another_key) == [
        ("a_cause_has_one_commission", f"it has the same cause as {RISEN.key}"),
        ("a_key_is_derived_from_its_cause", f"its cause gives the key {RISEN.key}"),
    ]
    checked = invariants.a_cause_has_one_commission(books(RISEN, RISEN), NOON)
    assert list(checked) == [(RISEN.key, "it is there twice")]


def test_a_tally_is_named_by_what_it_counts() -> None:
    """What is counted, its state and, of commissions, its currency; a kind that is wrong twice is said twice."""
    wrong = (replace(TALLIED, found=(0, 0)), Tallied("events", "ignored", None, (0, 0), (1, 0)))
    subjects = [subject for subject, _ in invariants.tallies_are_what_counting_gives(Books(tallies=wrong), NOON)]
    assert subjects == ["commissions pending usd", "commissions pending usd", "events ignored"]


def test_a_part_without_a_first_is_a_gap() -> None:
    """An adjustment of nothing is a gap at zero."""
    gaps = invariants.parts_are_numbered_without_a_gap(books(CLAWBACK), NOON)
    assert list(gaps) == [(CLAWBACK.key, "it is part 1, and there is no part 0")]


def test_the_parts_of_one_commission_are_counted_apart_from_anothers() -> None:
    """Trigger, event, occasion, line, partner, currency and instalment each make another commission."""
    others = [
        replace(RISEN, trigger_key="u"), replace(RISEN, event="product_created"), replace(RISEN, occasion_key="in_9"),
        replace(RISEN, line_key=None), replace(RISEN, partner_key="bob"), replace(RISEN, currency="eur"),
        replace(RISEN, instalment=1),
    ]  # fmt: skip
    checked = Books(tuple(replace(each, key=str(number)) for number, each in enumerate([RISEN, *others])))
    assert list(invariants.a_cause_has_one_commission(checked, NOON)) == []
    assert len({each.cause for each in checked.commissions}) == len(checked.commissions)


def test_books_may_be_read_in_any_order() -> None:
    """Balances run by the entries' own numbers, and adjustments by their parts, in whatever order they were read."""
    read = sound()
    turned = replace(read, entries=read.entries[::-1], commissions=read.commissions[::-1])
    assert breaches(turned, NOON) == []


def test_entries_of_nothing_are_named_in_order() -> None:
    """Entries without a commission are complained of in the order of its key."""
    keys = [f"cmsn_{number}" for number in range(10, 22)]
    lost = Books(entries=tuple(replace(entry(RISEN, 5), commission_key=key) for key in reversed(keys)))
    assert [breach.subject for breach in breaches(lost, NOON)] == keys


@pytest.mark.parametrize("line", ["inbox", None])
@pytest.mark.parametrize(
    ("gross", "discount", "may_pay", "may_cost"),
    [(9, 9, True, False), (0, 0, False, False), (9, 10, True, True), (-9, -9, False, True), (-9, 0, False, True)],
)
def test_a_share_pays_or_costs_by_what_it_was_worth(
    gross: int, discount: int, may_pay: bool, may_cost: bool, line: str | None
) -> None:
    """What was worth something before or after discounts may pay, what was negative may cost, on a line or whole."""
    paid = [BookedTransaction("in_1", "usd", (BookedLine("inbox", gross, discount),))]
    for amount, may in ((5, may_pay), (-5, may_cost)):
        checked = books(commission(amount, line=line), transactions=paid)
        assert (list(invariants.no_charge_costs_and_no_credit_earns(checked, NOON)) == []) is may


def test_a_credit_of_nothing_known_takes_nothing() -> None:
    """A commission on a credit whose charge is not known has nothing to take back."""
    alone = [BookedTransaction("in_2", "usd", (BookedLine("inbox", -5000, 0),))]
    assert found(books(CREDIT, transactions=alone)) == [
        (CREDITS, "credits of inbox in in_2 took 9.90 USD more than it earned")
    ]


def test_credits_count_per_trigger_partner_and_currency() -> None:
    """What another trigger or partner earned on a charge does not make up for what a credit took."""
    others = (
        replace(PAID_OUT, trigger_key="u"),
        replace(PAID_OUT, partner_key="bob"),
        replace(PAID_OUT, currency="eur"),
    )
    for other in others:
        found_ones = list(invariants.credits_never_exceed_their_charge(books(other, CREDIT), NOON))
        assert [subject for subject, _ in found_ones] == [CREDIT.key]


def test_a_positive_whole_pays_for_itself_whatever_its_credit_lines_name() -> None:
    """A payment that is more than its credit lines is a charge: what it earned stands against its own credits."""
    upgrade = BookedTransaction("in_3", "usd", (BookedLine("more", 9000, 0),), credits="in_1")
    downgrade = BookedTransaction("in_4", "usd", (BookedLine("less", -9000, 0),), credits="in_3")
    wholes = [commission(500, occasion, None) for occasion in ("in_1", "in_3")]
    assert found(books(*wholes, commission(-500, "in_4", None), transactions=(*PAID, upgrade, downgrade))) == []


def test_instalments_of_a_charge_make_up_together_for_its_credits() -> None:
    """A charge paid in instalments covers a credit by their sum."""
    parts = [commission(495, instalment=number, state="paid") for number in (1, 2)]
    assert found(books(*parts, CREDIT)) == []
    assert [name for name, _ in found(books(parts[0], CREDIT))] == [CREDITS]


def test_a_declined_commission_stands_as_it_is() -> None:
    """What a person declined follows no facts: not those that it was earned on, nor their sign."""
    declined = {"state": "declined", "decline_reason": "no"}
    assert found(books(commission(-5, **declined), commission(5, "in_9", **declined))) == []


def test_an_instalment_has_an_hour_from_its_day_or_its_booking() -> None:
    """The grace of a scheduled instalment begins on its day, or when it was last booked on if that was later."""
    assert timedelta(hours=1) == RELEASE_GRACE
    late = books(commission(5, state="scheduled", due_at=NOON - DAY))
    assert found(late, NOON + RELEASE_GRACE) == []
    assert len(found(late, NOON + RELEASE_GRACE + TICK)) == 1
    due_later = books(commission(5, state="scheduled", due_at=NOON + DAY))
    assert found(due_later, NOON + DAY + RELEASE_GRACE) == []
    assert len(found(due_later, NOON + DAY + RELEASE_GRACE + TICK)) == 1
    changed = (replace(late.entries[0], booked_at=NOON - DAY), entry(late.commissions[0], 0, 2, 5))
    for order in (changed, changed[::-1]):
        again = invariants.nothing_scheduled_is_overdue(replace(late, entries=order), NOON + RELEASE_GRACE)
        assert list(again) == []


def test_rows_are_late_only_after_their_grace() -> None:
    """A row that has been due exactly as long as allowed is not late yet; one due later never is."""
    assert found(with_rows(due_at=NOON - INBOX_GRACE)) == []
    assert found(with_rows(due_at=NOON + 99 * DAY)) == []
    assert found(with_rows(state="received", due_at=None)) == []


def test_a_breach_names_its_invariant_and_its_subject() -> None:
    """Rows are named by provider and state, a line with its transaction."""
    (breach,) = breaches(with_rows(no_reason_count=1), NOON)
    assert breach == Breach(REASONS, "stripe waiting", "1 of 3 say no reason")
    assert [breach.subject for breach in breaches(with_line(reversed_minor=91), NOON)] == ["in_1 l"]


def test_every_invariant_is_listed_and_says_what_its_failure_indicates() -> None:
    """`ALL` has each public invariant once, and each opens with what a failure indicates."""
    own = {
        name
        for name, value in vars(invariants).items()
        if callable(value) and "as_of" in getattr(value, "__annotations__", {}) and name != "breaches"
    }
    names = [each.__name__ for each in invariants.ALL]
    assert set(names) == own
    assert len(names) == len(own)
    assert all((each.__doc__ or "").startswith("A failure indicates") for each in invariants.ALL)
    assert {invariant for invariant, _, _ in BROKEN} | {"a_cause_has_one_commission"} == own
