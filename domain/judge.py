"""Judge transactions: which triggers fire, whom they pay, how much. The second, pure half of deciding.

Everything is judged as of the moment the transaction was paid. A credit is judged under the terms that paid the
charge it takes back. `verdicts` with traces is what explains; without, it is what the drain runs: one function.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

from domain import fields, ids, rules
from domain.catalogue import Catalogue, placeholder
from domain.commissions import Claimant, Commission, Desired
from domain.customers import Attribution, Claim, attribution_at, attributions
from domain.facts import ProductStatus
from domain.known import ProductKey, ProviderCustomerKey
from domain.money import Money, format_money, percent_of
from domain.partners import Partner
from domain.products import ProductVersion, purchased_at, version_at
from domain.transactions import Basis, Line, Transaction
from domain.triggers import FlatAction, PercentAction, Trigger, TriggerEvent, in_force

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


@dataclass(frozen=True, slots=True)
class CaseFile:
    """Everything recorded that judging some transactions reads."""

    transactions: Mapping[str, Transaction]
    #: Our customer's key per provider customer; absent while unlinked.
    customers: Mapping[ProviderCustomerKey, str] = field(default_factory=dict)
    #: What was said about each of our customers, under any of its names.
    customer_claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    #: What was said about single subscriptions, by subject.
    subscription_claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    products: Mapping[ProductKey, tuple[ProductVersion, ...]] = field(default_factory=dict)
    #: For each credit line: the charge it takes back, then the earlier credits on that charge, in order.
    chains: Mapping[LineRef, tuple[LineRef, ...]] = field(default_factory=dict)
    booked: Mapping[str, tuple[Commission, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one trigger says of one line, or of the whole transaction."""

    trigger: Trigger
    #: None: judged once on the whole.
    line_key: str | None
    #: Why it fired or not, for a person.
    reason: str
    #: None where it did not fire.
    desired: Desired | None = None
    #: Each condition with expected and actual; only when asked for, and when there was something to judge.
    trace: rules.Trace | None = None

    @property
    def fired(self) -> bool:
        """Whether it asks for a commission."""
        return self.desired is not None


def desired(transaction_key: str, case: CaseFile, program: Program) -> list[Desired]:
    """What each commission on a transaction should amount to."""
    found = verdicts(transaction_key, case, program)
    return [verdict.desired for verdict in found if verdict.desired is not None]


def verdicts(transaction_key: str, case: CaseFile, program: Program, *, traced: bool = False) -> list[Verdict]:
    """Every trigger on every line and on the whole, those that lost within their exclusive group included."""
    judge = _Judge(case.transactions[transaction_key], case, program, traced)
    active = [
        trigger
        for versions in program.triggers.values()
        if (trigger := in_force(versions, judge.at)) is not None and trigger.event is TriggerEvent.TRANSACTION_CREATED
    ]
    active.sort(key=lambda trigger: (trigger.position, trigger.key))
    found = [verdict for trigger in active for verdict in judge.trigger(trigger)]
    return _exclusive(found) + judge.credits()


def attribution_of(line: Line | None, paid: Transaction, case: CaseFile, program: Program) -> Attribution | None:
    """Whom a line pays: its subscription's partner, else its customer's. None names the whole transaction."""
    if line is not None and line.subscription_key is not None:
        subject = ids.subscription_subject(paid.provider, line.subscription_key)
        said = attributions(case.subscription_claims.get(subject, ()), program.lookback)
        if (own := attribution_at(said, paid.occurred_at)) is not None:
            return own
    customer = customer_of(paid, case)
    if customer is None:
        return None
    history = attributions(case.customer_claims.get(customer, ()), program.lookback)
    return attribution_at(history, paid.occurred_at)


def customer_of(paid: Transaction, case: CaseFile) -> str | None:
    """Our key of the customer who paid; None while nobody has linked them."""
    if paid.provider_customer_key is None:
        return None
    return case.customers.get((paid.provider, paid.provider_customer_key))


