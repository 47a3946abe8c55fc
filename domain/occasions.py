"""Occasions other than payments: a product is bought or changes its status, a customer comes to be, a partner joins.

They follow from the same histories that payments are judged by. A late fact that moves an occasion takes the old one's
commission back and books the new one's, because the moment is part of an occasion's key.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain import fields, ids, rules
from domain.case import Program, Verdict
from domain.commissions import Claimant, Desired
from domain.customers import Attribution, Claim, attribution_at, attributions
from domain.earnings import spread
from domain.facts import CustomerSeen, ProductStatus
from domain.known import ProductKey
from domain.limits import Room, Usage, room
from domain.money import format_money
from domain.partners import Partner
from domain.products import ProductVersion, purchased_at, version_at
from domain.readings import Values, customer_values, partner_values, payee_of, product_values
from domain.standings import Standing
from domain.triggers import FlatAction, Trigger, TriggerEvent, in_force
from domain.windows import epoch_ms


@dataclass(frozen=True, slots=True)
class CustomerFile:
    """All that judging one customer's occasions reads. Without `customer`, nobody has linked them: there are none."""

    customer: str | None
    created_at: datetime | None = None
    claims: tuple[Claim, ...] = ()
    #: About single products and subscriptions, by subject.
    sale_claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    descriptions: tuple[CustomerSeen, ...] = ()
    #: Every product of the customer, whole histories, oldest version first.
    products: Mapping[ProductKey, tuple[ProductVersion, ...]] = field(default_factory=dict)
    #: Where the customer stood after its last payment by then, per moment; see `moments`.
    standings: Mapping[datetime, Standing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something a trigger other than one on payments waits for."""

    event: TriggerEvent
    key: str
    at: datetime
    #: Under which its commissions are found again; see `domain.ids`.
    subject: str
    product: ProductKey | None = None


def subjects_of(file: CustomerFile) -> set[str]:
    """Every subject whose commissions this customer's occasions account for."""
    found = {ids.subscription_subject(provider, subscription) for provider, subscription, _ in file.products}
    return found | ({ids.customer_subject(file.customer)} if file.customer is not None else set())


def occasions_of(file: CustomerFile) -> list[Occasion]:
    """Every occasion of a customer, in the order in which they happened."""
    found: list[Occasion] = []
    if file.customer is not None and file.created_at is not None:
        subject = ids.customer_subject(file.customer)
        found.append(Occasion(TriggerEvent.CUSTOMER_CREATED, file.customer, file.created_at, subject))
    if file.customer is not None:
        for product, history in file.products.items():
            found += _of_product(product, history)
    return sorted(found, key=lambda occasion: (occasion.at, occasion.event, occasion.key))


def _of_product(product: ProductKey, history: Sequence[ProductVersion]) -> Iterator[Occasion]:
    provider, subscription, product_key = product
    subject = ids.subscription_subject(provider, subscription)
    key = f"{provider}:{subscription}/{product_key}"
    if (bought_at := purchased_at(history)) is not None:
        yield Occasion(TriggerEvent.PRODUCT_CREATED, key, bought_at, subject, product)
    status = ProductStatus.NONE
    for version in history:
        if version.status is not status:
            moment = f"{key}@{epoch_ms(version.effective_at)}"
            yield Occasion(TriggerEvent.PRODUCT_STATUS_CHANGED, moment, version.effective_at, subject, product)
        status = version.status


def moments(file: CustomerFile) -> list[datetime]:
    """When the customer's standing is needed."""
    return sorted({occasion.at for occasion in occasions_of(file)})


def customer_verdicts(file: CustomerFile, program: Program, *, traced: bool = False) -> list[tuple[Occasion, Verdict]]:
    """Every trigger in force on every occasion of a customer; limits count along."""
    usage: dict[str, Usage] = {}
    found: list[tuple[Occasion, Verdict]] = []
    for occasion in occasions_of(file):
        payee = payee_on(occasion, file, program)
        facts = _customer_facts(occasion, payee, file, program)
        judge = _Judge(occasion, payee, facts, file, program, usage, traced)
        found += [(occasion, verdict) for verdict in judge.verdicts()]
    return found


def partner_verdicts(partner_key: str, program: Program, *, traced: bool = False) -> list[tuple[Occasion, Verdict]]:
    """Every trigger in force when a partner joined."""
    partner = program.partners[partner_key]
    occasion = joining_of(partner)
    facts = fields.Facts({"partner": partner_values(partner, occasion.at)}, occasion.at, program.zone)
    payee = Attribution(occasion.at, partner_key, None)
    judge = _Judge(occasion, payee, facts, CustomerFile(None), program, {}, traced)
    return [(occasion, verdict) for verdict in judge.verdicts()]


def joining_of(partner: Partner) -> Occasion:
    """A partner's own occasion."""
    subject = ids.partner_subject(partner.partner_key)
    return Occasion(TriggerEvent.PARTNER_JOINED, partner.partner_key, partner.joined_at, subject)


def payee_on(occasion: Occasion, file: CustomerFile, program: Program) -> Attribution | None:
    """Whom an occasion of a customer pays; None: nobody had them at the time."""
    if occasion.product is None:
        return attribution_at(attributions(file.claims, program.lookback), occasion.at)
    return payee_of(occasion.product, file.claims, file.sale_claims, occasion.at, program)


def _customer_facts(
    occasion: Occasion, payee: Attribution | None, file: CustomerFile, program: Program
) -> fields.Facts | str:
    """What rules can read on an occasion, or a sentence why nobody can be paid for it."""
    if payee is None:
        return "the customer was not attributed to a partner at the time"
    if (partner := program.partners.get(payee.partner_key)) is None:
        return f'"{payee.partner_key}" is not a partner of the program'
    standing = file.standings.get(occasion.at, Standing())
    objects: dict[str, Values | fields.Unknown] = {
        "partner": partner_values(partner, occasion.at),
        "customer": customer_values(file.created_at, file.descriptions, standing, occasion.at, _currency(standing)),
    }
    if occasion.product is not None:
        provider, _, product_key = occasion.product
        history = file.products[occasion.product]
        objects["product"] = product_values(provider, product_key, history, occasion.at, program)
    return fields.Facts(objects, occasion.at, program.zone)


def _currency(standing: Standing) -> str | None:
    """What revenue is counted in where no payment says it: the currency the customer has paid in, if it is one."""
    return next(iter(standing.revenue)) if len(standing.revenue) == 1 else None


@dataclass(frozen=True, slots=True)
class _Judge:
    """One occasion under all triggers on its event; `usage` grows as limited ones fire."""

    occasion: Occasion
    payee: Attribution | None
    facts: fields.Facts | str
    file: CustomerFile
    program: Program
    usage: dict[str, Usage]
    traced: bool

    def verdicts(self) -> list[Verdict]:
        """In the order of their position, for what an earlier one takes of a group or a limit is gone."""
        versions = (in_force(each, self.occasion.at) for each in self.program.docket.on_occasions)
        asked = [trigger for trigger in versions if trigger is not None and trigger.event is self.occasion.event]
        found: list[Verdict] = []
        for trigger in sorted(asked, key=lambda trigger: (trigger.position, trigger.key)):
            found.append(self._verdict(trigger, found))
        return found

    def _verdict(self, trigger: Trigger, earlier: Iterable[Verdict]) -> Verdict:
        if isinstance(self.facts, str) or self.payee is None:
            return Verdict(trigger, None, str(self.facts))
        trace = rules.judge(trigger.rules, self.facts) if self.traced else None
        if not rules.holds(trigger.rules, self.facts):
            return Verdict(trigger, None, "its rules do not hold", trace=trace)
        for other in earlier if trigger.exclusive_group is not None else ():
            if other.fired and other.trigger.exclusive_group == trigger.exclusive_group:
                reason = f"{other.trigger.name} comes first in group {trigger.exclusive_group}"
                return Verdict(trigger, None, reason, trace=trace)
        action = trigger.action
        assert isinstance(action, FlatAction)  # the trigger's document was refused otherwise
        left = self._room(trigger, action)
        if left.amount_minor == 0:
            return Verdict(trigger, None, f"its rules hold, but {left.reason}", trace=trace)
        return self._fired(trigger, action, left, self.payee, trace)

    def _room(self, trigger: Trigger, action: FlatAction) -> Room:
        if action.limit is None:
            return Room(action.amount_minor)
        usage = self.usage.get(trigger.key)
        return room(action.limit, usage, self.occasion.at, action.currency, action.amount_minor, self.program.zone)

    def _fired(
        self, trigger: Trigger, action: FlatAction, left: Room, payee: Attribution, trace: rules.Trace | None
    ) -> Verdict:
        at, text = self.occasion.at, f"flat {format_money(action.amount_minor, action.currency)}"
        if action.limit is not None:
            usage = self.usage.get(trigger.key) or Usage(0, at)
            self.usage[trigger.key] = usage.and_once_more(action.currency, left.amount_minor)
        whole = Desired(
            claimant=Claimant(
                trigger.key, self.occasion.key, None, payee.partner_key, action.currency, event=self.occasion.event
            ),
            trigger_version=trigger.version,
            member_key=payee.member_key,
            customer=self.file.customer,
            amount_minor=left.amount_minor,
            arithmetic=text if left.reason is None else f"{text}; {left.reason}",
            offer=trigger.offer_description,
            earned_at=at,
        )
        parts = spread(whole, action.drip, self.program.zone, self._is_churned_at)
        return Verdict(trigger, None, "its rules hold", whole, trace, parts, left.amount_minor)

    def _is_churned_at(self, moment: datetime) -> bool:
        if self.occasion.product is None:
            return False
        version = version_at(self.file.products[self.occasion.product], moment)
        return version is not None and version.status is ProductStatus.CHURNED
