"""What must hold of the books at any moment, as named functions; each says what it means when one fails.

The tests, the simulator and a scheduled check run the same functions. Nothing here repairs: a breach is a fault in the
program, in the database, or in what a person did to it by hand.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from domain import ids
from domain.books import BookedCommission, Books, Cause, LineRef
from domain.commissions import OPEN_STATES, CommissionState
from domain.money import format_money

#: How long an instalment may stay scheduled after its day, or after it was booked if that was later.
RELEASE_GRACE = timedelta(hours=1)
#: How long an inbox row may be due before somebody should have taken it.
INBOX_GRACE = timedelta(minutes=15)

#: What is wrong: its subject's key, and a sentence.
Complaint = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that does not hold."""

    #: The name of the function in `ALL` that found it; its docstring says what it indicates.
    invariant: str
    #: The key of what is wrong.
    subject: str
    message: str


#: What does not hold of the books as of a moment.
Invariant = Callable[[Books, datetime], Iterator[Complaint]]


def breaches(books: Books, as_of: datetime) -> list[Breach]:
    """Everything that does not hold, by invariant in the order of `ALL`."""
    return [Breach(each.__name__, *complaint) for each in ALL for complaint in each(books, as_of)]


# The ledger.


def a_commission_is_the_sum_of_its_entries(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that a commission was changed without an entry, or an entry was written on its own."""
    sums: Counter[str] = Counter()
    for entry in books.entries:
        sums[entry.commission_key] += entry.amount_minor
    for commission in books.commissions:
        if commission.key not in sums:
            yield commission.key, "it has no entry"
        elif commission.amount_minor != sums[commission.key]:
            yield commission.key, f"it amounts to {commission.amount_minor}, its entries to {sums[commission.key]}"
    for key in sorted(sums.keys() - {commission.key for commission in books.commissions}):
        yield key, "it has entries, and there is no such commission"


def balances_run(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates a lost, doubled or altered entry, or two writers that each added to the same balance."""
    balances: dict[str, tuple[int, int]] = {}
    for entry in sorted(books.entries, key=lambda entry: (entry.commission_key, entry.seq)):
        seq, balance_minor = balances.get(entry.commission_key, (0, 0))
        if entry.seq != seq + 1:
            yield entry.commission_key, f"entry {entry.seq} follows entry {seq}"
        if entry.balance_minor != balance_minor + entry.amount_minor:
            yield (
                entry.commission_key,
                f"entry {entry.seq} adds {entry.amount_minor} to {balance_minor} and says {entry.balance_minor}",
            )
        balances[entry.commission_key] = entry.seq, entry.balance_minor


def every_entry_says_something(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that deciding again wrote again: processing twice is no longer free."""
    for entry in books.entries:
        if entry.amount_minor == 0:
            yield entry.commission_key, f"entry {entry.seq} is one of zero"


# Keys and parts.


def a_cause_has_one_commission(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that somebody was paid twice: two deliveries, or two workers, each made a commission."""
    seen: dict[tuple[Cause, int], str] = {}
    keys: set[str] = set()
    for commission in books.commissions:
        other = seen.setdefault((commission.cause, commission.part), commission.key)
        if other != commission.key:
            yield commission.key, f"it has the same cause as {other}"
        elif commission.key in keys:
            yield commission.key, "it is there twice"
        keys.add(commission.key)


def a_key_is_derived_from_its_cause(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates a commission written by hand, or a change to what keys are derived from.

    The next booking would not find the commission under the key it expects, and make a second one.
    """
    for c in books.commissions:
        derived = ids.commission_key(
            c.trigger_key, c.occasion_key, c.line_key, c.partner_key, c.currency, c.instalment, c.part, c.event
        )
        if c.key != derived:
            yield c.key, f"its cause gives the key {derived}"


def parts_are_numbered_without_a_gap(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that a commission was deleted, or that a booking did not see all that was booked."""
    for parts in _by_cause(books).values():
        for place, commission in enumerate(parts):
            if commission.part > place:
                yield commission.key, f"it is part {commission.part}, and there is no part {place}"
                break


def an_adjustment_names_what_it_adjusts(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates a clawback that no statement can offset, or one of something never approved."""
    for parts in _by_cause(books).values():
        first = parts[0]
        for commission in parts:
            if (commission.part > 0) != (commission.adjusts is not None):
                yield commission.key, f"it is part {commission.part} and adjusts {commission.adjusts or 'nothing'}"
            elif commission.part > 0 and commission.adjusts != first.key:
                yield commission.key, f"it adjusts {commission.adjusts}, which is not its own first part"
            elif commission.part > 0 and first.state not in (CommissionState.APPROVED, CommissionState.PAID):
                yield commission.key, f"it adjusts {first.key}, which is {first.state}"


def only_the_last_part_is_open(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that an adjustment was made where the commission itself should have been changed."""
    for parts in _by_cause(books).values():
        for commission, following in pairwise(parts):
            if commission.state in OPEN_STATES and following.part > commission.part:
                yield commission.key, f"it is {commission.state}, and {following.key} was made after it"


# States.


def states_are_reachable(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that something moved a commission past the legal moves, or left half of a move undone."""
    for commission in books.commissions:
        if (complaint := _state_complaint(commission)) is not None:
            yield commission.key, complaint


def _state_complaint(commission: BookedCommission) -> str | None:
    state = commission.state
    if state not in list(CommissionState):
        return f"{state} is not a state"
    if state == CommissionState.REVERSED and commission.amount_minor != 0:
        return f"it is reversed and amounts to {commission.amount_minor}"
    if state == CommissionState.SCHEDULED and commission.due_at is None:
        return "it is scheduled without a due date"
    declined = state == CommissionState.DECLINED
    if declined != bool((commission.decline_reason or "").strip()):
        return "it is declined without a reason" if declined else f"it is {state} and has a decline reason"
    return None


# Money against what it was earned on.


def earned_on_what_was_paid(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates commissions left standing on a payment or line that is gone, or was described anew."""
    shares = _shares(books)
    for parts, amount_minor in _following(books):
        place = parts[0].earned_on
        if place is not None and amount_minor and place not in shares:
            what = "no such transaction" if (place[0], None) not in shares else f"no line {place[1]} in it"
            yield parts[0].key, f"it was earned on {place[0]}, and there is {what}"


def no_charge_costs_and_no_credit_earns(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that more was taken back of a commission than was booked, or a credit was paid like a charge.

    The parts of a commission on a charge add up to nothing or more, those on a credit to nothing or less.
    """
    shares = _shares(books)
    for parts, amount_minor in _following(books):
        place = parts[0].earned_on
        # Other occasions pay, or are undone; nothing is a credit on them.
        least, most = (0, 1) if place is None else shares.get(place, (-1, 1))
        if amount_minor < 0 <= least:
            over = format_money(-amount_minor, parts[0].currency)
            yield parts[0].key, f"its parts take back {over} more than was booked"
        if most <= 0 < amount_minor:
            earned = format_money(amount_minor, parts[0].currency)
            yield parts[0].key, f"it was earned on no charge, and its parts add up to {earned}"


def credits_never_exceed_their_charge(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that credits took more commission back than the charge they credit had earned."""
    shares, charges = _shares(books), _charges(books)
    left: Counter[tuple[LineRef, str, str, str]] = Counter()
    takers: dict[tuple[LineRef, str, str, str], str] = {}
    for parts, amount_minor in _following(books):
        first = parts[0]
        if (place := first.earned_on) is None:
            continue
        charge = charges.get(place, place) if amount_minor < 0 else place
        account = (charge, first.trigger_key, first.partner_key, first.currency)
        left[account] += amount_minor
        if amount_minor < 0 and shares.get(place, (0, 0))[0] < 0:
            takers.setdefault(account, first.key)
    for account, key in takers.items():
        if left[account] < 0:
            (transaction, line), *_, currency = account
            over = format_money(-left[account], currency)
            yield key, f"credits of {line or 'all'} in {transaction} took {over} more than it earned"


def a_line_is_reversed_at_most_once_over(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that one refund was counted twice, or that a credit was reversed."""
    for transaction in books.transactions:
        for line in transaction.lines:
            most = max(0, line.gross_minor - line.discount_minor)
            if not 0 <= line.reversed_minor <= most:
                yield f"{transaction.key} {line.key}", f"{line.reversed_minor} of at most {most} is reversed"


def another_currency_is_a_flat_amount(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates a percentage taken in a currency that nobody paid in."""
    currencies = {transaction.key: transaction.currency for transaction in books.transactions}
    for commission in books.commissions:
        paid_in = currencies.get(commission.occasion_key, commission.currency)
        if commission.earned_on is not None and commission.currency != paid_in and not commission.flat:
            yield commission.key, f"it is a percentage in {commission.currency} of a payment in {paid_in}"


# Time.


def nothing_scheduled_is_overdue(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that the chore which releases instalments does not run, or skips some."""
    booked_at: dict[str, datetime] = {}
    for entry in books.entries:
        last = booked_at.setdefault(entry.commission_key, entry.booked_at)
        booked_at[entry.commission_key] = max(last, entry.booked_at)
    for commission in books.commissions:
        if commission.state == CommissionState.SCHEDULED and commission.due_at is not None:
            since = max(commission.due_at, booked_at.get(commission.key, commission.due_at))
            if since + RELEASE_GRACE < as_of:
                yield commission.key, f"it is scheduled, and was due at {commission.due_at.isoformat()}"


def every_open_row_is_due_and_taken(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates events that nobody will ever look at, or that the sweep and the workers have stopped."""
    for rows in books.inbox:
        subject = f"{rows.provider} {rows.state}"
        if rows.state in ("received", "waiting"):
            if rows.not_due_count:
                yield subject, f"{rows.not_due_count} of {rows.count} will never be due"
            if rows.due_at is not None and rows.due_at + INBOX_GRACE < as_of:
                yield subject, f"the oldest of {rows.count} has been due since {rows.due_at.isoformat()}"
        elif rows.state not in ("processed", "ignored", "dead"):
            yield subject, f"{rows.state} is not a state"
        elif rows.not_due_count != rows.count:
            yield subject, f"{rows.count - rows.not_due_count} of {rows.count} are finished and still due"


def what_waits_or_failed_says_why(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates an event held up, given up or put aside, and nobody can tell what would help."""
    for rows in books.inbox:
        if rows.state in ("waiting", "ignored", "dead") and rows.no_reason_count:
            yield f"{rows.provider} {rows.state}", f"{rows.no_reason_count} of {rows.count} say no reason"


# What is shown at a glance.


def tallies_are_what_counting_gives(books: Books, as_of: datetime) -> Iterator[Complaint]:
    """A failure indicates that rows were loaded or changed while the tallying triggers were asleep, as by a restore.

    Nothing that is paid depends on it; the status and the first page show wrong numbers.
    """
    for each in books.tallies:
        for what, tallied, found in zip(("rows", "in minor units"), each.tallied, each.found, strict=True):
            if tallied != found:
                subject = " ".join(filter(None, (each.counted, each.state, each.currency)))
                yield subject, f"{tallied} {what} are tallied, and counting gives {found}; {_COUNT_ANEW}"


_COUNT_ANEW = 'count anew by the SQL under "Backup and restore" in docs/operations.md'

ALL: tuple[Invariant, ...] = (
    a_commission_is_the_sum_of_its_entries,
    balances_run,
    every_entry_says_something,
    a_cause_has_one_commission,
    a_key_is_derived_from_its_cause,
    parts_are_numbered_without_a_gap,
    an_adjustment_names_what_it_adjusts,
    only_the_last_part_is_open,
    states_are_reachable,
    earned_on_what_was_paid,
    no_charge_costs_and_no_credit_earns,
    credits_never_exceed_their_charge,
    a_line_is_reversed_at_most_once_over,
    another_currency_is_a_flat_amount,
    nothing_scheduled_is_overdue,
    every_open_row_is_due_and_taken,
    what_waits_or_failed_says_why,
    tallies_are_what_counting_gives,
)


def _by_cause(books: Books) -> Mapping[Cause, list[BookedCommission]]:
    """The parts of each commission, in order."""
    found: defaultdict[Cause, list[BookedCommission]] = defaultdict(list)
    for commission in sorted(books.commissions, key=lambda commission: commission.part):
        found[commission.cause].append(commission)
    return found


def _following(books: Books) -> Iterator[tuple[list[BookedCommission], int]]:
    """The parts of each commission that follows the facts, with their sum: one that was declined stands as it is."""
    for parts in _by_cause(books).values():
        if parts[0].state != CommissionState.DECLINED:
            yield parts, sum(part.amount_minor for part in parts)


def _shares(books: Books) -> dict[LineRef, tuple[int, int]]:
    """The lesser and the greater of what each line, and each whole transaction, was worth net and gross, as paid."""
    found: dict[LineRef, tuple[int, int]] = {}
    for transaction in books.transactions:
        worth = [(line.gross_minor - line.discount_minor, line.gross_minor) for line in transaction.lines]
        whole = sum(net for net, _ in worth), sum(gross for _, gross in worth)
        found[transaction.key, None] = min(whole), max(whole)
        found |= {(transaction.key, line.key): (min(each), max(each))
                  for line, each in zip(transaction.lines, worth, strict=True)}  # fmt: skip
    return found


def _charges(books: Books) -> dict[LineRef, LineRef]:
    """The charge that each credit takes back."""
    found: dict[LineRef, LineRef] = {}
    for transaction in books.transactions:
        if transaction.credits is not None:
            found[transaction.key, None] = (transaction.credits, None)
        found |= {(transaction.key, line.key): line.credits for line in transaction.lines if line.credits is not None}
    return found