class _Judge:
    """One transaction under all triggers; lives only inside `verdicts`."""

    def __init__(self, paid: Transaction, case: CaseFile, program: Program, traced: bool) -> None:
        self.paid = paid
        self.case = case
        self.program = program
        self.traced = traced
        self.at = paid.occurred_at
        self.total_minor = paid.amount_minor(program.basis)
        self._facts: dict[str | None, fields.Facts | str] = {}

    def trigger(self, trigger: Trigger) -> Iterable[Verdict]:
        """The trigger's verdicts on what this transaction charges; credits are judged under earlier terms."""
        if not trigger.per_line:
            return (self._verdict(trigger, None, self.total_minor),)
        return [self._verdict(trigger, line, line.amount_minor(self.program.basis)) for line in self.paid.lines]

    def _verdict(self, trigger: Trigger, line: Line | None, amount_minor: int) -> Verdict:
        key = line.key if line else None
        what = "line" if line else "payment"
        if amount_minor == 0:
            return Verdict(trigger, key, f"a {what} of zero fires nothing")
        if amount_minor < 0:
            return Verdict(trigger, key, f"a negative {what} is judged under the terms that paid the charge it credits")
        facts = self._facts_on(line)
        if isinstance(facts, str):
            return Verdict(trigger, key, facts)
        trace = rules.judge(trigger.rules, facts) if self.traced else None
        if not rules.holds(trigger.rules, facts):
            return Verdict(trigger, key, "its rules do not hold", trace=trace)
        payee = attribution_of(line, self.paid, self.case, self.program)
        customer = customer_of(self.paid, self.case)
        assert payee is not None and customer is not None  # `_facts_on` answered with facts
        amount, currency, arithmetic = _worth(trigger, line, amount_minor, self.paid, self.program.basis)
        if amount == 0:
            return Verdict(trigger, key, f"its rules hold, but {arithmetic}", trace=trace)
        claimant = Claimant(trigger.key, self.paid.key, key, payee.partner_key, currency)
        asked = _desired(trigger, claimant, payee.member_key, customer, amount, arithmetic, self.at)
        return Verdict(trigger, key, "its rules hold", asked, trace)

    def _facts_on(self, line: Line | None) -> fields.Facts | str:
        key = line.key if line else None
        if key not in self._facts:
            self._facts[key] = self._build_facts(line)
        return self._facts[key]

    def _build_facts(self, line: Line | None) -> fields.Facts | str:
        """What rules can read on a line or the whole, or a sentence why nobody can be paid for it."""
        if customer_of(self.paid, self.case) is None:
            return f"customer {self.paid.provider_customer_key or 'nobody'} is not linked to one of ours"
        payee = attribution_of(line, self.paid, self.case, self.program)
        if payee is None:
            return "the customer was not attributed to a partner at the time"
        partner = self.program.partners.get(payee.partner_key)
        if partner is None:
            return f'"{payee.partner_key}" is not a partner of the program'
        objects: dict[str, Mapping[str, object] | fields.Unknown] = {
            "partner": _partner_values(partner, self.at),
            "transaction": {
                "amount": Money(self.total_minor, self.paid.currency),
                "currency": self.paid.currency,
                "created": self.at,
                "metadata": self.paid.metadata or {},
            },
        }
        if line is not None:
            amount = Money(line.amount_minor(self.program.basis), self.paid.currency)
            objects["line"] = {"amount": amount, "quantity": line.quantity}
            objects["product"] = product_values(line, self.paid, self.case, self.program)
        return fields.Facts(objects, self.at, self.program.zone)

    # Credits.

    def credits(self) -> list[Verdict]:
        """Each negative line, and a negative whole, under the terms of the charge; never more than that earned."""
        found = [v for line in self.paid.lines if line.net_minor < 0 for v in self._credit(line, line)]
        if self.total_minor < 0:
            chains = {line: self._chain(line) for line in self.paid.lines if line.net_minor < 0}
            charged = [line for line in chains if chains[line]]
            if charged:
                latest = max(charged, key=lambda line: self._place(chains[line][0]))
                found += self._credit(latest, None)
        return found

    def _chain(self, line: Line) -> tuple[LineRef, ...]:
        return self.case.chains.get((self.paid.key, line.key), ())

    def _place(self, ref: LineRef) -> tuple[datetime, LineRef]:
        return self.case.transactions[ref[0]].occurred_at, ref

    def _credit(self, credit: Line, judged: Line | None) -> Iterable[Verdict]:
        chain = self._chain(credit)
        if not chain:
            return ()
        charge, *earlier = chain
        terms = verdicts(charge[0], self.case, self.program)
        wanted = charge[1] if judged else None
        fired = [v for v in terms if v.line_key == wanted and v.desired and v.desired.amount_minor > 0]
        return [v for term in fired if (v := self._take_back(term, judged, earlier)) is not None]

    def _take_back(self, term: Verdict, judged: Line | None, earlier: Sequence[LineRef]) -> Verdict | None:
        charged, action = term.desired, term.trigger.action
        if charged is None or not isinstance(action, PercentAction):
            return None
        left = charged.amount_minor
        for ref in earlier:
            left -= min(left, -percent_of(self._amount_of(ref, judged), action.percent))
        amount_minor = judged.amount_minor(self.program.basis) if judged else self.total_minor
        taken = min(left, -percent_of(amount_minor, action.percent))
        if taken <= 0:
            return None
        arithmetic = _arithmetic(judged, amount_minor, self.paid, action.percent, -taken, self.program.basis)
        claimant = replace(
            charged.claimant, transaction_key=self.paid.key, line_key=judged.key if judged else None
        )  # fmt: skip
        asked = _desired(
            term.trigger, claimant, charged.member_key, charged.customer, -taken, arithmetic, self.at
        )  # fmt: skip
        return Verdict(term.trigger, claimant.line_key, f"credits {charged.claimant.transaction_key}", asked)

    def _amount_of(self, ref: LineRef, judged: Line | None) -> int:
        """What an earlier credit on the same charge amounts to; never above zero."""
        paid = self.case.transactions[ref[0]]
        amount = paid.line(ref[1]).amount_minor(self.program.basis) if judged else paid.amount_minor(self.program.basis)
        return min(0, amount)


