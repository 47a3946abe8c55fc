"""Judge transactions: which triggers fire, whom they pay, how much. The second, pure half of deciding.

Everything is judged as of the moment the transaction was paid. A credit is judged under the terms that paid the
charge it takes back. `verdicts` with traces is what explains; without, it is what the drain runs: one function.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from domain import fields, rules
from domain.case import CaseFile, Program, Verdict
from domain.commissions import Claimant, CommissionState, Desired
from domain.customers import Attribution
from domain.docket import ALL_NEEDED, Versions
from domain.earnings import Earning, credited, earning_on, kept_back, limited, plain, spread
from domain.facts import ProductStatus
from domain.limits import room
from domain.money import Money, format_money, percent_of
from domain.partners import Partner
from domain.products import ProductVersion, version_at
from domain.readings import (
    NO_PRODUCT,
    Values,
    customer_values,
    line_product_names,
    line_product_states,
    partner_values,
    payee_of,
)
from domain.standings import Standing
from domain.transactions import Line, Transaction
from domain.triggers import PercentAction, Trigger, TriggerEvent, in_force

#: The standing before a transaction, given its key.
StandingBefore = Callable[[str], Standing]

#: A trigger, what it is asked of (None: the whole), why it does not fire as far as that is known by now, and its trace.
_Asked = tuple[Trigger, Line | None, str | None, rules.Trace | None]


def desired(transaction_key: str, case: CaseFile, program: Program) -> list[Desired]:
    """What each commission on a transaction should amount to, its customer standing where it is recorded to."""
    return [each for verdict in verdicts(transaction_key, case, program) for each in verdict.instalments]


def verdicts(transaction_key: str, case: CaseFile, program: Program, *, traced: bool = False) -> list[Verdict]:
    """Every trigger on every line and on the whole, those that lost within their exclusive group included."""
    judge = Judge(case.transactions[transaction_key], case, program, recorded_standing(case), traced=traced)
    return judge.charges() + judge.credits()


def recorded_standing(case: CaseFile) -> StandingBefore:
    """Where a customer stood before a transaction, as recorded."""

    def before(key: str) -> Standing:
        return case.standings.get(case.previous.get(key) or "", Standing())

    return before


def attribution_of(line: Line | None, paid: Transaction, case: CaseFile, program: Program) -> Attribution | None:
    """Whom a line pays: its product's partner, its subscription's, its customer's. None names the whole transaction."""
    place = paid.place_of(line) if line is not None else (paid.provider, None, None)
    claims = case.customer_claims.get(customer_of(paid, case) or "", ())
    return payee_of(place, claims, case.sale_claims, paid.occurred_at, program)


def customer_of(paid: Transaction, case: CaseFile) -> str | None:
    """Our key of the customer who paid; None while nobody has linked them."""
    if paid.provider_customer_key is None:
        return None
    return case.customers.get((paid.provider, paid.provider_customer_key))


def history_of(line: Line, paid: Transaction, case: CaseFile) -> Sequence[ProductVersion]:
    """The versions of the product a line paid for, oldest first; none without a subscription."""
    provider, subscription_key, product_key = paid.place_of(line)
    if subscription_key is None or product_key is None:
        return ()
    return case.products.get((provider, subscription_key, product_key), ())


