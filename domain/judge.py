"""Judge transactions: which triggers fire, whom they pay, how much. The second, pure half of deciding.

Everything is judged as of the moment the transaction was paid. A credit is judged under the terms that paid the
charge it takes back. `verdicts` with traces is what explains; without, it is what the drain runs: one function.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from domain import fields, ids, rules
from domain.case import CaseFile, Program, Verdict
from domain.catalogue import Entry, placeholder
from domain.commissions import Claimant, CommissionState, Desired
from domain.customers import Attribution, attribution_at, attributions
from domain.docket import Versions
from domain.facts import ProductStatus
from domain.money import Money, format_money, percent_of
from domain.partners import Partner
from domain.products import purchased_at, version_at
from domain.transactions import Basis, Line, Transaction
from domain.triggers import FlatAction, PercentAction, Trigger, TriggerEvent, in_force


def desired(transaction_key: str, case: CaseFile, program: Program) -> list[Desired]:
    """What each commission on a transaction should amount to."""
    found = verdicts(transaction_key, case, program)
    return [verdict.desired for verdict in found if verdict.desired is not None]


def verdicts(transaction_key: str, case: CaseFile, program: Program, *, traced: bool = False) -> list[Verdict]:
    """Every trigger on every line and on the whole, those that lost within their exclusive group included."""
    judge = _Judge(case.transactions[transaction_key], case, program, traced)
    return judge.charges() + judge.credits()


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
        self._payees: dict[str | None, Attribution | None] = {}

    def charges(self) -> list[Verdict]:
        """Every trigger in force, on every line and on the whole; a credit is none of its business.

        Without traces, those are left out that ask for other products.
        """
        asked = [*self._on_the_whole(), *(pair for line in self.paid.lines for pair in self._on_line(line))]
        asked.sort(key=lambda pair: (pair[0].position, pair[0].key))
        return _exclusive([self._verdict(trigger, line) for trigger, line in asked])

    def _on_the_whole(self) -> Iterator[tuple[Trigger, Line | None]]:
        for trigger in self._in_force(self.program.docket.on_the_whole):
            if not trigger.per_line:
                yield trigger, None

    def _on_line(self, line: Line) -> Iterator[tuple[Trigger, Line | None]]:
        docket = self.program.docket
        found = self.program.triggers.values() if self.traced else docket.on_line(self._product_name(line))
        for trigger in self._in_force(found):
            if trigger.per_line:
                yield trigger, line

    def _in_force(self, triggers: Iterable[Versions]) -> Iterator[Trigger]:
        for versions in triggers:
            trigger = in_force(versions, self.at)
            if trigger is not None and trigger.event is TriggerEvent.TRANSACTION_CREATED:
                yield trigger

    def _product_name(self, line: Line) -> str | None:
        if line.product_key is None:
            return None
        return entry_of(line, self.paid.provider, line.product_key, self.program).name_at(self.at)

    def _verdict(self, trigger: Trigger, line: Line | None) -> Verdict:
        amount_minor = line.amount_minor(self.program.basis) if line else self.total_minor
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
        payee = self._payee(line)
        customer = customer_of(self.paid, self.case)
        assert payee is not None and customer is not None  # `_facts_on` answered with facts
        amount, currency, arithmetic = _worth(trigger, line, amount_minor, self.paid, self.program.basis)
        if amount == 0:
            return Verdict(trigger, key, f"its rules hold, but {arithmetic}", trace=trace)
        claimant = Claimant(trigger.key, self.paid.key, key, payee.partner_key, currency)
        asked = _desired(trigger, claimant, payee.member_key, customer, amount, arithmetic, self.at)
        return Verdict(trigger, key, "its rules hold", asked, trace)

    def _payee(self, line: Line | None) -> Attribution | None:
        key = line.key if line else None
        if key not in self._payees:
            self._payees[key] = attribution_of(line, self.paid, self.case, self.program)
        return self._payees[key]

    def _facts_on(self, line: Line | None) -> fields.Facts | str:
        key = line.key if line else None
        if key not in self._facts:
            self._facts[key] = self._build_facts(line)
        return self._facts[key]

    def _build_facts(self, line: Line | None) -> fields.Facts | str:
        """What rules can read on a line or the whole, or a sentence why nobody can be paid for it."""
        if customer_of(self.paid, self.case) is None:
            return f"customer {self.paid.provider_customer_key or 'nobody'} is not linked to one of ours"
        payee = self._payee(line)
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
        found = [v for line in self.paid.lines if line.net_minor < 0 for v in self._line_credit(line)]
        if self.total_minor < 0:
            found += self._whole_credit()
        return found

    def _line_credit(self, credit: Line) -> Iterable[Verdict]:
        chain = self.case.chains.get((self.paid.key, credit.key), ())
        if not chain:
            return
        (charge, charged_line), *earlier = chain
        basis = self.program.basis
        taken = [self.case.transactions[paid].line(line).amount_minor(basis) for paid, line in earlier]
        yield from self._take_back(charge, charged_line, credit, taken)

    def _whole_credit(self) -> Iterable[Verdict]:
        charge = charge_of_whole(self.paid, self.case)
        if charge is None:
            return
        others = (self.case.transactions[key] for key in self.case.credited_by.get(charge, ()))
        earlier = sorted((other for other in others if _moment(other) < _moment(self.paid)), key=_moment)
        taken = [
            other.amount_minor(self.program.basis) for other in earlier if charge_of_whole(other, self.case) == charge
        ]
        yield from self._take_back(charge, None, None, taken)

    def _take_back(
        self, charge: str, charged_line: str | None, credit: Line | None, taken: Sequence[int]
    ) -> Iterable[Verdict]:
        """What each trigger that paid on the charge gets back, less what earlier credits on it took (their amounts)."""
        terms = _Judge(self.case.transactions[charge], self.case, self.program, traced=False).charges()
        for term in terms:
            if term.line_key != charged_line or term.desired is None or self._is_declined(term.desired.claimant):
                continue
            if (verdict := self._taken_back(term.trigger, term.desired, credit, taken)) is not None:
                yield verdict

    def _taken_back(
        self, trigger: Trigger, charged: Desired, credit: Line | None, taken: Sequence[int]
    ) -> Verdict | None:
        if not isinstance(trigger.action, PercentAction) or charged.claimant.currency != self.paid.currency:
            return None
        percent, basis = trigger.action.percent, self.program.basis
        left = charged.amount_minor
        for earlier_minor in taken:
            left -= min(left, max(0, -percent_of(earlier_minor, percent)))
        amount_minor = credit.amount_minor(basis) if credit else self.total_minor
        back = min(left, -percent_of(amount_minor, percent))
        if back <= 0:
            return None
        arithmetic = _arithmetic(credit, amount_minor, self.paid, percent, -back, basis)
        key = credit.key if credit else None
        claimant = replace(charged.claimant, transaction_key=self.paid.key, line_key=key)
        asked = _desired(trigger, claimant, charged.member_key, charged.customer, -back, arithmetic, self.at)
        return Verdict(trigger, key, f"credits {charged.claimant.transaction_key}", asked)

    def _is_declined(self, claimant: Claimant) -> bool:
        """What was never paid out is not taken back."""
        booked = self.case.booked.get(claimant.transaction_key, ())
        return any(c.claimant == claimant and c.state is CommissionState.DECLINED for c in booked)


def charge_of_whole(credit: Transaction, case: CaseFile) -> str | None:
    """The transaction whose terms a negative whole is judged under: the latest that any of its credit lines names."""
    chains = (case.chains.get((credit.key, line.key), ()) for line in credit.lines if line.net_minor < 0)
    charges = [case.transactions[chain[0][0]] for chain in chains if chain]
    return max(charges, key=_moment).key if charges else None


def _moment(paid: Transaction) -> tuple[datetime, str]:
    return paid.occurred_at, paid.key


def entry_of(line: Line, provider: str, product_key: str, program: Program) -> Entry:
    """The product book entry of a line; a sold product that the book lacks is called by its provider's id."""
    return program.catalogue.match(line.price_keys, product_key) or placeholder(provider, product_key)


def product_values(
    line: Line, paid: Transaction, case: CaseFile, program: Program
) -> Mapping[str, object] | fields.Unknown:
    """The product a line paid for, as rules see it, as of the payment."""
    if line.product_key is None:
        return fields.Unknown("the line names no product")
    entry = entry_of(line, paid.provider, line.product_key, program)
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
