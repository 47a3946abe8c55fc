"""A ledger in memory: the same port as PostgreSQL's, in plain dictionaries, kept honest by one contract suite. Every
question is answered by walking all there is: slow and obvious, fit for histories of a few hundred facts.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from domain import ids
from domain.case import CaseFile, LineRef
from domain.catalogue import Catalogue, Entry
from domain.commissions import Commission, CommissionState
from domain.commissions import Entry as LedgerEntry
from domain.customers import Claim, Customer
from domain.decide import Affected, Booking
from domain.facts import COMPANY, BillingEvent, CustomerSeen, InvoicePaid, InvoicePayment, Reversal, SubscriptionSeen
from domain.judge import moment_of
from domain.known import (
    BEGINNING,
    Changes,
    Known,
    PaymentKey,
    ProductKey,
    ProviderCustomer,
    ProviderCustomerKey,
    SubscriptionKey,
    Touched,
)
from domain.occasions import CustomerFile, moments
from domain.products import Evidence, ProductVersion, second_of
from domain.record import windows
from domain.record_money import transaction_reversed
from domain.references import led_to_products
from domain.reversals import ReversalKey, key_of
from domain.standings import Standing
from domain.transactions import Line, Transaction
from tests.memory_credits import beyond, with_credits
from tests.memory_windows import window_of

NO_LONGER_EARNED = "no trigger asks for it any more"


class MemoryLedger:
    """Facts and books of one company; implements `infra.ledger.deciding.Ledger`."""

    def __init__(self) -> None:
        self.people: dict[ProviderCustomerKey, ProviderCustomer] = {}
        self.customers: dict[str, Customer] = {}
        self.claims: dict[tuple[str, str], Claim] = {}
        self.descriptions: dict[tuple[str, str, str], CustomerSeen] = {}
        self.payments: dict[PaymentKey, str] = {}
        self.reversals: dict[ReversalKey, Reversal] = {}
        self.snapshots: dict[tuple[str, str, str], SubscriptionSeen] = {}
        self.transactions: dict[str, Transaction] = {}
        self.histories: dict[SubscriptionKey, dict[str, tuple[ProductVersion, ...]]] = {}
        self.entries: dict[str, Entry] = {}
        self._owned_before: dict[SubscriptionKey, str] = {}
        self.standings: dict[str, tuple[str, Standing]] = {}
        self.commissions: dict[str, Commission] = {}
        self.subjects: dict[str, str | None] = {}
        self.adjusts: dict[str, str | None] = {}
        #: Every entry ever appended, with its cause.
        self.journal: list[tuple[LedgerEntry, str]] = []

    # What recording reads.

    def load_known(self, events: Sequence[BillingEvent], catalogue: Catalogue) -> Known:
        """Customers, subscriptions and money that these events can meet."""
        transactions = self._met(events)
        since = windows(events, transactions)
        for event in events:
            if isinstance(event, SubscriptionSeen):
                place = (event.provider, event.subscription_key)
                recorded = self.snapshots.get((*place, event.source.event_key))
                if recorded is not None:
                    since[place] = min(since[place], second_of(recorded.effective_at))
        return Known(
            provider_customers=dict(self.people),
            customers=dict(self.customers),
            claims=self._claims(),
            transactions=transactions,
            subscriptions={
                place: window_of(
                    self.snapshots.values(), self._evidence(place), self.histories.get(place, {}), place, moment
                )
                for place, moment in since.items()
            },
            catalogue=catalogue.with_entries(self.entries.values()),
            payments=dict(self.payments),
            reversals=dict(self.reversals),
        )

    def _met(self, events: Iterable[BillingEvent]) -> dict[str, Transaction]:
        """The transactions that payments, links and reversals among the events are about."""
        known = Known(payments=self.payments)
        keys: set[str | None] = set()
        for event in events:
            if isinstance(event, InvoicePaid | InvoicePayment):
                keys.add(ids.transaction_key(event.provider, event.invoice_key))
                linked = (self.payments.get((event.provider, key)) for key in event.payment_keys)
                keys |= {ids.transaction_key(event.provider, invoice) for invoice in linked if invoice}
            if isinstance(event, Reversal):
                keys.add(transaction_reversed(event, known))
                recorded = self.reversals.get(key_of(event))
                keys.add(transaction_reversed(recorded, known) if recorded else None)
        return {key: paid for key, paid in self.transactions.items() if key in keys}

    def _claims(self) -> dict[str, tuple[Claim, ...]]:
        said: dict[str, tuple[Claim, ...]] = {}
        for claim in self.claims.values():
            said[claim.subject] = (*said.get(claim.subject, ()), claim)
        return said

    def _evidence(self, place: SubscriptionKey) -> Iterator[tuple[str, Evidence]]:
        for paid in self.transactions.values():
            for line in paid.lines:
                own = (paid.provider, line.subscription_key)
                if own == place and line.product_key is not None and line.net_minor > 0:
                    proof = Evidence(line.product_key, paid.occurred_at, line.recurring, paid.currency, line.price_keys)
                    yield paid.key, proof

    # What recording writes.

    def apply(self, changes: Changes) -> None:
        """Whole new values under their keys."""
        self._owned_before = self._owners()
        self.people |= changes.provider_customers
        self.customers |= {key: customer for key, customer in changes.customers.items() if key not in self.customers}
        self.claims |= {(claim.subject, claim.cause): claim for claim in changes.claims}
        self.descriptions |= {
            (s.provider, s.provider_customer_key, s.source.event_key): s for s in changes.descriptions
        }
        self.payments |= changes.payments
        self.reversals |= changes.reversals
        self.snapshots |= {(s.provider, s.subscription_key, s.source.event_key): s for s in changes.snapshots}
        self.transactions |= changes.transactions
        self.entries |= changes.entries
        for place, (since, versions) in changes.histories.items():
            stored = self.histories.get(place, {})
            kept = {p: tuple(v for v in known if v.effective_at < since) for p, known in stored.items()}
            both = {p: kept.get(p, ()) + tuple(versions.get(p, ())) for p in sorted({*kept, *versions})}
            self.histories[place] = {product: history for product, history in both.items() if history}

    def _owners(self) -> dict[SubscriptionKey, str]:
        """Whose each subscription is: its own newest word, else that of its latest payment."""
        owners: dict[SubscriptionKey, str] = {}
        for paid in sorted(self.transactions.values(), key=moment_of):
            for line in paid.lines:
                if line.subscription_key and paid.provider_customer_key:
                    owners[(paid.provider, line.subscription_key)] = paid.provider_customer_key
        for seen in sorted(self.snapshots.values(), key=_newness):
            owners[(seen.provider, seen.subscription_key)] = seen.provider_customer_key
        return owners

    # What must be judged again.

    def affected(self, touched: Touched, horizon: timedelta) -> Affected:
        """Everything a touched customer, subscription or charge reaches; of several causes the first by name."""
        found = Affected(dict(touched.transactions), {}, dict(touched.moved))
        directly: dict[str, set[str]] = {}
        for paid in self.transactions.values():
            causes = {cause for moment, cause in self._reaching(paid, touched, horizon) if paid.occurred_at >= moment}
            if causes:
                directly[paid.key] = causes
        for key, named in with_credits(self.transactions, directly, touched).items():
            found.transactions.setdefault(key, min(named))
        if touched.credited:
            found.transactions.update(beyond(self.transactions, found.transactions, touched.transactions))
        for place, (_, cause) in (*touched.customers.items(), *touched.followers.items()):
            found.people.setdefault(place, cause)
        for place, (_, cause) in sorted(touched.subscriptions.items(), key=lambda each: each[1][1]):
            for owner in {owned[place] for owned in (self._owned_before, self._owners()) if place in owned}:
                found.people.setdefault((place[0], owner), cause)
        return found

    def _reaching(self, paid: Transaction, touched: Touched, horizon: timedelta) -> Iterator[tuple[datetime, str]]:
        """From when on something touched asks for this payment, and why."""
        place = (paid.provider, paid.provider_customer_key or "")
        if place in touched.customers:
            yield touched.customers[place]
        mine = self._names().get(self._customer_of(paid) or "", ())
        yield from (moment for name, moment in touched.followers.items() if name in mine)
        for line in paid.lines:
            since = touched.subscriptions.get((paid.provider, line.subscription_key or ""))
            if since is not None:
                yield _back(since[0], horizon), since[1]
            since = touched.references.get(line.subscription_key or "") if paid.provider == COMPANY else None
            if since is not None:
                yield _back(since[0], horizon), since[1]

    def later(self, transactions: Collection[str]) -> list[str]:
        """By walking each customer's payments in order."""
        found: set[str] = set()
        for key in transactions:
            mine = self._of_same_customer(self.transactions[key])
            found |= {other.key for other in mine if moment_of(other) > moment_of(self.transactions[key])}
        return sorted(with_credits(self.transactions, {key: {""} for key in found}, Touched()))

    def _customer_of(self, paid: Transaction) -> str | None:
        person = self.people.get((paid.provider, paid.provider_customer_key or ""))
        return person.customer if person is not None else None

    def _of_same_customer(self, paid: Transaction) -> list[Transaction]:
        customer = self._customer_of(paid)
        if customer is None:
            return []
        return sorted((t for t in self.transactions.values() if self._customer_of(t) == customer), key=moment_of)

    # What judging reads.

    def load_case(self, keys: Collection[str]) -> CaseFile:
        """These transactions, the charges their credits take from, and all that says whose they are."""
        asked = [key for key in keys if key in self.transactions]
        chains = {ref: chain for key in asked for ref, chain in self._chains(key)}
        charges = {chain[0][0] for chain in chains.values()}
        credited_by = {charge: self._crediting(charge) for charge in sorted(charges)}
        others = sorted({key for crediting in credited_by.values() for key in crediting} - set(asked))
        chains |= {ref: chain for key in others for ref, chain in self._chains(key)}
        loaded = sorted({*asked, *others, *(ref[0] for chain in chains.values() for ref in chain)})
        lines_of = {key: self._of_same_customer(self.transactions[key]) for key in loaded}
        previous = {key: _neighbour(lines_of[key], key, -1) for key in loaded}
        stood = {*loaded, *filter(None, previous.values())}
        return CaseFile(
            transactions={key: self._led(self.transactions[key]) for key in loaded},
            customers={place: p.customer for place, p in self.people.items() if p.customer is not None},
            customer_claims=self._customer_claims(),
            sale_claims=self._claims(),
            customers_created=self._created(),
            descriptions=self._described(),
            previous=previous,
            followed=frozenset(key for key in loaded if _neighbour(lines_of[key], key, 1) is not None),
            standings={key: self.standings[key][1] for key in stood & self.standings.keys()},
            products=self._products(),
            chains=chains,
            credited_by=credited_by,
            booked={key: tuple(c for c in self.commissions.values() if c.claimant.transaction_key == key)
                    for key in loaded},
        )  # fmt: skip

    def _led(self, paid: Transaction) -> Transaction:
        """A posted payment with the products of its customer that it refers to."""
        customer = self._customer_of(paid)
        return led_to_products(paid, self._owned(self._names().get(customer, ()) if customer is not None else ()))

    def _names(self) -> dict[str, list[ProviderCustomerKey]]:
        names: dict[str, list[ProviderCustomerKey]] = {}
        for place, person in self.people.items():
            if person.customer is not None:
                names.setdefault(person.customer, []).append(place)
        return names

    def _customer_claims(self) -> dict[str, tuple[Claim, ...]]:
        said = self._claims()
        found: dict[str, tuple[Claim, ...]] = {}
        for customer, names in self._names().items():
            subjects = [ids.customer_subject(customer), *(ids.provider_customer_subject(*name) for name in names)]
            found[customer] = tuple(claim for subject in subjects for claim in said.get(subject, ()))
        return found

    def _created(self) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for person in self.people.values():
            if person.customer is not None and person.created_at is not None:
                found[person.customer] = min(found.get(person.customer, person.created_at), person.created_at)
        return found

    def _described(self) -> dict[str, tuple[CustomerSeen, ...]]:
        found: dict[str, tuple[CustomerSeen, ...]] = {}
        for said in self.descriptions.values():
            person = self.people.get((said.provider, said.provider_customer_key))
            if person is not None and person.customer is not None:
                found[person.customer] = (*found.get(person.customer, ()), said)
        return found

    def _products(self) -> dict[ProductKey, tuple[ProductVersion, ...]]:
        return {
            (*place, product): versions
            for place, products in self.histories.items()
            for product, versions in products.items()
        }

    def _chains(self, key: str) -> Iterator[tuple[LineRef, tuple[LineRef, ...]]]:
        """For each credit line: the latest earlier charge of its product, then the credits between the two."""
        paid = self.transactions[key]
        for line in paid.lines:
            if line.net_minor < 0 and line.subscription_key and line.product_key:
                earlier = [(t, other) for t, other in self._same_product(paid, line) if moment_of(t) < moment_of(paid)]
                charges = [place for place, (_, other) in enumerate(earlier) if other.net_minor > 0]
                if charges:
                    since = earlier[charges[-1] :]
                    yield (key, line.key), tuple((t.key, o.key) for t, o in since)

    def _same_product(self, paid: Transaction, line: Line) -> list[tuple[Transaction, Line]]:
        found = [
            (other, each)
            for other in self.transactions.values()
            for each in other.lines
            if (other.provider, other.currency) == (paid.provider, paid.currency)
            and (each.subscription_key, each.product_key) == (line.subscription_key, line.product_key)
            and each.net_minor != 0
        ]
        return sorted(found, key=lambda pair: moment_of(pair[0]))

    def _crediting(self, charge: str) -> tuple[str, ...]:
        crediting = [key for key in self.transactions for _, chain in self._chains(key) if chain[0][0] == charge]
        return tuple(sorted(set(crediting)))

    # Occasions other than payments.

    def load_customers(
        self, people: Collection[ProviderCustomerKey], customers: Collection[str], *, with_standings: bool
    ) -> list[tuple[CustomerFile, frozenset[ProviderCustomerKey]]]:
        """A linked customer once, under all its names; an unlinked one alone."""
        names = self._names()
        wanted = {customer: frozenset(names.get(customer, ())) for customer in customers}
        found: list[tuple[CustomerFile, frozenset[ProviderCustomerKey]]] = []
        for place in sorted(people):
            person = self.people.get(place)
            if person is not None and person.customer is not None:
                wanted[person.customer] = frozenset(names[person.customer])
            else:
                found.append((CustomerFile(None, products=self._owned([place])), frozenset([place])))
        for customer, places in sorted(wanted.items()):
            file = CustomerFile(
                customer,
                self._created().get(customer),
                self._customer_claims().get(customer, ()),
                self._claims(),
                self._described().get(customer, ()),
                self._owned(places),
            )
            standings = {at: self._standing_at(customer, at) for at in moments(file)} if with_standings else {}
            found.append((replace(file, standings=standings), places))
        return found

    def _owned(self, places: Iterable[ProviderCustomerKey]) -> dict[ProductKey, tuple[ProductVersion, ...]]:
        wanted, owned = set(places), self._owners()
        return {
            key: versions
            for key, versions in self._products().items()
            if (key[0], owned.get((key[0], key[1]), "")) in wanted
        }

    def _standing_at(self, customer: str, at: datetime) -> Standing:
        mine = [t for t in self.transactions.values() if self._customer_of(t) == customer and t.occurred_at <= at]
        last = max(mine, key=moment_of, default=None)
        return self.standings[last.key][1] if last is not None and last.key in self.standings else Standing()

    def load_booked_on(self, subjects: Collection[str]) -> dict[str, list[Commission]]:
        """By the subject each was booked under."""
        found: dict[str, list[Commission]] = {}
        for key, commission in self.commissions.items():
            subject = self.subjects[key]
            if subject is not None and subject in subjects:
                found.setdefault(subject, []).append(commission)
        return found

    # The books.

    def save_standings(self, standings: Mapping[str, tuple[str, Standing] | None]) -> None:
        """The last word per transaction."""
        for key, standing in standings.items():
            if standing is None:
                self.standings.pop(key, None)
            else:
                self.standings[key] = standing

    def book(self, bookings: Sequence[Booking]) -> None:
        """Append each entry that is not zero, and say what its commission now is."""
        for booking in bookings:
            entry, key = booking.entry, booking.entry.commission_key
            known = self.commissions.get(key)
            assert entry.balance_minor == (known.amount_minor if known else 0) + entry.amount_minor
            original = known or (self.commissions[entry.adjusts] if entry.adjusts else None)
            said = entry.desired.particulars if entry.desired else original.particulars if original else None
            if entry.desired is None and said is not None:
                said = said._replace(arithmetic=NO_LONGER_EARNED)
            self.commissions[key] = Commission(key, entry.claimant, entry.part, entry.state, entry.balance_minor, said)
            self.subjects.setdefault(key, booking.subject)
            self.adjusts.setdefault(key, entry.adjusts)
            if entry.amount_minor:
                self.journal.append((entry, booking.cause))

    def set_state(self, key: str, state: CommissionState) -> None:
        """Move a commission, as a person or the calendar does."""
        self.commissions[key] = replace(self.commissions[key], state=state)


def _back(moment: datetime, horizon: timedelta) -> datetime:
    return moment - horizon if moment - BEGINNING > horizon else BEGINNING


def _newness(seen: SubscriptionSeen) -> tuple[datetime, int, int, str]:
    return seen.effective_at, seen.source.version, seen.source.rank, seen.source.event_key


def _neighbour(line: Sequence[Transaction], key: str, step: int) -> str | None:
    keys = [paid.key for paid in line]
    place = keys.index(key) + step if key in keys else -1
    return keys[place] if 0 <= place < len(keys) else None
