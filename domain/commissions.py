"""Commissions: what they should amount to, what is booked, and the entries that make up the difference.

Until a commission is approved its amount follows the facts through ledger entries. An approved or paid one is never
edited: what changes after that becomes a new commission that adjusts it. A declined one is settled: nothing follows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain import ids


class CommissionState(StrEnum):
    """Where a commission stands."""

    #: An instalment whose day has not come. Its due date moves it to pending.
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


@dataclass(frozen=True, slots=True, order=True)
class Claimant:
    """What makes two commissions the same one, whatever they amount to."""

    trigger_key: str
    transaction_key: str
    #: None: paid once on the whole transaction.
    line_key: str | None
    partner_key: str
    currency: str
    instalment: int = 0


class Particulars(NamedTuple):
    """What a commission says besides its amount."""

    trigger_version: int
    member_key: str | None
    #: Our customer's key.
    customer: str
    arithmetic: str
    offer: str | None
    earned_at: datetime


@dataclass(frozen=True, slots=True)
class Desired:
    """What one commission should amount to, given today's facts."""

    claimant: Claimant
    trigger_version: int
    member_key: str | None
    #: Our customer's key.
    customer: str
    amount_minor: int
    #: `49.00 USD line x 10 % = 4.90 USD`
    arithmetic: str
    offer: str | None
    earned_at: datetime

    @property
    def particulars(self) -> Particulars:
        """What the commission should say besides its amount."""
        return Particulars(
            self.trigger_version, self.member_key, self.customer, self.arithmetic, self.offer, self.earned_at
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
    """Desired minus booked for one transaction, as entries. A difference of zero books nothing.

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


def _sortable(c: Claimant) -> tuple[str, str, str, str, str, int]:
    return c.trigger_key, c.transaction_key, c.line_key or "", c.partner_key, c.currency, c.instalment


def _booking(claimant: Claimant, desired: Desired | None, parts: list[Commission]) -> Entry | None:
    if any(part.state is CommissionState.DECLINED for part in parts):
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
        state=_state_after(reopened, balance),
        desired=desired,
        adjusts=parts[0].key if part and parts else None,
    )


def _says_something_else(open_part: Commission | None, desired: Desired | None) -> bool:
    if open_part is None or desired is None or open_part.amount_minor == 0:
        return False
    return open_part.particulars not in (None, desired.particulars)


def _state_after(open_part: Commission | None, balance: int) -> CommissionState:
    if open_part is not None and open_part.state is CommissionState.HOLD:
        return CommissionState.HOLD  # a person stopped it, whatever it amounts to
    if balance == 0:
        return CommissionState.REVERSED
    if open_part is None or open_part.state is CommissionState.REVERSED:
        return CommissionState.PENDING
    return open_part.state


def _key(c: Claimant, part: int) -> str:
    return ids.commission_key(
        c.trigger_key, c.transaction_key, c.line_key, c.partner_key, c.currency, c.instalment, part
    )
