"""Triggers sorted by what they can fire on, so that a payment meets a few of a thousand, and what they read of it.

Leaving a trigger out must never change what is paid: only those are left out whose rules name other products or another
partner. Neither must leaving out facts: only those are left out that no rule on payments reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.fields import FIELDS
from domain.rules import fields_read, texts_required
from domain.triggers import Trigger, TriggerEvent

#: All versions of one trigger.
Versions = tuple[Trigger, ...]

#: Triggers are found by one of these that all versions of one name a text of: where fewest others are found.
_NAMES_OF_LINES = ("product.name", "product.key", "partner.key", "partner.group")
_NAMES_OF_PAYMENTS = ("partner.key", "partner.group")

#: By field and text, the triggers that may fire where the field reads so.
ByName = Mapping[tuple[str, str], tuple[Versions, ...]]

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

    #: Judged once on the whole payment, whoever is paid for it.
    on_any_payment: tuple[Versions, ...] = ()
    #: Judged once on the whole payment, by the partner named.
    on_payments_of: ByName = field(default_factory=dict)
    #: Judged per line, whatever the product and whoever is paid for it.
    on_any_product: tuple[Versions, ...] = ()
    #: Judged per line, by the product or partner named.
    on_lines_of: ByName = field(default_factory=dict)
    #: Whether it must be known who is paid before it is known who is asked.
    names_partners: bool = False
    #: On occasions other than payments.
    on_occasions: tuple[Versions, ...] = ()
    #: Whether one of those reads what the customer has paid by then.
    occasions_count_payments: bool = False
    #: What the triggers on payments read.
    needed: Needed = ALL_NEEDED

    @property
    def asks_of_the_whole(self) -> bool:
        """Whether any trigger is judged on whole payments."""
        return bool(self.on_any_payment or self.on_payments_of)

    def on_line(self, named: Mapping[str, str]) -> tuple[Versions, ...]:
        """The triggers that may fire on a line of which these fields read so."""
        return _named_in(self.on_lines_of, named, self.on_any_product)

    def on_the_whole(self, named: Mapping[str, str]) -> tuple[Versions, ...]:
        """The triggers that may fire on a whole payment of which these fields read so."""
        return _named_in(self.on_payments_of, named, self.on_any_payment)


def _named_in(by_name: ByName, named: Mapping[str, str], anywhere: tuple[Versions, ...]) -> tuple[Versions, ...]:
    found = anywhere
    for each in named.items():
        if each in by_name:
            found += by_name[each]
    return found


def docket_of(triggers: Iterable[Versions]) -> Docket:
    """Sort triggers, each given as all its versions; one may stand in several places, and in each only once."""
    whole: list[Versions] = []
    any_product: list[Versions] = []
    by_partner: dict[tuple[str, str], list[Versions]] = {}
    by_name: dict[tuple[str, str], list[Versions]] = {}
    occasions: list[Versions] = []
    on_payments: list[Trigger] = []
    for versions in triggers:
        if any(version.event is not TriggerEvent.TRANSACTION_CREATED for version in versions):
            occasions.append(versions)
        paying = [version for version in versions if version.event is TriggerEvent.TRANSACTION_CREATED]
        on_payments += paying
        on_lines = [version for version in paying if version.per_line]
        _place(versions, on_lines, _NAMES_OF_LINES, any_product, by_name)
        _place(versions, [each for each in paying if not each.per_line], _NAMES_OF_PAYMENTS, whole, by_partner)
    read = _fields_read(version for versions in occasions for version in versions)
    return Docket(
        on_any_payment=tuple(whole),
        on_payments_of=_frozen(by_partner),
        on_any_product=tuple(any_product),
        on_lines_of=_frozen(by_name),
        names_partners=any(name.startswith("partner.") for name, _ in (*by_partner, *by_name)),
        on_occasions=tuple(occasions),
        occasions_count_payments=not read.isdisjoint(("customer.transactions", "customer.revenue")),
        needed=_needed(on_payments),
    )


def _place(
    versions: Versions,
    judged: Sequence[Trigger],
    names: Sequence[str],
    anywhere: list[Versions],
    by_name: dict[tuple[str, str], list[Versions]],
) -> None:
    """Put a trigger, of which `judged` are the versions in question, where it is found by name, or else anywhere."""
    if not judged:
        return
    found: list[list[tuple[str, str]]] = []
    for name in names:
        wanted = [texts_required(version.rules, name) for version in judged]
        if None not in wanted:
            found.append(sorted({(name, text) for texts in wanted if texts for text in texts}))
    if not found:
        anywhere.append(versions)
        return
    for place in min(found, key=lambda places: max((len(by_name.get(place, ())) for place in places), default=0)):
        by_name.setdefault(place, []).append(versions)


def _frozen(by_name: Mapping[tuple[str, str], list[Versions]]) -> ByName:
    return {place: tuple(found) for place, found in by_name.items()}


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
