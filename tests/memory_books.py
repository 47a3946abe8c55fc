"""The ledger in memory as the plain books that invariants are checked on."""

from datetime import UTC, datetime

from domain.books import BookedCommission, BookedEntry, BookedLine, BookedTransaction, Books
from domain.judge import charge_of_whole
from domain.triggers import FlatAction, Trigger
from tests.memory_ledger import MemoryLedger

#: Entries in memory carry no time of their own.
_BOOKED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def books_of(ledger: MemoryLedger, triggers: dict[str, tuple[Trigger, ...]]) -> Books:
    """Everything there is."""
    case = ledger.load_case(list(ledger.transactions))
    flat = {key for key, versions in triggers.items() if any(isinstance(v.action, FlatAction) for v in versions)}
    seq: dict[str, int] = {}
    entries = []
    for entry, _ in ledger.journal:
        seq[entry.commission_key] = seq.get(entry.commission_key, 0) + 1
        entries.append(
            BookedEntry(
                entry.commission_key, seq[entry.commission_key], entry.amount_minor, entry.balance_minor, _BOOKED_AT
            )
        )
    transactions = tuple(
        BookedTransaction(
            paid.key,
            paid.currency,
            tuple(
                BookedLine(
                    line.key,
                    line.gross_minor,
                    line.discount_minor,
                    line.reversed_minor,
                    case.chains.get((paid.key, line.key), (None,))[0],
                )
                for line in paid.lines
            ),
            charge_of_whole(paid, case),
        )
        for paid in ledger.transactions.values()
    )
    return Books(tuple(_commissions(ledger, flat)), tuple(entries), transactions)


def _commissions(ledger: MemoryLedger, flat: set[str]) -> list[BookedCommission]:
    return [
        BookedCommission(
            key=key,
            trigger_key=c.trigger_key,
            event=c.event,
            occasion_key=c.occasion_key,
            line_key=c.line_key,
            partner_key=c.partner_key,
            currency=c.currency,
            instalment=c.instalment,
            part=commission.part,
            state=commission.state,
            amount_minor=commission.amount_minor,
            flat=c.trigger_key in flat,
            adjusts=ledger.adjusts[key],
            due_at=commission.particulars.due_at if commission.particulars else None,
        )
        for key, commission in ledger.commissions.items()
        for c in [commission.claimant]
    ]
