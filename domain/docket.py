"""Triggers sorted by what they can fire on, so that a payment meets a few of a thousand.

Leaving a trigger out must never change what is paid: only those are left out whose rules name other products.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from domain.rules import fields_read, texts_required
from domain.triggers import Trigger, TriggerEvent

#: All versions of one trigger.
Versions = tuple[Trigger, ...]


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

    def on_line(self, product_name: str | None) -> Iterator[Versions]:
        """The triggers that may fire on a line of the product called so; None: on a line without a product."""
        yield from self.on_any_product
        if product_name is not None:
            yield from self.on_product.get(product_name, ())


def docket_of(triggers: Iterable[Versions]) -> Docket:
    """Sort triggers, each given as all its versions; one may stand in several places, and in each only once."""
    whole: list[Versions] = []
    any_product: list[Versions] = []
    by_product: dict[str, list[Versions]] = {}
    occasions: list[Versions] = []
    for versions in triggers:
        if any(version.event is not TriggerEvent.TRANSACTION_CREATED for version in versions):
            occasions.append(versions)
        paying = [version for version in versions if version.event is TriggerEvent.TRANSACTION_CREATED]
        if any(not version.per_line for version in paying):
            whole.append(versions)
        wanted = [texts_required(version.rules, "product.name") for version in paying if version.per_line]
        if None in wanted:
            any_product.append(versions)
            continue
        for name in sorted({name for names in wanted if names for name in names}):
            by_product.setdefault(name, []).append(versions)
    on_product = {name: tuple(found) for name, found in by_product.items()}
    read = {name for versions in occasions for version in versions for name in fields_read(version.rules)}
    counts = not read.isdisjoint(("customer.transactions", "customer.revenue"))
    return Docket(tuple(whole), tuple(any_product), on_product, tuple(occasions), counts)
