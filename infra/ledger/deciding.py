"""From facts to the books: the one path of live events, retries, replays, changed programs and reconciliation.

Works on any ledger that keeps the promises of `Ledger`: PostgreSQL's, or one in memory.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from domain import ids
from domain.case import CaseFile, Program
from domain.catalogue import Catalogue
from domain.commissions import Commission
from domain.decide import Affected, Booking, decide, decide_customer, decide_partner
from domain.facts import BillingEvent
from domain.judge import customer_of
from domain.known import Changes, Known, ProviderCustomerKey, Touched
from domain.occasions import CustomerFile, subjects_of
from domain.record import record
from domain.standings import Standing


class Ledger(Protocol):
    """Where facts are recorded and money is booked. Every call takes a whole batch."""

    def load_known(self, events: Sequence[BillingEvent], catalogue: Catalogue) -> Known:
        """Everything recorded that `domain.record.record` can meet while it folds these events in."""

    def apply(self, changes: Changes) -> None:
        """Write every change; writing the same changes twice writes them once."""

    def affected(self, touched: Touched, horizon: timedelta) -> Affected:
        """What must be judged again; payments on a subscription as far back as `horizon` before it changed."""

    def load_case(self, keys: Collection[str]) -> CaseFile:
        """All that judging these transactions reads; unknown keys are left out."""

    def later(self, transactions: Collection[str]) -> list[str]:
        """The keys of every transaction that the same customer paid after one of these, and of the credits on what was
        paid, whoever is credited.
        """

    def save_standings(self, standings: Mapping[str, tuple[str, Standing] | None]) -> None:
        """Record where a customer (its key) stands after a transaction; None: the transaction is nobody's."""

    def load_customers(
        self, people: Collection[ProviderCustomerKey], customers: Collection[str], *, with_standings: bool
    ) -> "list[NamedFile]":
        """One file per customer, linked or not, with all the names it goes by; standings if they are asked for."""

    def load_booked_on(self, subjects: Collection[str]) -> dict[str, list[Commission]]:
        """The commissions booked on occasions other than payments, by subject."""

    def book(self, bookings: Sequence[Booking]) -> None:
        """Append entries to the ledger, and say what each commission now is."""


#: A customer's file, and all the names it goes by.
NamedFile = tuple[CustomerFile, frozenset[ProviderCustomerKey]]


class Holding:
    """Nobody else is at work on this ledger; `infra.batch` has one that locks.

    Each is asked whether somebody turns out to be concerned who was not held yet: what was read may be another by now,
    and is read again. It raises TryLater where that one cannot be had.
    """

    def for_recording(self, known: Known) -> bool:
        """Before anything is written."""
        return False

    def for_judging(self, case: CaseFile) -> bool:
        """Before anything is booked on payments."""
        return False

    def for_occasions(self, files: Sequence[NamedFile]) -> bool:
        """Before anything is booked on other occasions."""
        return False


ALONE = Holding()


def settle(
    ledger: Ledger, events: Sequence[BillingEvent], program: Program, holding: Holding = ALONE
) -> tuple[Known, Changes, list[Booking]]:
    """Record events and book what they change; what was known, what changed, what was booked."""
    known = ledger.load_known(events, program.catalogue)
    while holding.for_recording(known):
        known = ledger.load_known(events, program.catalogue)
    changes = record(events, known, program.lookback)
    ledger.apply(changes)
    if changes.entries:
        program = replace(program, catalogue=program.catalogue.with_entries(changes.entries.values()))
    affected = ledger.affected(changes.touched, program.horizon)
    return known, changes, judge_again(ledger, affected, program, holding)


def judge_again(ledger: Ledger, affected: Affected, program: Program, holding: Holding = ALONE) -> list[Booking]:
    """Judge what is affected and book what each commission lacks or has too much; the entries written."""
    booked, paying = _payments(ledger, affected.transactions, program, holding)
    if program.docket.on_occasions:
        people = {**(paying if program.docket.occasions_count_payments else {}), **affected.people}
        booked += _occasions(ledger, people, affected.customers, program, holding)
    return booked


def _payments(
    ledger: Ledger, asked: Mapping[str, str], program: Program, holding: Holding
) -> tuple[list[Booking], dict[ProviderCustomerKey, str]]:
    """The entries written, and whose standing changed.

    Where a standing changes, everything the customer paid later is judged as well: it counts what came before.
    """
    if not asked:
        return [], {}
    touched = dict(asked)
    while True:
        case = ledger.load_case(touched)
        if holding.for_judging(case):
            continue
        decision = decide(touched, case, program)
        causes = {key: touched[key] for key in decision.stale.values()}
        more = [key for key in ledger.later(causes) if key not in touched] if causes else []
        if not more:
            break
        touched |= dict.fromkeys(more, min(causes.values()))
    ledger.book(decision.bookings)
    standings: dict[str, tuple[str, Standing] | None] = {}
    paying: dict[ProviderCustomerKey, str] = {}
    for key, standing in decision.standings.items():
        paid = case.transactions[key]
        customer = customer_of(paid, case)
        standings[key] = None if standing is None or customer is None else (customer, standing)
        if paid.provider_customer_key is not None:
            paying[(paid.provider, paid.provider_customer_key)] = touched[key]
    ledger.save_standings(standings)
    return decision.bookings, paying


def _occasions(
    ledger: Ledger,
    people: Mapping[ProviderCustomerKey, str],
    customers: Mapping[str, str],
    program: Program,
    holding: Holding,
) -> list[Booking]:
    if not people and not customers:
        return []
    counting = program.docket.occasions_count_payments
    files = ledger.load_customers(people, customers, with_standings=counting)
    while holding.for_occasions(files):
        files = ledger.load_customers(people, customers, with_standings=counting)
    booked = ledger.load_booked_on({subject for file, _ in files for subject in subjects_of(file)})
    bookings: list[Booking] = []
    for file, names in files:
        causes = [people[name] for name in names if name in people]
        if file.customer is not None and file.customer in customers:
            causes.append(customers[file.customer])
        bookings += decide_customer(file, booked, min(causes), program)
    ledger.book(bookings)
    return bookings


def judge_partner(ledger: Ledger, partner_key: str, cause: str, program: Program) -> list[Booking]:
    """Judge a partner's joining again, and book the difference."""
    booked = ledger.load_booked_on([ids.partner_subject(partner_key)])
    bookings = decide_partner(partner_key, booked, cause, program)
    ledger.book(bookings)
    return bookings
