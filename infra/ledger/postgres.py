"""The ledger in PostgreSQL: a fixed number of statements per call, however many events or transactions."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from domain.case import CaseFile, Program
from domain.catalogue import Catalogue
from domain.commissions import Commission
from domain.decide import Affected, Booking
from domain.facts import BillingEvent
from domain.known import Changes, Known, ProviderCustomerKey, SubscriptionKey, Touched
from domain.occasions import CustomerFile
from domain.standings import Standing
from infra import tables
from infra.ledger.bookings import book
from infra.ledger.case_files import later_transactions, load_case_file
from infra.ledger.changes import add_owners, affected, apply_changes, owners
from infra.ledger.customer_files import load_booked_on, load_customer_files
from infra.ledger.known import load_known
from infra.ledger.shapes import standing_row
from infra.rows import insert_rows, run


class PostgresLedger:
    """Facts and books, within the caller's transaction; implements `infra.ledger.deciding.Ledger`."""

    def __init__(self, connection: Connection, program: Program) -> None:
        self._connection = connection
        self._horizon = program.horizon
        self._by_email = program.links_by_email
        self._has_occasions = bool(program.docket.on_occasions)
        #: Whose products were before what was applied last: one may have become another's.
        self._owned_before: set[tuple[SubscriptionKey, str]] = set()
        self._needed = program.docket.needed
        self._asks_of_the_whole = program.docket.asks_of_the_whole

    def load_known(self, events: Sequence[BillingEvent], catalogue: Catalogue) -> Known:
        """Everything recorded that recording can meet."""
        return load_known(self._connection, events, catalogue, by_email=self._by_email)

    def apply(self, changes: Changes) -> None:
        """Write every change."""
        if self._has_occasions and changes.touched.subscriptions:
            self._owned_before = owners(self._connection, changes.touched)
        apply_changes(self._connection, changes)

    def affected(self, touched: Touched, horizon: timedelta) -> Affected:
        """What must be judged again."""
        found = affected(self._connection, touched, horizon, with_wholes=self._asks_of_the_whole)
        if self._has_occasions and touched.subscriptions:
            add_owners(self._owned_before | owners(self._connection, touched), touched, found)
        return found

    def load_case(self, keys: Collection[str]) -> CaseFile:
        """All that judging these transactions by the program's triggers reads."""
        return load_case_file(self._connection, keys, self._horizon, self._needed)

    def later(self, transactions: Collection[str]) -> list[str]:
        """What the same customers paid later, and the credits on it."""
        return later_transactions(self._connection, transactions)

    def save_standings(self, standings: Mapping[str, tuple[str, Standing] | None]) -> None:
        """Record where customers stand."""
        rows = [standing_row(key, *found) for key, found in standings.items() if found is not None]
        insert_rows(self._connection, tables.standings, rows, replace=True)
        if gone := sorted(key for key, found in standings.items() if found is None):
            run(self._connection, "delete from standings where transaction_key = any(:keys)", keys=gone)

    def load_customers(
        self, people: Collection[ProviderCustomerKey], customers: Collection[str], *, with_standings: bool
    ) -> list[tuple[CustomerFile, frozenset[ProviderCustomerKey]]]:
        """One file per customer."""
        return load_customer_files(self._connection, people, customers, with_standings=with_standings)

    def load_booked_on(self, subjects: Collection[str]) -> dict[str, list[Commission]]:
        """What is booked on occasions other than payments."""
        return load_booked_on(self._connection, subjects)

    def book(self, bookings: Sequence[Booking]) -> None:
        """Append entries to the ledger."""
        book(self._connection, bookings)
