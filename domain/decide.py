"""Decide: judge what was touched, and say which entries make the books right. Pure; deciding twice books once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.case import CaseFile, Program, Verdict
from domain.commissions import Commission, Desired, Entry, bookings
from domain.judge import Judge, customer_of, moment_of
from domain.known import ProviderCustomerKey
from domain.occasions import CustomerFile, Occasion, customer_verdicts, partner_verdicts, subjects_of
from domain.standings import Standing


@dataclass(frozen=True, slots=True)
class Affected:
    """What must be judged again, each with its cause (`stripe:evt_1`)."""

    #: By transaction key.
    transactions: dict[str, str] = field(default_factory=dict)
    #: Providers' customers whose occasions may be others now.
    people: dict[ProviderCustomerKey, str] = field(default_factory=dict)
    #: Our customers whose occasions may be others now, though they may have lost every name they had.
    customers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Booking:
    """An entry, what caused it, and for an occasion other than a payment the subject to find it under."""

    entry: Entry
    cause: str
    subject: str | None = None


@dataclass(slots=True)
class Decision:
    """What judging some transactions comes to."""

    bookings: list[Booking] = field(default_factory=list)
    #: Where customers stand after a transaction, if that is not what is recorded; None: it is nobody's any more.
    standings: dict[str, Standing | None] = field(default_factory=dict)
    #: Of each customer the earliest transaction whose successors were not judged, though their standing has changed.
    stale: dict[str, str] = field(default_factory=dict)


def decide(touched: Mapping[str, str], case: CaseFile, program: Program) -> Decision:
    """Judge transactions (key to cause) in the order they were paid, each standing following from the one before."""
    decision = Decision()
    after: dict[str, Standing] = {}

    def before(key: str) -> Standing:
        previous = case.previous.get(key) or ""
        return after[previous] if previous in after else case.standings.get(previous, Standing())

    last_of: dict[str, str] = {}
    for paid in sorted((case.transactions[key] for key in touched if key in case.transactions), key=moment_of):
        judge = Judge(paid, case, program, before, traced=False)
        wanted = [each for verdict in judge.fired() for each in verdict.instalments]
        entries = bookings(wanted, case.booked.get(paid.key, ()))
        decision.bookings += [Booking(entry, touched[paid.key]) for entry in entries]
        customer = customer_of(paid, case)
        if customer is None:
            if paid.key in case.standings:
                decision.standings[paid.key] = None
            continue
        _note_gap(last_of.get(customer), paid.key, customer, case, decision)
        last_of[customer] = paid.key
        after[paid.key] = judge.standing
        if case.standings.get(paid.key) != judge.standing:
            decision.standings[paid.key] = judge.standing
    for customer, key in last_of.items():
        _note_gap(key, None, customer, case, decision)
    return decision


def _note_gap(last: str | None, following: str | None, customer: str, case: CaseFile, decision: Decision) -> None:
    """After `last` the standing is another now, and what follows it is not what is judged next."""
    changed = last is not None and last in decision.standings and last in case.followed
    if changed and last is not None and (following is None or case.previous.get(following) != last):
        decision.stale.setdefault(customer, last)


def decide_customer(
    file: CustomerFile, booked: Mapping[str, Sequence[Commission]], cause: str, program: Program
) -> list[Booking]:
    """What a customer's occasions other than payments lack or have too much; `booked` is by subject."""
    return _settled(customer_verdicts(file, program), subjects_of(file), booked, cause)


def decide_partner(
    partner_key: str, booked: Mapping[str, Sequence[Commission]], cause: str, program: Program
) -> list[Booking]:
    """What a partner's own occasion lacks or has too much."""
    found = partner_verdicts(partner_key, program)
    return _settled(found, {occasion.subject for occasion, _ in found}, booked, cause)


def _settled(
    found: Iterable[tuple[Occasion, Verdict]],
    subjects: Iterable[str],
    booked: Mapping[str, Sequence[Commission]],
    cause: str,
) -> list[Booking]:
    wanted: dict[str, list[Desired]] = {}
    for occasion, verdict in found:
        wanted.setdefault(occasion.subject, []).extend(verdict.instalments)
    return [
        Booking(entry, cause, subject)
        for subject in sorted({*subjects, *wanted})
        for entry in bookings(wanted.get(subject, ()), booked.get(subject, ()))
    ]
