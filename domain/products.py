"""Product status, folded from a subscription's snapshots and from paid lines.

The fold is windowed: facts from `since` on are folded again over the state that earlier facts left, so a late event
costs what it changes. Order of arrival never matters; order within one second is settled here (DESIGN 3).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.facts import ProductStatus, SubscriptionItem, SubscriptionSeen


@dataclass(frozen=True, slots=True)
class ProductVersion:
    """A product's state from `effective_at` until the next version."""

    effective_at: datetime
    status: ProductStatus
    #: The provider's own word; None where only a payment tells of the product.
    provider_status: str | None = None
    #: For one period, all units.
    amount_minor: int | None = None
    quantity: int | None = None
    currency: str | None = None
    price_keys: tuple[str, ...] = ()

    def same_state(self, other: "ProductVersion") -> bool:
        """Whether nothing but the time differs."""
        return self._state == other._state

    @property
    def _state(self) -> tuple[object, ...]:
        return self.status, self.provider_status, self.amount_minor, self.quantity, self.currency, self.price_keys


@dataclass(frozen=True, slots=True)
class Evidence:
    """A paid positive line: from `at` on its product is Active, unless the subscription had ended by then.

    Payments are dated in whole seconds: one in the second in which an ended subscription resumed is of what resumed.
    """

    product_key: str
    at: datetime
    #: False for one-off charges, which no later snapshot lists and which therefore no snapshot removes.
    recurring: bool
    currency: str | None = None
    price_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """What the facts before a window left: each product's last version, and which are on the subscription."""

    products: Mapping[str, ProductVersion] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    ended_for_good: bool = False
    last_seen: SubscriptionSeen | None = None


def in_order(snapshots: Iterable[SubscriptionSeen], after: SubscriptionSeen | None = None) -> list[SubscriptionSeen]:
    """Snapshots of one subscription as they happened; ties by lifecycle rank, then chaining, then event id.

    `after` is the last snapshot before these, where one is known: the first of a tie follows from it. Left out is
    what the provider has since said otherwise: by its own number it is older than a snapshot of an earlier moment.
    """
    groups: dict[tuple[datetime, int, bool, int], list[SubscriptionSeen]] = {}
    for seen in snapshots:
        place = (seen.effective_at, seen.source.version, seen.ended, seen.source.rank)
        groups.setdefault(place, []).append(seen)
    ordered: list[SubscriptionSeen] = []
    last = after
    for place in sorted(groups):
        if last is None or place[1] >= last.source.version:
            ordered += _chained(groups[place], last)
            last = ordered[-1]
    return ordered


def _chained(tied: list[SubscriptionSeen], last: SubscriptionSeen | None) -> list[SubscriptionSeen]:
    """Events of one second: each next one is, where possible, one that says it changed the state before it."""
    if len(tied) == 1:
        return tied
    remaining = sorted(tied, key=lambda seen: seen.source.event_key)
    ordered: list[SubscriptionSeen] = []
    while remaining:
        follows = [seen for seen in remaining if last is not None and _follows(seen, last)]
        first = [seen for seen in remaining if not any(_follows(seen, other) for other in remaining if other != seen)]
        last = (follows or first or remaining)[0]
        remaining.remove(last)
        ordered.append(last)
    return ordered


def _follows(seen: SubscriptionSeen, other: SubscriptionSeen) -> bool:
    """Whether `seen` says that it changed exactly what `other` shows; what it did not change was as it is."""
    if seen.previous_provider_status is None and seen.previous_items is None:
        return False
    items = seen.items if seen.previous_items is None else seen.previous_items
    status_fits = (seen.previous_provider_status or seen.provider_status) == other.provider_status
    return status_fits and _keys(items) == _keys(other.items)


def _keys(items: Sequence[SubscriptionItem]) -> list[tuple[str, int | None, tuple[str, ...]]]:
    return sorted(((item.product_key, item.quantity, item.price_keys) for item in items), key=repr)


def fold(
    before: SubscriptionState, snapshots: Iterable[SubscriptionSeen], evidence: Iterable[Evidence]
) -> dict[str, tuple[ProductVersion, ...]]:
    """New versions of every product of one subscription, from the window's facts, oldest first.

    Versions that repeat the state before them are left out; of several at one instant the last stands.
    """
    ordered = in_order(snapshots, before.last_seen)
    walk = _Walk(before, ordered)
    for entry in _merged(ordered, evidence):
        if walk.ended_for_good:
            break
        walk.step(entry)
    return {product: tuple(versions) for product, versions in walk.versions.items() if versions}


def state_before(
    products: Mapping[str, ProductVersion], snapshots: Iterable[SubscriptionSeen], evidence: Iterable[Evidence]
) -> SubscriptionState:
    """The state at a window's beginning, from each product's version there and the last facts before it.

    `snapshots` reach back to one that stands alone at its instant, shows every item and is not left out of the order:
    what came before that one changes neither the order of those after it nor what is on the subscription. Of
    `evidence`, each product's last recurring payment is enough. A snapshot that ended the subscription for good
    belongs to it however old it is.
    """
    ordered = in_order(snapshots)
    walk = _Walk(SubscriptionState(products), ordered)
    for entry in _merged(ordered, evidence):
        walk.step(entry)
    return SubscriptionState(products, frozenset(walk.present), walk.ended_for_good, ordered[-1] if ordered else None)


