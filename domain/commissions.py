"""Commissions: what they should amount to, what is booked, and the entries that make up the difference.

Until a commission is approved its amount follows the facts through ledger entries. An approved or paid one is never
edited: what changes after that becomes a new commission that adjusts it. A declined one is settled: nothing follows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain import ids
from domain.errors import Rejected
from domain.fields import TriggerEvent
from domain.problems import listed


class CommissionState(StrEnum):
    """Where a commission stands."""

    #: An instalment whose day has not come, or was put off since. Its due date moves it to pending.
    SCHEDULED = "scheduled"
    #: Earned, not yet looked at. A person (or the hold period's end) approves, holds or declines it.
    PENDING = "pending"
    #: Stopped by a person, who alone moves it back or declines it.
    HOLD = "hold"
    #: Ready to be paid, its amount fixed. A payout moves it to paid.
    APPROVED = "approved"
    #: Paid out. Nothing moves it.
    PAID = "paid"
    #: Refused by a person, with a reason that the partner sees. Nothing follows it.
    DECLINED = "declined"
    #: Its amount fell to nothing before it was approved. New facts move it back to pending.
    REVERSED = "reversed"


#: States whose amount follows the facts.
OPEN_STATES = frozenset(
    {CommissionState.SCHEDULED, CommissionState.PENDING, CommissionState.HOLD, CommissionState.REVERSED}
)


#: Where a person may move a commission. Facts, due dates and the hold period's end move it elsewhere.
MOVES: Mapping[CommissionState, frozenset[CommissionState]] = {
    CommissionState.SCHEDULED: frozenset({CommissionState.HOLD, CommissionState.DECLINED}),
    CommissionState.PENDING: frozenset({CommissionState.APPROVED, CommissionState.HOLD, CommissionState.DECLINED}),
    CommissionState.HOLD: frozenset({CommissionState.PENDING, CommissionState.APPROVED, CommissionState.DECLINED}),
    CommissionState.APPROVED: frozenset({CommissionState.PAID}),
    CommissionState.PAID: frozenset(),
    CommissionState.DECLINED: frozenset(),
    CommissionState.REVERSED: frozenset(),
}

_REASON_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True, order=True)
class Claimant:
    """What makes two commissions the same one, whatever they amount to."""

    trigger_key: str
    #: What it was earned on: a transaction's key, else `domain.occasions`' key.
    occasion_key: str
    #: None: paid once on the whole transaction, or on another occasion.
    line_key: str | None
    partner_key: str
    currency: str
    #: 0: paid at once; 1.. of a drip.
    instalment: int = 0
    event: TriggerEvent = TriggerEvent.TRANSACTION_CREATED

    @property
    def transaction_key(self) -> str | None:
        """The transaction it was earned on; None for other occasions."""
        return self.occasion_key if self.event is TriggerEvent.TRANSACTION_CREATED else None


class Particulars(NamedTuple):
    """What a commission says besides its amount."""

    trigger_version: int
    member_key: str | None
    #: Our customer's key; None where the occasion is a partner's own.
    customer: str | None
    arithmetic: str
    offer: str | None
    earned_at: datetime
    #: When an instalment falls due; None: at once.
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Desired:
    """What one commission should amount to, given today's facts."""

    claimant: Claimant
    trigger_version: int
    member_key: str | None
    #: Our customer's key; None where the occasion is a partner's own.
    customer: str | None
    amount_minor: int
    #: `49.00 USD line x 10 % = 4.90 USD`
    arithmetic: str
    offer: str | None
    earned_at: datetime
    due_at: datetime | None = None

    @property
    def particulars(self) -> Particulars:
        """What the commission should say besides its amount."""
        return Particulars(
            self.trigger_version,
            self.member_key,
            self.customer,
            self.arithmetic,
            self.offer,
            self.earned_at,
            self.due_at,
        )


