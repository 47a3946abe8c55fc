"""What became of each line of our transactions, in the words of reconciliation: the same verdicts that booked it."""

from collections.abc import Collection, Sequence

from domain.case import CaseFile, Program, Verdict
from domain.judge import attribution_of, customer_of, verdicts
from domain.reconcile import Bucket, RecordedInvoice, RecordedLine
from domain.transactions import Line, Transaction

NOT_LINKED = "nobody has linked the customer"
STILL_JUDGED = "a change of the program is still being judged"
NOTHING_PAID = "a line of zero fires nothing"
NOT_ATTRIBUTED = "the customer was not attributed to a partner at the time"
NOT_A_PARTNER = "whom the customer is attributed to is not a partner of the program"
NO_TRIGGER = "no trigger fired on it"
NOTHING_TO_TAKE_BACK = "nothing was earned on what it credits"
ALL_TAKEN_BACK = "all that it earned was taken back"


def recorded_invoice(
    invoice_key: str, paid: Transaction, case: CaseFile, program: Program, *, still_judged: bool = False
) -> RecordedInvoice:
    """A transaction as reconciliation compares it. `still_judged`: a changed program has not been booked everywhere."""
    fired = [verdict for verdict in verdicts(paid.key, case, program) if verdict.fired]
    booked = frozenset((c.claimant.trigger_key, c.claimant.line_key) for c in case.booked.get(paid.key, ()))
    lines = (_line(line, paid, case, program, (fired, booked), still_judged=still_judged) for line in paid.lines)
    taken_back = paid.reversed_minor > 0 and all(line.net_minor <= line.reversed_minor for line in paid.lines)
    return RecordedInvoice(invoice_key, paid.currency, paid.occurred_at, tuple(lines), taken_back)


#: The verdicts that fired, and what is booked as (trigger, line).
Judged = tuple[Sequence[Verdict], Collection[tuple[str, str | None]]]


def _line(
    line: Line, paid: Transaction, case: CaseFile, program: Program, judged: Judged, *, still_judged: bool
) -> RecordedLine:
    fired, booked = judged
    asked = [verdict for verdict in fired if verdict.line_key in (line.key, None)]
    if any((verdict.trigger.key, verdict.line_key) in booked for verdict in asked):
        return RecordedLine(line.key, line.net_minor, Bucket.COMMISSIONED)
    if any(part.amount_minor for verdict in asked for part in verdict.instalments):
        bucket = Bucket.WAITING if still_judged else Bucket.UNEXPLAINED
        return RecordedLine(line.key, line.net_minor, bucket, STILL_JUDGED if still_judged else None)
    if customer_of(paid, case) is None:
        return RecordedLine(line.key, line.net_minor, Bucket.WAITING, NOT_LINKED)
    reason = ALL_TAKEN_BACK if asked else _why_nothing(line, paid, case, program)
    return RecordedLine(line.key, line.net_minor, Bucket.EXCLUDED, reason)


def _why_nothing(line: Line, paid: Transaction, case: CaseFile, program: Program) -> str:
    if line.net_minor == 0:
        return NOTHING_PAID
    payee = attribution_of(line, paid, case, program)
    if payee is None:
        return NOT_ATTRIBUTED
    if payee.partner_key not in program.partners:
        return NOT_A_PARTNER
    return NOTHING_TO_TAKE_BACK if line.net_minor < 0 else NO_TRIGGER
