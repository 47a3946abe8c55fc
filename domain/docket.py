"""Triggers sorted by what they can fire on, so that a payment meets a few of a thousand, and what they read of it.

Leaving a trigger out must never change what is paid: only those are left out whose rules name other products. Neither
must leaving out facts: only those are left out that no rule on payments reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.fields import FIELDS
from domain.rules import fields_read, texts_required
from domain.triggers import Trigger, TriggerEvent

#: All versions of one trigger.
Versions = tuple[Trigger, ...]

#: Fields that are read from what events said of a customer.
_DESCRIBED = ("customer.email_domain", "customer.country", "customer.metadata.")
#: Fields that are read from a product's history.
_STATES = ("product.status", "product.created", "product.amount", "product.quantity")


@dataclass(frozen=True, slots=True)
class Needed:
    """What judging payments reads; what is not needed need not be loaded."""

    #: Objects that rules read something of: `partner`, `customer`, ...
    objects: frozenset[str]
    #: What events said of the customer.
    descriptions: bool
    #: How a product stood, and when it was Churned.
    product_states: bool


#: For showing every condition, or for whoever judges by other triggers than the program's.
ALL_NEEDED = Needed(frozenset(FIELDS[name].object for name in FIELDS), descriptions=True, product_states=True)


@dataclass(frozen=True, slots=True)
class Docket:
    """All triggers on payments, by what one of their versions asks for."""

    #: Judged once on the whole payment.
    on_the_whole: tuple[Versions, ...] = ()
    #: Judged per line, whatever the product.
    on_any_product: tuple[Versions, ...] = ()
    #: Judged per line of products with this name.
    on_product: Mapping[str, tuple[Versions, ...]] = field(default_factory=dict)
    #: On occasions other than payments.
    on_occasions: tuple[Versions, ...] = ()
    #: Whether one of those reads what the customer has paid by then.
    occasions_count_payments: bool = False
    #: What the triggers on payments read.
    needed: Needed = ALL_NEEDED

    def on_line(self, product_name: str | None) -> tuple[Versions, ...]:
        """The triggers that may fire on a line of the product called so; None: on a line without a product."""
        return self.on_any_product + (self.on_product.get(product_name, ()) if product_name is not None else ())


def docket_of(triggers: Iterable[Versions]) -> Docket:
    """Sort triggers, each given as all its versions; one may stand in several places, and in each only once."""
    whole: list[Versions] = []
    any_product: list[Versions] = []
    by_product: dict[str, list[Versions]] = {}
    occasions: list[Versions] = []
    on_payments: list[Trigger] = []
    for versions in triggers:
        if any(version.event is not TriggerEvent.TRANSACTION_CREATED for version in versions):
            occasions.append(versions)
        paying = [version for version in versions if version.event is TriggerEvent.TRANSACTION_CREATED]
        on_payments += paying
        if any(not version.per_line for version in paying):
            whole.append(versions)
        wanted = [texts_required(version.rules, "product.name") for version in paying if version.per_line]
        if None in wanted:
            any_product.append(versions)
            continue
        for name in sorted({name for names in wanted if names for name in names}):
            by_product.setdefault(name, []).append(versions)
    on_product = {name: tuple(found) for name, found in by_product.items()}
    read = _fields_read(version for versions in occasions for version in versions)
    counts = not read.isdisjoint(("customer.transactions", "customer.revenue"))
    needed = _needed(on_payments)
    return Docket(tuple(whole), tuple(any_product), on_product, tuple(occasions), counts, needed)


def _needed(versions: Sequence[Trigger]) -> Needed:
    read = _fields_read(versions)
    return Needed(
        objects=frozenset(name.partition(".")[0] for name in read),
        descriptions=any(name.startswith(_DESCRIBED) for name in read),
        product_states=_stop_on_churn(versions) or not read.isdisjoint(_STATES),
    )


def _fields_read(versions: Iterable[Trigger]) -> frozenset[str]:
    return frozenset[str]().union(*(fields_read(version.rules) for version in versions))


def _stop_on_churn(versions: Iterable[Trigger]) -> bool:
    drips = (version.action.drip for version in versions)
    return any(drip.stop_on_churn for drip in drips if drip is not None)