def _merged(snapshots: Sequence[SubscriptionSeen], evidence: Iterable[Evidence]) -> list[SubscriptionSeen | Evidence]:
    """Within one instant: what was seen, then what was paid, then what ended (and was not resumed at once)."""
    placed: list[tuple[datetime, int, int, SubscriptionSeen | Evidence]] = []
    resumed: set[datetime] = set()
    for place, seen in reversed(list(enumerate(snapshots))):
        if not seen.ended:
            resumed.add(seen.effective_at)
        placed.append((seen.effective_at, 0 if seen.effective_at in resumed else 2, place, seen))
    placed += [(proof.at, 1, place, proof) for place, proof in enumerate(sorted(evidence, key=_time_and_content))]
    return [entry[3] for entry in sorted(placed, key=lambda entry: entry[:3])]


def _time_and_content(proof: Evidence) -> tuple[datetime, str, bool, str, tuple[str, ...]]:
    return proof.at, proof.product_key, proof.recurring, proof.currency or "", proof.price_keys


class _Walk:
    """One pass over a subscription's facts; lives only inside `fold`."""

    def __init__(self, before: SubscriptionState, ordered: Iterable[SubscriptionSeen]) -> None:
        self.running_in = {second_of(seen.effective_at) for seen in ordered if not seen.ended}
        self.before = before.products
        self.current = dict(before.products)
        self.present = set(before.present)
        self.ended = before.last_seen is not None and before.last_seen.ended
        self.ended_for_good = before.ended_for_good
        self.versions: dict[str, list[ProductVersion]] = {}

    def step(self, entry: SubscriptionSeen | Evidence) -> None:
        match entry:
            case SubscriptionSeen():
                self.snapshot(entry)
            case Evidence():
                self.paid(entry)

    def snapshot(self, seen: SubscriptionSeen) -> None:
        """Ended: every product is over, listed or not. Only the first page known: what is not on it stays."""
        items = {item.product_key: item for item in seen.items}
        unlisted = (self.present | (self.current.keys() if seen.ended else set())) - items.keys()
        stays = not seen.is_whole or (seen.items_missing and not seen.ended)
        for product_key in sorted(unlisted) if seen.is_whole else ():
            self._set(product_key, self._unlisted(product_key, seen, stays=stays))
        for product_key in sorted(items):
            self._set(product_key, self._listed(product_key, items[product_key], seen))
        self.present = items.keys() | (unlisted if stays else set())
        self.ended = seen.ended
        self.ended_for_good = self.ended_for_good or (seen.ended and seen.absorbing)

    def paid(self, line: Evidence) -> None:
        if self.ended and second_of(line.at) not in self.running_in:
            return  # the last bill of what is over
        known = self.current.get(line.product_key)
        if known is None:
            known = ProductVersion(line.at, ProductStatus.NONE, currency=line.currency, price_keys=line.price_keys)
        if known.status is not ProductStatus.ACTIVE:
            self._set(line.product_key, replace(known, effective_at=line.at, status=ProductStatus.ACTIVE))
        if line.recurring:
            self.present.add(line.product_key)

    def _listed(self, product_key: str, item: SubscriptionItem, seen: SubscriptionSeen) -> ProductVersion:
        return ProductVersion(
            seen.effective_at, self._status(product_key, seen), seen.provider_status, item.amount_minor, item.quantity,
            seen.currency, item.price_keys,
        )  # fmt: skip

    def _unlisted(self, product_key: str, seen: SubscriptionSeen, *, stays: bool) -> ProductVersion:
        known = self.current.get(product_key) or ProductVersion(seen.effective_at, ProductStatus.NONE)
        if stays:
            status = self._status(product_key, seen)
            return replace(known, effective_at=seen.effective_at, status=status, provider_status=seen.provider_status)
        return replace(known, effective_at=seen.effective_at, status=ProductStatus.CHURNED)

    def _status(self, product_key: str, seen: SubscriptionSeen) -> ProductStatus:
        """The subscription's own, but nothing goes back to never having started. Nor does what was paid for go back to
        a trial that the provider speaks of in the very words of before the payment: that is no new trial.
        """
        known = self.current.get(product_key)
        if known is None:
            return seen.status
        paid_for = known.status is ProductStatus.ACTIVE and known.provider_status == seen.provider_status
        stays = seen.status is ProductStatus.NONE or (seen.status is ProductStatus.TRIAL and paid_for)
        return known.status if stays else seen.status

    def _set(self, product_key: str, version: ProductVersion) -> None:
        known = self.current.get(product_key)
        if known is not None and version.same_state(known):
            return
        self.current[product_key] = version
        versions = self.versions.setdefault(product_key, [])
        if versions and versions[-1].effective_at == version.effective_at:
            versions.pop()
        before = versions[-1] if versions else self.before.get(product_key)
        if before is None or not version.same_state(before):
            versions.append(version)


def second_of(moment: datetime) -> datetime:
    """The whole second that a moment is in."""
    return moment.replace(microsecond=0)


def version_at(history: Sequence[ProductVersion], at: datetime) -> ProductVersion | None:
    """The version in force at `at`; None before the first."""
    return next((version for version in reversed(history) if version.effective_at <= at), None)


def purchased_at(history: Iterable[ProductVersion]) -> datetime | None:
    """When the product was first in trial or active."""
    started = (ProductStatus.TRIAL, ProductStatus.ACTIVE)
    return min((v.effective_at for v in history if v.status in started), default=None)