@dataclass(frozen=True, slots=True)
class Commission:
    """A booked commission: the sum of its entries, in the books."""

    key: str
    claimant: Claimant
    #: 0 for the commission itself, 1.. for those that adjust it after approval.
    part: int
    state: CommissionState
    amount_minor: int
    particulars: Particulars | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: what is added to a commission, never changed afterwards.

    An amount of zero is no line: the commission's particulars are put right, its money stands.
    """

    commission_key: str
    claimant: Claimant
    part: int
    amount_minor: int
    #: The commission's amount after this entry.
    balance_minor: int
    state: CommissionState
    #: What should be; None when no trigger asks for the commission any more.
    desired: Desired | None
    #: The commission that this one adjusts.
    adjusts: str | None = None


def bookings(desired: Iterable[Desired], booked: Sequence[Commission]) -> list[Entry]:
    """Desired minus booked for one occasion, as entries. A difference of zero books nothing.

    An open commission whose amount is right but which says something else (another member, customer or version of
    the trigger, since learnt) is put right by an entry of zero.
    """
    wanted = {d.claimant: d for d in desired}
    existing: dict[Claimant, list[Commission]] = {}
    for commission in sorted(booked, key=lambda c: c.part):
        existing.setdefault(commission.claimant, []).append(commission)
    entries = [_booking(claimant, wanted.get(claimant), existing.get(claimant, [])) for claimant in
               sorted({*wanted, *existing}, key=_sortable)]  # fmt: skip
    return [entry for entry in entries if entry is not None]


def _sortable(c: Claimant) -> tuple[str, str, str, str, str, str, int]:
    return c.trigger_key, c.event, c.occasion_key, c.line_key or "", c.partner_key, c.currency, c.instalment


def _booking(claimant: Claimant, desired: Desired | None, parts: list[Commission]) -> Entry | None:
    """A declined commission is settled for good; an adjustment that was declined counts as made, and forgiven."""
    if parts and parts[0].state is CommissionState.DECLINED:
        return None
    difference = (desired.amount_minor if desired else 0) - sum(part.amount_minor for part in parts)
    last = parts[-1] if parts else None
    reopened = last if last is not None and last.state in OPEN_STATES else None
    if difference == 0 and not _says_something_else(reopened, desired):
        return None
    part = reopened.part if reopened else (last.part + 1 if last else 0)
    balance = difference + (reopened.amount_minor if reopened else 0)
    return Entry(
        commission_key=reopened.key if reopened else _key(claimant, part),
        claimant=claimant,
        part=part,
        amount_minor=difference,
        balance_minor=balance,
        state=_state_after(reopened, part, balance, desired),
        desired=desired,
        adjusts=parts[0].key if part and parts else None,
    )


def _says_something_else(open_part: Commission | None, desired: Desired | None) -> bool:
    if open_part is None or desired is None or open_part.amount_minor == 0:
        return False
    return open_part.particulars not in (None, desired.particulars)


def _state_after(open_part: Commission | None, part: int, balance: int, desired: Desired | None) -> CommissionState:
    if open_part is not None and open_part.state is CommissionState.HOLD:
        return CommissionState.HOLD  # a person stopped it, whatever it amounts to
    if balance == 0:
        return CommissionState.REVERSED
    if open_part is None or open_part.state is CommissionState.REVERSED:
        # What adjusts an instalment that was paid out waits for no date.
        waits = part == 0 and desired is not None and desired.due_at is not None
        return CommissionState.SCHEDULED if waits else CommissionState.PENDING
    return CommissionState.SCHEDULED if _falls_due_later(open_part, desired) else open_part.state


def _falls_due_later(pending: Commission, desired: Desired | None) -> bool:
    """Whether an instalment's day was put off: then it waits for it again, unless it adjusts what was paid out."""
    due_at = pending.particulars.due_at if pending.particulars is not None else None
    now = desired.due_at if desired is not None else None
    return pending.part == 0 and due_at is not None and now is not None and now > due_at


def _key(c: Claimant, part: int) -> str:
    return ids.commission_key(
        c.trigger_key, c.occasion_key, c.line_key, c.partner_key, c.currency, c.instalment, part, c.event
    )


# What moves a commission besides facts: people and the calendar.


def move(commission: Commission, to: CommissionState, reason: str | None = None) -> CommissionState:
    """The state a person moves a commission to; declining needs a reason, which the partner sees.

    Raises Rejected for a move that is not legal, naming those that are.
    """
    if to not in MOVES[commission.state]:
        legal = sorted(state.value for state in MOVES[commission.state])
        allowed = f"it can become {listed(legal)}" if legal else "nothing moves it"
        raise Rejected(f"a commission that is {commission.state} cannot become {to}; {allowed}", "reward_status")
    if to is CommissionState.DECLINED and not (reason or "").strip():
        raise Rejected("a commission is declined with a reason that the partner sees", "decline_reason")
    if reason is not None and (to is not CommissionState.DECLINED or len(reason) > _REASON_LENGTH_MAX):
        raise Rejected(f"belongs to declining alone, in at most {_REASON_LENGTH_MAX} characters", "decline_reason")
    return to


def released(commission: Commission, now: datetime, hold_days: int | None) -> CommissionState:
    """The state that the calendar has moved a commission to by `now`.

    An instalment is pending from its due date. `hold_days` after it was earned, or fell due, a pending commission is
    approved; None: a person approves.
    """
    said = commission.particulars
    state = commission.state
    if said is None:
        return state
    since = said.earned_at if said.due_at is None else max(said.earned_at, said.due_at)
    if state is CommissionState.SCHEDULED and since <= now:
        state = CommissionState.PENDING
    if state is CommissionState.PENDING and hold_days is not None and since + timedelta(days=hold_days) <= now:
        state = CommissionState.APPROVED
    return state