def product_values(
    line: Line, paid: Transaction, case: CaseFile, program: Program
) -> Mapping[str, object] | fields.Unknown:
    """The product a line paid for, as rules see it, as of the payment."""
    if line.product_key is None:
        return fields.Unknown("the line names no product")
    entry = program.catalogue.match(line.price_keys, line.product_key) or placeholder(paid.provider, line.product_key)
    values: dict[str, object] = {"name": entry.name_at(paid.occurred_at), "key": entry.key}
    if line.subscription_key is not None:
        history = case.products.get((paid.provider, line.subscription_key, line.product_key), ())
        if (version := version_at(history, paid.occurred_at)) is not None:
            amount = None
            if version.amount_minor is not None:
                amount = Money(version.amount_minor, version.currency or paid.currency)
            values |= {"status": version.status, "amount": amount, "quantity": version.quantity}
        values["created"] = purchased_at(history)
    elif line.net_minor > 0:
        values |= {"status": ProductStatus.ACTIVE, "created": paid.occurred_at}
    return values


def _partner_values(partner: Partner, at: datetime) -> Mapping[str, object]:
    version = partner.version_at(at)
    return {
        "key": partner.partner_key,
        "group": version.group,
        "tags": version.tags,
        "joined": partner.joined_at,
        "country": version.country,
        "metadata": version.metadata,
    }


def _worth(
    trigger: Trigger, line: Line | None, amount_minor: int, paid: Transaction, basis: Basis
) -> tuple[int, str, str]:
    """Amount in minor units, its currency and the arithmetic behind it."""
    match trigger.action:
        case PercentAction(percent=percent):
            earned = percent_of(amount_minor, percent)
            return earned, paid.currency, _arithmetic(line, amount_minor, paid, percent, earned, basis)
        case FlatAction(amount_minor=flat, currency=currency):
            return flat, currency, f"flat {format_money(flat, currency)}"


def _arithmetic(
    line: Line | None, amount_minor: int, paid: Transaction, percent: Decimal, earned: int, basis: Basis
) -> str:
    """`120.00 USD line - 24.00 USD discount = 96.00 USD x 25 % = 24.00 USD`."""
    gross = line.gross_minor if line else sum(each.gross_minor for each in paid.lines)
    what = "line" if line else "payment"
    left = f"{format_money(gross, paid.currency)} {what}"
    if basis is Basis.NET and gross != amount_minor:
        discount = format_money(gross - amount_minor, paid.currency)
        left += f" - {discount} discount = {format_money(amount_minor, paid.currency)}"
    return f"{left} x {format(percent.normalize(), 'f')} % = {format_money(earned, paid.currency)}"


def _desired(
    trigger: Trigger,
    claimant: Claimant,
    member_key: str | None,
    customer: str,
    amount_minor: int,
    arithmetic: str,
    at: datetime,
) -> Desired:
    return Desired(
        claimant=claimant,
        trigger_version=trigger.version,
        member_key=member_key,
        customer=customer,
        amount_minor=amount_minor,
        arithmetic=arithmetic,
        offer=trigger.offer_description,
        earned_at=at,
    )


def _exclusive(found: list[Verdict]) -> list[Verdict]:
    """Drop what lost to an earlier trigger of its exclusive group, on the same line or on the whole."""
    kept: list[Verdict] = []
    result: list[Verdict] = []
    for verdict in found:
        winner = next((k for k in kept if _competes(k, verdict)), None) if _exclusive_group(verdict) else None
        if winner is not None:
            reason = f"{winner.trigger.name} comes first in group {verdict.trigger.exclusive_group}"
            result.append(replace(verdict, desired=None, reason=reason))
            continue
        kept.append(verdict)
        result.append(verdict)
    return result


def _exclusive_group(verdict: Verdict) -> str | None:
    return verdict.trigger.exclusive_group if verdict.desired else None


def _competes(winner: Verdict, other: Verdict) -> bool:
    same_group = _exclusive_group(winner) is not None and _exclusive_group(winner) == _exclusive_group(other)
    same_money = winner.line_key == other.line_key or winner.line_key is None or other.line_key is None
    return same_group and winner.trigger.key != other.trigger.key and same_money