class Judge:
    """One transaction under all triggers, its customer standing where `standing_before` says."""

    def __init__(
        self,
        paid: Transaction,
        case: CaseFile,
        program: Program,
        standing_before: StandingBefore,
        *,
        traced: bool,
        worded: bool = True,
    ) -> None:
        """`worded`: commissions say their arithmetic; False where only amounts are asked for."""
        self.paid = paid
        self.case = case
        self.program = program
        self.traced = traced
        self.worded = worded
        self.at = paid.occurred_at
        self.customer = customer_of(paid, case)
        self.total_minor = paid.amount_minor(program.basis)
        #: Where the customer stands after this payment and what its triggers fired so far.
        self.standing = standing_before(paid.key).paid(paid)
        self._standing_before = standing_before
        self._needed = ALL_NEEDED if traced else program.docket.needed
        self._payees: dict[str | None, Attribution | None] = {}
        self._sold: dict[str, dict[str, str] | None] = {}

    def fired(self) -> list[Verdict]:
        """The charges and credits that fired: what money follows from."""
        return self._charges(lost_too=False) + self.credits()

    def charges(self) -> list[Verdict]:
        """Every trigger in force, on every line and on the whole; a credit is none of its business.

        Without traces, those are left out that ask for other products. Triggers are asked in the order of their
        position, for what an earlier one takes of a group or a limit is gone.
        """
        return self._charges(lost_too=True)

    def _charges(self, *, lost_too: bool) -> list[Verdict]:
        asked = [each for line in (None, *self.paid.lines) for each in self._asked(line, lost_too=lost_too)]
        asked.sort(key=lambda each: (each[0].position, each[0].key))
        found: list[Verdict] = []
        for trigger, line, reason, trace in asked:
            earning = reason or self._earning(trigger, line, found)
            if not isinstance(earning, str):
                found.append(self._fired(trigger, line, earning, trace))
            elif lost_too:
                found.append(Verdict(trigger, line.key if line else None, earning, trace=trace))
        return found

    def _asked(self, line: Line | None, *, lost_too: bool) -> Iterator[_Asked]:
        """The triggers on a line or on the whole: those whose rules hold, and if wanted why the others do not fire."""
        triggers = self._triggers_on(line)
        facts = self._facts_on(line) if triggers else ""
        if isinstance(facts, str):
            yield from ((trigger, line, facts, None) for trigger in (triggers if lost_too else ()))
            return
        for trigger in triggers:
            trace = rules.judge(trigger.rules, facts) if self.traced else None
            if rules.holds(trigger.rules, facts):
                yield trigger, line, None, trace
            elif lost_too:
                yield trigger, line, "its rules do not hold", trace

    def _triggers_on(self, line: Line | None) -> list[Trigger]:
        docket, per_line = self.program.docket, line is not None
        if self.traced:
            found: Iterable[Versions] = self.program.triggers.values()
        elif per_line or docket.asks_of_the_whole:
            named = self._names_on(line)
            found = docket.on_line(named) if per_line else docket.on_the_whole(named)
        else:
            return []
        return [
            trigger
            for versions in found
            if (trigger := in_force(versions, self.at)) is not None
            and trigger.per_line is per_line
            and trigger.event is TriggerEvent.TRANSACTION_CREATED
        ]

    def _names_on(self, line: Line | None) -> dict[str, str]:
        """What the docket finds triggers by."""
        sold = self._named(line) if line is not None else None
        named = {f"product.{item}": text for item, text in (sold or {}).items()}
        if self.program.docket.names_partners and (payee := self._payee(line)) is not None:
            named["partner.key"] = payee.partner_key
            partner = self.program.partners.get(payee.partner_key)
            if partner is not None and (group := partner.version_at(self.at).group) is not None:
                named["partner.group"] = group
        return named

    def product_name(self, line: Line) -> str | None:
        """What the product that a line paid for was called then; None without a product."""
        named = self._named(line)
        return None if named is None else named["name"]

    def _named(self, line: Line) -> dict[str, str] | None:
        """What a rule can read of the product that does not depend on how it stood."""
        if line.key not in self._sold:
            self._sold[line.key] = line_product_names(line, self.paid, self.program)
        return self._sold[line.key]

    def _product(self, line: Line) -> Values | fields.Unknown:
        named = self._named(line)
        if named is None:
            return NO_PRODUCT
        if not self._needed.product_states:
            return named
        return {**named, **line_product_states(line, self.paid, history_of(line, self.paid, self.case))}

    def _earning(self, trigger: Trigger, line: Line | None, earlier: Sequence[Verdict]) -> Earning | str:
        """What a trigger whose rules hold earns, within its group and limit; a sentence where that is nothing."""
        if (winner := _winner(trigger, line.key if line else None, earlier)) is not None:
            return f"{winner.trigger.name} comes first in group {trigger.exclusive_group}"
        earning = earning_on(trigger.action, line, self.paid, self.program.basis, worded=self.worded)
        if earning.as_paid_minor == 0:
            return f"its rules hold, but {earning.arithmetic}"
        if (limit := trigger.action.limit) is None:
            return earning
        usage = self.standing.usage.get(trigger.key)
        left = room(limit, usage, self.at, earning.currency, earning.as_paid_minor, self.program.zone)
        if left.amount_minor == 0:
            return f"its rules hold, but {left.reason}"
        return earning if left.reason is None else limited(earning, left.amount_minor, left.reason)

    def _fired(self, trigger: Trigger, line: Line | None, earning: Earning, trace: rules.Trace | None) -> Verdict:
        payee, customer = self._payee(line), self.customer
        assert payee is not None and customer is not None  # `_facts_on` answered with facts
        if trigger.action.limit is not None:
            self.standing = self.standing.fired(trigger.key, self.at, earning.currency, earning.as_paid_minor)
        key = line.key if line else None
        whole = Desired(
            claimant=Claimant(trigger.key, self.paid.key, key, payee.partner_key, earning.currency),
            trigger_version=trigger.version,
            member_key=payee.member_key,
            customer=customer,
            amount_minor=earning.amount_minor,
            arithmetic=earning.arithmetic,
            offer=trigger.offer_description,
            earned_at=self.at,
        )
        drip = trigger.action.drip
        booked = (whole,) if drip is None else spread(whole, drip, self.program.zone, self._churn_of(line))
        return Verdict(trigger, key, "its rules hold", whole, trace, booked, earning.as_paid_minor)

    def _churn_of(self, line: Line | None) -> Callable[[datetime], bool]:
        """Whether the product paid for, or with None every product paid for, is Churned at a moment."""
        lines = [line] if line is not None else [each for each in self.paid.lines if each.net_minor > 0]
        histories = [history_of(each, self.paid, self.case) for each in lines if each.product_key is not None]

        def is_churned_at(moment: datetime) -> bool:
            versions = [version_at(history, moment) for history in histories]
            return bool(versions) and all(v is not None and v.status is ProductStatus.CHURNED for v in versions)

        return is_churned_at

    def _payee(self, line: Line | None) -> Attribution | None:
        """Where nothing was said of single sales, all lines are paid like the whole."""
        of_its_own = line if self.case.sale_claims else None
        key = of_its_own.key if of_its_own else None
        if key not in self._payees:
            self._payees[key] = attribution_of(of_its_own, self.paid, self.case, self.program)
        return self._payees[key]

    def _facts_on(self, line: Line | None) -> fields.Facts | str:
        """What rules can read on a line or the whole, or a sentence why nothing can be paid for it."""
        amount_minor = line.amount_minor(self.program.basis) if line else self.total_minor
        what = "line" if line else "payment"
        if amount_minor == 0:
            return f"a {what} of zero fires nothing"
        if amount_minor < 0:
            return f"a negative {what} is judged under the terms that paid the charge it credits"
        customer = self.customer
        if customer is None:
            return f"customer {self.paid.provider_customer_key or 'nobody'} is not linked to one of ours"
        payee = self._payee(line)
        if payee is None:
            return "the customer was not attributed to a partner at the time"
        partner = self.program.partners.get(payee.partner_key)
        if partner is None:
            return f'"{payee.partner_key}" is not a partner of the program'
        return fields.Facts(self._objects(line, customer, partner), self.at, self.program.zone)

    def _objects(self, line: Line | None, customer: str, partner: Partner) -> dict[str, Values | fields.Unknown]:
        needed = self._needed.objects
        objects: dict[str, Values | fields.Unknown] = {}
        if "partner" in needed:
            objects["partner"] = partner_values(partner, self.at)
        if "customer" in needed:
            created_at, said = self.case.customers_created.get(customer), self.case.descriptions.get(customer, ())
            objects["customer"] = customer_values(created_at, said, self.standing, self.at, self.paid.currency)
        if "transaction" in needed:
            objects["transaction"] = {
                "amount": Money(self.total_minor, self.paid.currency),
                "currency": self.paid.currency,
                "created": self.at,
                "number": self.standing.number,
                "metadata": self.paid.metadata or {},
            }
        if line is not None and "line" in needed:
            amount = Money(line.amount_minor(self.program.basis), self.paid.currency)
            objects["line"] = {"amount": amount, "quantity": line.quantity}
        if line is not None and "product" in needed:
            objects["product"] = self._product(line)
        return objects

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
        taken = [self.case.transactions[paid].line(line).net_minor for paid, line in earlier]
        yield from self._take_back(charge, charged_line, credit, taken)

    def _whole_credit(self) -> Iterable[Verdict]:
        charge = charge_of_whole(self.paid, self.case)
        if charge is None:
            return
        others = (self.case.transactions[key] for key in self.case.credited_by.get(charge, ()))
        earlier = sorted((other for other in others if moment_of(other) < moment_of(self.paid)), key=moment_of)
        taken = [other.net_minor for other in earlier if charge_of_whole(other, self.case) == charge]
        yield from self._take_back(charge, None, None, taken)

    def _take_back(
        self, charge: str, charged_line: str | None, credit: Line | None, taken: Sequence[int]
    ) -> Iterable[Verdict]:
        """What each trigger that paid on the charge gets back, less what earlier credits on it took (their money)."""
        charged = self.case.transactions[charge]
        share = charged if charged_line is None else charged.line(charged_line)
        judge = Judge(charged, self.case, self.program, self._standing_before, traced=False, worded=self.worded)
        for term in judge._charges(lost_too=False):
            if term.line_key != charged_line or term.desired is None:
                continue
            if (verdict := self._taken_back(term, term.desired, share, credit, taken)) is not None:
                yield verdict

    def _taken_back(
        self, term: Verdict, charged: Desired, share: Line | Transaction, credit: Line | None, taken: Sequence[int]
    ) -> Verdict | None:
        """What a limit cut off, a churn stopped or a person declined was never paid out: it counts towards the first
        credits. `share` is the charge: what a credit gives back is a part of what was paid for it.
        """
        trigger, action = term.trigger, term.trigger.action
        if not isinstance(action, PercentAction) or charged.claimant.currency != self.paid.currency:
            return None
        basis = self.program.basis
        left = percent_of(max(0, share.left_minor(basis)), action.percent)
        stopped = left - charged.amount_minor + kept_back(charged, term.instalments)
        stopped += sum(self._declined(part) for part in term.instalments)
        for earlier_minor in taken:
            back = min(left, max(0, percent_of(share.worth_minor(-earlier_minor, basis), action.percent)))
            left, stopped = left - back, max(0, stopped - back)
        worth_minor = share.worth_minor(-(credit or self.paid).net_minor, basis)
        back = min(left, percent_of(worth_minor, action.percent)) - stopped
        if back <= 0:
            return None
        text = f"{credited(credit, self.paid, share, basis)} x {plain(action.percent)} %"
        key = credit.key if credit else None
        wanted = replace(
            charged,
            claimant=replace(charged.claimant, occasion_key=self.paid.key, line_key=key),
            amount_minor=-back,
            arithmetic=f"{text} = {format_money(-back, self.paid.currency)}",
            earned_at=self.at,
        )
        return Verdict(trigger, key, f"credits {charged.claimant.occasion_key}", wanted, None, (wanted,), -back)

    def _declined(self, part: Desired) -> int:
        """How much of an instalment a person refused to pay: all of it, or what a later adjustment would have added.

        An adjustment that would have taken something back was forgiven: the rest of the commission was paid out.
        """
        booked = self.case.booked.get(part.claimant.occasion_key, ())
        declined = [c for c in booked if c.claimant == part.claimant and c.state is CommissionState.DECLINED]
        if any(c.part == 0 for c in declined):
            return part.amount_minor
        return min(part.amount_minor, max(0, sum(c.amount_minor for c in declined)))


def charge_of_whole(credit: Transaction, case: CaseFile) -> str | None:
    """The transaction whose terms a negative whole is judged under: the latest that any of its credit lines names."""
    chains = (case.chains.get((credit.key, line.key), ()) for line in credit.lines if line.net_minor < 0)
    charges = [case.transactions[chain[0][0]] for chain in chains if chain]
    return max(charges, key=moment_of).key if charges else None


def moment_of(paid: Transaction) -> tuple[datetime, str]:
    """What puts transactions in order: when each was paid, then its key."""
    return paid.occurred_at, paid.key


def _winner(trigger: Trigger, line_key: str | None, earlier: Iterable[Verdict]) -> Verdict | None:
    """Of those that fired, the one before it in its exclusive group, on the same line or on the whole."""
    for verdict in earlier if trigger.exclusive_group is not None else ():
        same_money = verdict.line_key == line_key or verdict.line_key is None or line_key is None
        in_group = verdict.trigger.exclusive_group == trigger.exclusive_group
        if verdict.fired and in_group and same_money and verdict.trigger.key != trigger.key:
            return verdict
    return None
