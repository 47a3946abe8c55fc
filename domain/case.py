"""What judging reads and what it says: the program, the recorded case of some transactions, and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from domain import drips, rules
from domain.catalogue import Catalogue
from domain.commissions import Commission, Desired
from domain.customers import Claim
from domain.docket import Docket, docket_of
from domain.facts import CustomerSeen
from domain.known import ProductKey, ProviderCustomerKey
from domain.partners import Partner
from domain.products import ProductVersion
from domain.standings import Standing
from domain.transactions import Basis, Transaction
from domain.triggers import Trigger

#: (transaction key, line key)
LineRef = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Program:
    """The company's own settings, catalogue, triggers and partners, as histories."""

    catalogue: Catalogue
    #: Versions per trigger, in any order.
    triggers: Mapping[str, tuple[Trigger, ...]]
    partners: Mapping[str, Partner]
    basis: Basis
    lookback: timedelta
    zone: tzinfo
    #: Whether customers are linked by e-mail, where nothing better links them.
    links_by_email: bool = False
    #: The same triggers, by what they can fire on.
    docket: Docket = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "docket", docket_of(self.triggers.values()))

    @property
    def horizon(self) -> timedelta:
        """How long after a payment its instalments may still depend on what becomes of the product."""
        dripping = [version.action.drip for versions in self.triggers.values() for version in versions]
        stopping = [drips.horizon(drip) for drip in dripping if drip is not None and drip.stop_on_churn]
        return max(stopping, default=timedelta(0))


@dataclass(frozen=True, slots=True)
class CaseFile:
    """Everything recorded that judging some transactions reads."""

    #: Posted lines lead to the products they refer to; see `domain.references`.
    transactions: Mapping[str, Transaction]
    #: Our customer's key per provider customer; absent while unlinked.
    customers: Mapping[ProviderCustomerKey, str] = field(default_factory=dict)
    #: What was said about each of our customers, under any of its names.
    customer_claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    #: What was said about single products and subscriptions, by subject.
    sale_claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    #: When each of our customers came to be.
    customers_created: Mapping[str, datetime] = field(default_factory=dict)
    #: What events said of each of our customers, as far back as the transactions need; see `domain.readings`.
    descriptions: Mapping[str, tuple[CustomerSeen, ...]] = field(default_factory=dict)
    #: For each transaction of one of our customers: the one before it. Absent or None: it is the first.
    previous: Mapping[str, str | None] = field(default_factory=dict)
    #: The transactions that are followed by another one of the same customer.
    followed: frozenset[str] = frozenset()
    #: Where the customer stood after a transaction, as recorded: of these transactions and the ones before them.
    standings: Mapping[str, Standing] = field(default_factory=dict)
    #: As of each payment; under a drip that stops on churn, as of each instalment's day, too.
    products: Mapping[ProductKey, tuple[ProductVersion, ...]] = field(default_factory=dict)
    #: For each credit line: the charge it takes back, then the earlier credits on that charge, in order.
    chains: Mapping[LineRef, tuple[LineRef, ...]] = field(default_factory=dict)
    #: For each transaction that a credit line takes back from: every transaction with such a line, itself aside.
    credited_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    booked: Mapping[str, tuple[Commission, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one trigger says of one line, of the whole transaction, or of another occasion."""

    trigger: Trigger
    #: None: judged once on the whole.
    line_key: str | None
    #: Why it fired or not, for a person.
    reason: str
    #: What it amounts to in all, drips not yet split; None where it did not fire.
    desired: Desired | None = None
    #: Each condition with expected and actual; only when asked for, and when there was something to judge.
    trace: rules.Trace | None = None
    #: What to book: `desired` itself, or its instalments but for those that a churn stopped.
    instalments: tuple[Desired, ...] = ()
    #: What it amounted to as paid, before anything was reversed: what limits count.
    as_paid_minor: int = 0

    @property
    def fired(self) -> bool:
        """Whether it asks for a commission, were it one of nothing because all was paid back."""
        return self.desired is not None
