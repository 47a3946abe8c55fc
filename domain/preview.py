"""Preview: what a draft trigger would have paid over recorded history, beside what is booked, before anyone saves it.

The very functions that judge live payments, over a program with the draft in it. Fed in portions, in the order in
which things were paid, it keeps a row per partner and product and a standing per customer, never the history. Fed
customer by customer, it need not keep the standings either: see `forget_customers`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain import ids
from domain.case import CaseFile, Program, Verdict
from domain.commissions import Commission, CommissionState
from domain.judge import Judge, customer_of, moment_of
from domain.known import ProductKey
from domain.occasions import CustomerFile, Occasion, customer_verdicts, partner_verdicts, subjects_of
from domain.readings import entry_of
from domain.standings import Standing
from domain.transactions import Transaction
from domain.triggers import TriggerDraft

#: Partner, product name (None: on the whole, or on no product), currency.
RowKey = tuple[str, str | None, str]


@dataclass(slots=True)
class PreviewRow:
    """Minor units of one partner, product and currency."""

    #: What the draft would have paid.
    draft_minor: int = 0
    #: How often it would have paid.
    draft_count: int = 0
    #: What all triggers together would have paid, the draft among them: less for those that it goes before.
    total_minor: int = 0
    #: What is booked now; what was declined is not.
    booked_minor: int = 0


def with_draft(program: Program, key: str, draft: TriggerDraft, since: datetime) -> Program:
    """The program as if the draft had been saved under that key, in force since a moment.

    A trigger with that key keeps the versions it has: what they paid for earlier may be credited later.
    """
    earlier = program.triggers.get(key, ())
    version = max((each.version for each in earlier), default=0) + 1
    drafted = replace(draft, effective_from=None, active=True).as_version(key, version, since)
    return replace(program, triggers={**program.triggers, key: (*earlier, drafted)})


@dataclass(slots=True)
class Preview:
    """Adds up portions of history. `program` holds the draft under `trigger_key`; see `with_draft`."""

    program: Program
    trigger_key: str
    #: From, inclusive, to, exclusive.
    since: datetime
    until: datetime
    rows: dict[RowKey, PreviewRow] = field(default_factory=dict)
    _standings: dict[str, Standing] = field(default_factory=dict)
    #: Per product the latest charge, and where the customer stood before it.
    _charges: dict[ProductKey, tuple[str, Standing]] = field(default_factory=dict)

    def add_payments(self, keys: Iterable[str], case: CaseFile) -> None:
        """Judge a portion of transactions; portions come in the order in which each customer paid."""
        asked = [case.transactions[key] for key in keys if key in case.transactions]
        for paid in sorted(asked, key=moment_of):
            if self.since <= paid.occurred_at < self.until:
                self._add_payment(paid, case)

    def _add_payment(self, paid: Transaction, case: CaseFile) -> None:
        customer = customer_of(paid, case)

        def before(key: str) -> Standing:
            recorded = case.standings.get(case.previous.get(key) or "", Standing())
            if key == paid.key:
                return self._standings.get(customer or "", recorded)
            return self._before_charge(case.transactions[key], recorded)

        judge = Judge(paid, case, self.program, before, traced=False, worded=False)
        products: dict[str | None, str | None] = {line.key: judge.product_name(line) for line in paid.lines}
        for verdict in judge.fired():
            self._add_verdict(verdict, products.get(verdict.line_key))
        for commission in case.booked.get(paid.key, ()):
            self._add_booked(commission, products.get(commission.claimant.line_key))
        if customer is not None:
            here = (paid.key, before(paid.key))
            self._charges.update((place, here) for place in _places(paid))
            self._standings[customer] = judge.standing

    def _before_charge(self, charge: Transaction, recorded: Standing) -> Standing:
        """Where the customer stood before a charge that a credit takes back from: always the latest of a product."""
        for place in _places(charge):
            key, standing = self._charges.get(place, ("", recorded))
            if key == charge.key:
                return standing
        return recorded

    def forget_customers(self) -> None:
        """Let go of where customers stand: whatever is added from here on is of customers not met before."""
        self._standings.clear()
        self._charges.clear()

    def add_customer(self, file: CustomerFile, booked: Mapping[str, Iterable[Commission]]) -> None:
        """Judge one customer's occasions other than payments; `booked` is by subject."""
        products: dict[str, str | None] = {}
        for occasion, verdict in customer_verdicts(file, self.program):
            products[occasion.key] = self._product_at(occasion, file)
            if self.since <= occasion.at < self.until:
                self._add_verdict(verdict, products[occasion.key])
        for subject in subjects_of(file):
            for commission in booked.get(subject, ()):
                said = commission.particulars
                if said is not None and self.since <= said.earned_at < self.until:
                    self._add_booked(commission, products.get(commission.claimant.occasion_key))

    def add_partner(self, partner_key: str, booked: Mapping[str, Iterable[Commission]]) -> None:
        """Judge one partner's joining; `booked` is by subject."""
        for occasion, verdict in partner_verdicts(partner_key, self.program):
            if self.since <= occasion.at < self.until:
                self._add_verdict(verdict, None)
        for commission in booked.get(ids.partner_subject(partner_key), ()):
            said = commission.particulars
            if said is not None and self.since <= said.earned_at < self.until:
                self._add_booked(commission, None)

    def _add_verdict(self, verdict: Verdict, product: str | None) -> None:
        if verdict.desired is None:
            return
        claimant = verdict.desired.claimant
        row = self._row((claimant.partner_key, product, claimant.currency))
        amount_minor = sum(part.amount_minor for part in verdict.instalments)
        row.total_minor += amount_minor
        if verdict.trigger.key == self.trigger_key:
            row.draft_minor += amount_minor
            row.draft_count += 1

    def _add_booked(self, commission: Commission, product: str | None) -> None:
        if commission.state is not CommissionState.DECLINED and commission.amount_minor:
            claimant = commission.claimant
            self._row((claimant.partner_key, product, claimant.currency)).booked_minor += commission.amount_minor

    def _row(self, key: RowKey) -> PreviewRow:
        return self.rows.setdefault(key, PreviewRow())

    def _product_at(self, occasion: Occasion, file: CustomerFile) -> str | None:
        if occasion.product is None:
            return None
        provider, _, product_key = occasion.product
        versions = [version for version in file.products[occasion.product] if version.effective_at <= occasion.at]
        prices = versions[-1].price_keys if versions else ()
        return entry_of(prices, provider, product_key, self.program).name_at(occasion.at)


def _places(paid: Transaction) -> list[ProductKey]:
    return [
        (provider, subscription, product)
        for line in paid.lines
        for provider, subscription, product in [paid.place_of(line)]
        if subscription is not None and product is not None and line.net_minor > 0
    ]
