"""The books as they are stored, in plain values: what `domain.invariants` checks, wherever it was read from."""

from dataclasses import dataclass
from datetime import datetime

from domain.fields import TriggerEvent

#: (transaction key, line key); None: the whole transaction.
LineRef = tuple[str, str | None]
#: All that makes two commissions the same one, but for their parts.
Cause = tuple[str, str, str, str | None, str, str, int]


@dataclass(frozen=True, slots=True)
class BookedCommission:
    """A commission as it is stored."""

    key: str
    trigger_key: str
    #: The trigger's event; `transaction_created` for payments.
    event: str
    #: What it was earned on: a transaction's key, or another occasion's.
    occasion_key: str
    line_key: str | None
    partner_key: str
    currency: str
    instalment: int
    #: 0 for the commission itself, 1.. for those that adjust it.
    part: int
    state: str
    amount_minor: int
    #: Whether its trigger pays a flat amount, which may be in a currency of its own.
    flat: bool = False
    adjusts: str | None = None
    decline_reason: str | None = None
    due_at: datetime | None = None

    @property
    def cause(self) -> Cause:
        """What all parts of one commission share."""
        return (
            self.trigger_key, self.event, self.occasion_key, self.line_key, self.partner_key, self.currency,
            self.instalment,
        )  # fmt: skip

    @property
    def earned_on(self) -> LineRef | None:
        """The line, or the whole transaction, that it was earned on; None for other occasions."""
        return (self.occasion_key, self.line_key) if self.event == TriggerEvent.TRANSACTION_CREATED else None


@dataclass(frozen=True, slots=True)
class BookedEntry:
    """One line of the ledger."""

    commission_key: str
    #: Counts from 1 within its commission.
    seq: int
    amount_minor: int
    #: The commission's amount after it.
    balance_minor: int
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class BookedLine:
    """A line of a transaction."""

    key: str
    gross_minor: int
    discount_minor: int
    reversed_minor: int = 0
    #: Of a credit: the charge it takes back, if there is one.
    credits: LineRef | None = None


@dataclass(frozen=True, slots=True)
class BookedTransaction:
    """A transaction. `credits` is, of a negative whole, the transaction under whose terms it is judged."""

    key: str
    currency: str
    lines: tuple[BookedLine, ...]
    credits: str | None = None


@dataclass(frozen=True, slots=True)
class InboxRows:
    """All inbox rows of one provider and state."""

    provider: str
    state: str
    count: int
    #: The earliest `next_attempt_at`; None where none of them is due at any time.
    due_at: datetime | None = None
    #: How many of them will never be due.
    not_due_count: int = 0
    #: How many of them say no reason.
    no_reason_count: int = 0


@dataclass(frozen=True, slots=True)
class Tallied:
    """What the tallies say of one kind of row, beside what counting those rows gives, of one moment."""

    #: What is counted: `events` or `commissions`.
    counted: str
    state: str
    #: Of commissions only.
    currency: str | None
    #: How many there are, and what they amount to.
    tallied: tuple[int, int]
    found: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Books:
    """What is checked: everything, or a slice that holds whole transactions with all that was earned on them.

    A slice that holds a credit holds the charge it takes back, and that charge's other credits, too.
    """

    commissions: tuple[BookedCommission, ...] = ()
    entries: tuple[BookedEntry, ...] = ()
    transactions: tuple[BookedTransaction, ...] = ()
    inbox: tuple[InboxRows, ...] = ()
    #: All kinds of rows that there are or that are tallied; none where nobody counted.
    tallies: tuple[Tallied, ...] = ()
