"""Why each trigger fired or not: the same verdicts that booked the money, with every condition shown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.case import CaseFile, Program, Verdict
from domain.customers import Attribution
from domain.fields import Unknown
from domain.judge import attribution_of, history_of, verdicts
from domain.near_misses import difference_between
from domain.products import ProductVersion
from domain.readings import line_product_values
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
        verdicts=(*verdicts(transaction_key, case, program, traced=True), *_not_asked(paid.occurred_at, program)),
    )


def _not_asked(at: datetime, program: Program) -> Iterator[Verdict]:
    """A verdict for every trigger that was not asked of a payment at that moment: the one a person misses is there."""
    for _, versions in sorted(program.triggers.items()):
        trigger, *_ = held_from(versions, at)
        since = trigger.effective_from.astimezone(program.zone).isoformat(timespec="seconds")
        if trigger.effective_from > at:
            yield Verdict(trigger, None, f"it was not in force yet: it takes effect at {since}")
        elif not trigger.active:
            yield Verdict(trigger, None, f"it was switched off at the time, since {since}")
        elif trigger.event is not TriggerEvent.TRANSACTION_CREATED:
            yield Verdict(trigger, None, f"it waits for {trigger.event}, not for payments")


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
