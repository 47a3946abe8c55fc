"""Why each trigger fired or not: the same verdicts that booked the money, with every condition shown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.case import CaseFile, Program, Verdict
from domain.customers import Attribution
from domain.fields import Unknown
from domain.judge import attribution_of, history_of, verdicts
from domain.near_misses import difference_between
from domain.occasions import (
    CustomerFile,
    Occasion,
    customer_verdicts,
    joining_of,
    occasions_of,
    partner_verdicts,
    payee_on,
)
from domain.products import ProductVersion
from domain.readings import line_product_values, product_values
from domain.transactions import Line, Transaction
from domain.triggers import TriggerEvent, held_from


@dataclass(frozen=True, slots=True)
class LineExplanation:
    """One line as it was judged."""

    line: Line
    #: The product book entry's name as of the payment; None without a product.
    product_name: str | None
    #: `none`, `trial`, `active`, `churned`, as of the payment; None where nothing tells.
    product_status: str | None
    #: Why there is no product, or what a person would miss; None where there is nothing to say.
    reason: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A transaction as it was judged, as of the moment it was paid."""

    transaction: Transaction
    as_of: datetime
    #: Whom the whole pays; None while nobody is attributed.
    attribution: Attribution | None
    lines: tuple[LineExplanation, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class OccasionExplanation:
    """An occasion other than a payment as it was judged, as of when it happened."""

    event: TriggerEvent
    key: str
    #: None: from what is known today, it did not happen.
    occasion: Occasion | None
    #: Whom it pays; None while nobody is attributed, and where the partner's own joining is the occasion.
    attribution: Attribution | None = None
    #: The product book entry's name, and the product's status, as of then; None where it is about no product.
    product_name: str | None = None
    product_status: str | None = None
    verdicts: tuple[Verdict, ...] = ()


def explain(
    transaction_key: str,
    case: CaseFile,
    program: Program,
    similar: Mapping[str, Sequence[str]] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> Explanation:
    """Judge a transaction again, this time showing everything.

    `similar` maps a subscription key to keys of known subscriptions that equal it but for capitals; `reasons` says why
    posted lines were led to no product, by line key.
    """
    paid = case.transactions[transaction_key]
    return Explanation(
        transaction=paid,
        as_of=paid.occurred_at,
        attribution=attribution_of(None, paid, case, program),
        lines=tuple(_line(line, paid, case, program, similar or {}, reasons or {}) for line in paid.lines),
        verdicts=(
            *verdicts(transaction_key, case, program, traced=True),
            *_not_asked(TriggerEvent.TRANSACTION_CREATED, paid.occurred_at, program),
        ),
    )


def _not_asked(event: TriggerEvent, at: datetime, program: Program) -> Iterator[Verdict]:
    """A verdict for every trigger that was not asked of an event at that moment: the one a person misses is there."""
    what = "payments" if event is TriggerEvent.TRANSACTION_CREATED else event
    for _, versions in sorted(program.triggers.items()):
        trigger, *_ = held_from(versions, at)
        since = trigger.effective_from.astimezone(program.zone).isoformat(timespec="seconds")
        if trigger.effective_from > at:
            yield Verdict(trigger, None, f"it was not in force yet: it takes effect at {since}")
        elif not trigger.active:
            yield Verdict(trigger, None, f"it was switched off at the time, since {since}")
        elif trigger.event is not event:
            yield Verdict(trigger, None, f"it waits for {trigger.event}, not for {what}")


def explain_occasion(event: TriggerEvent, key: str, file: CustomerFile, program: Program) -> OccasionExplanation:
    """Judge one of a customer's occasions again, this time showing everything. The others count for its limits."""
    occasion = next((each for each in occasions_of(file) if (each.event, each.key) == (event, key)), None)
    if occasion is None:
        return OccasionExplanation(event, key, None)
    judged = customer_verdicts(file, program, traced=True)
    name = status = None
    if occasion.product is not None:
        provider, _, product_key = occasion.product
        values = product_values(provider, product_key, file.products[occasion.product], occasion.at, program)
        name, status = str(values["name"]), str(values["status"])
    return OccasionExplanation(
        event,
        key,
        occasion,
        payee_on(occasion, file, program),
        name,
        status,
        (*(verdict for each, verdict in judged if each == occasion), *_not_asked(event, occasion.at, program)),
    )


def explain_joining(partner_key: str, program: Program) -> OccasionExplanation:
    """Judge a partner's joining again, this time showing everything."""
    judged = partner_verdicts(partner_key, program, traced=True)
    occasion = joining_of(program.partners[partner_key])
    verdicts = (*(verdict for _, verdict in judged), *_not_asked(occasion.event, occasion.at, program))
    return OccasionExplanation(occasion.event, occasion.key, occasion, verdicts=verdicts)


def _line(
    line: Line,
    paid: Transaction,
    case: CaseFile,
    program: Program,
    similar: Mapping[str, Sequence[str]],
    reasons: Mapping[str, str],
) -> LineExplanation:
    history = history_of(line, paid, case)
    values = line_product_values(line, paid, history, program)
    alike = similar.get(line.subscription_key or "", ())
    if isinstance(values, Unknown):
        return LineExplanation(line, None, None, reasons.get(line.key) or _without_product(line, alike))
    status = values.get("status")
    return LineExplanation(
        line,
        str(values["name"]),
        None if status is None else str(status),
        _remark(line, history, program, alike),
    )


def _without_product(line: Line, alike: Iterable[str]) -> str:
    if line.subscription_key is None:
        return "the provider names no product on this line"
    hint = _differs(line.subscription_key, alike)
    return f'subscription_key "{line.subscription_key}" matches no product{hint}'


def _remark(line: Line, history: Sequence[ProductVersion], program: Program, alike: Iterable[str]) -> str | None:
    """What a person would miss about a line that has a product."""
    entry = program.catalogue.match(line.price_keys, line.product_key)
    if (entry is None or entry.needs_review) and line.product_key is not None:
        hint = program.catalogue.near_miss(line.product_key)
        return hint or f'"{line.product_key}" is not described in the product book yet'
    if line.subscription_key is None or line.product_key is None:
        return None
    hint = _differs(line.subscription_key, alike)
    if hint and all(version.provider_status is None for version in history):
        return f'subscription_key "{line.subscription_key}" is known from payments only{hint}'
    return None


def _differs(key: str, alike: Iterable[str]) -> str:
    for other in sorted(alike):
        if (difference := difference_between(key, other)) is not None:
            return f'; "{other}" differs only in {difference}'
    return ""
