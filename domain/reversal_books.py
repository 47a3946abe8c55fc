"""Refunds, credit notes and disputes on both sides of the books.

Amounts of a reversal only grow here, see `domain.reversals.merged`: what the provider has more of is made up for by
telling it, what we have more of is for a person to look at.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.differences import Comparison, Difference, Kind, beside
from domain.facts import Reversal
from domain.periods import Period


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A refund, a credit note or a dispute, as one side has it."""

    kind: Kind
    #: The provider's id.
    key: str
    #: When it was made at the provider; on our side, when we were last told of it.
    at: datetime
    #: One for each invoice that it takes from, at least one.
    parts: tuple[Reversal, ...]
    #: Whether it takes from a payment that we have.
    of_ours: bool = False

    @property
    def is_undone(self) -> bool:
        """Whether all of it was given back: failed, void, won."""
        return all(part.undone_minor >= part.amount_minor for part in self.parts)


def compare_reversals(
    kind: Kind, window: Period, there: Iterable[TakenBack], here: Iterable[TakenBack], waiting: Mapping[str, str]
) -> Comparison:
    """One kind of reversal on both sides.

    Of the provider's those count that were made in the window, and those that we have or have the payment of: any other
    is from before our time. Of ours those count that the provider names, and those of the window that still take
    something.
    """
    ours = {each.key: each for each in here if each.kind is kind}
    shown = {each.key: each for each in there if each.kind is kind}
    named = {key: each for key, each in shown.items() if each.at in window or each.of_ours or key in ours}
    standing = {key: each for key, each in ours.items() if key in named or (each.at in window and not each.is_undone)}
    return beside(named, standing, _differences, waiting)


def _differences(there: TakenBack, here: TakenBack) -> Iterator[Difference]:
    known = {part.reversal_key: part for part in here.parts}
    for place, part in enumerate(there.parts):
        prefix = f"parts[{part.reversal_key}]." if place else ""
        for field, theirs, ours in _fields(part, known.get(part.reversal_key)):
            if theirs != ours:
                yield Difference(there.key, f"{prefix}{field}", theirs, ours)


def _fields(there: Reversal, here: Reversal | None) -> Iterator[tuple[str, str | int | None, str | int | None]]:
    """What is compared: what was taken and given back, and whatever else the provider says that we were not told."""
    yield "amount", there.amount_minor, None if here is None else here.amount_minor
    if here is None:
        return
    yield "currency", there.currency, here.currency
    yield "undone", there.undone_minor, here.undone_minor
    # Merged by maximum: of a note whose refund failed later we keep what was paid out, and the refund is undone.
    yield "refunded", max(there.refunded_minor, here.refunded_minor), here.refunded_minor
    yield "invoice", there.invoice_key or here.invoice_key, here.invoice_key
    yield "payments", _named({*there.payment_keys, *here.payment_keys}), _named(here.payment_keys)
    if there.lines:
        yield "net", _net_minor(there), _net_minor(here) if here.lines else None


def _named(keys: Iterable[str]) -> str:
    return " ".join(sorted(keys))


def _net_minor(note: Reversal) -> int:
    return sum(line.amount_minor for line in note.lines)
