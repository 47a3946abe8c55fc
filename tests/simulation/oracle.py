"""What a program should pay, worked out the slow and obvious way: every rule once, from plain facts, in order.

Shares nothing with the program but Python. Triggers that read a product's status are left out: see `understood`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from tests.simulation.world import Linked, Offer, PaidLine, Payment, Said, World

LOOKBACK = timedelta(days=30)

#: (trigger, transaction, line or None, partner, minor units, currency)
Row = tuple[str, str, str | None, str, int, str]


@dataclass(frozen=True)
class Share:
    """A netted line, or (with no key) the whole."""

    key: str | None
    place: tuple[str, str] | None
    product: str | None
    prices: tuple[str, ...]
    subscription: str | None
    amount: int


@dataclass
class Earned:
    """What a trigger paid on a charge, and how much of it has not been taken back."""

    offer: Offer
    partner: str
    left: int
    currency: str


def understood(world: World) -> set[str]:
    """The triggers whose commissions the oracle can tell: no status rule, nor one in the same exclusive group."""
    by_status = [offer for offer in world.offers if offer.status]
    groups = {offer.exclusive_group for offer in by_status} - {None}
    keys = {offer.key for offer in by_status} | {o.key for o in world.offers if o.exclusive_group in groups}
    return {offer.key for offer in world.offers} - keys


def expected(world: World) -> set[Row]:
    """Every commission that should amount to something."""
    rows: set[Row] = set()
    #: What was earned on each share: (transaction, line key or None).
    earned: dict[tuple[str, str | None], list[Earned]] = {}
    #: The latest transaction that charged each (subscription, product).
    charged: dict[tuple[str, str], str] = {}
    for payment in sorted(world.payments, key=lambda p: (p.paid_at, f"stripe:{p.invoice}")):
        key = f"stripe:{payment.invoice}"
        shares = _shares(payment)
        whole = Share(None, None, None, (), None, sum(share.amount for share in shares))
        for offer, share, partner in _fired(world, payment, [whole, *shares]):
            worth = _worth(offer, share, payment)
            rows.add((offer.key, key, share.key, partner, *worth))
            if offer.percent:
                earned.setdefault((key, share.key), []).append(Earned(offer, partner, *worth))
        credited = [share for share in shares if share.amount < 0 and share.place in charged]
        for share in credited:
            rows |= _taken_back(earned.get((charged[share.place or ("", "")], share.key), []), key, share, payment)
        if whole.amount < 0 and credited:
            order = {f"stripe:{p.invoice}": (p.paid_at, f"stripe:{p.invoice}") for p in world.payments}
            latest = max((charged[share.place or ("", "")] for share in credited), key=lambda k: order[k])
            rows |= _taken_back(earned.get((latest, None), []), key, whole, payment)
        charged |= {share.place: key for share in shares if share.place and share.amount > 0}
    return rows


def _taken_back(earned: Iterable[Earned], key: str, share: Share, payment: Payment) -> set[Row]:
    rows: set[Row] = set()
    for term in earned:
        back = min(term.left, _percent(term.offer, -share.amount))
        if back > 0 and term.currency == payment.currency:
            term.left -= back
            rows.add((term.offer.key, key, share.key, term.partner, -back, term.currency))
    return rows


def _percent(offer: Offer, amount: int) -> int:
    return round(Fraction(offer.percent or "0") * amount / 100)


def _worth(offer: Offer, share: Share, payment: Payment) -> tuple[int, str]:
    return offer.flat or (_percent(offer, share.amount), payment.currency)


def _shares(payment: Payment) -> list[Share]:
    groups: dict[str, list[PaidLine]] = {}
    for line in payment.lines:
        own = f"{line.subscription or '-'}/{line.product}" if line.product else f"line:{line.key}"
        groups.setdefault(own, []).append(line)
    return [_share(key, lines) for key, lines in groups.items()]


def _share(key: str, lines: list[PaidLine]) -> Share:
    first = lines[0]
    charging = [line for line in lines if line.amount > 0] or lines
    return Share(
        key,
        (first.subscription, first.product) if first.subscription and first.product else None,
        first.product,
        tuple(line.price for line in charging if line.price),
        first.subscription,
        sum(line.amount - line.discount for line in lines),
    )


def _fired(world: World, payment: Payment, shares: list[Share]) -> list[tuple[Offer, Share, str]]:
    fired: list[tuple[Offer, Share, str]] = []
    keys = understood(world)
    offers = [offer for key in sorted(keys) if (offer := _in_force(world, key, payment.paid_at)) is not None]
    for offer in sorted(offers, key=lambda o: (o.position, o.key)):
        for share in shares:
            partner = _payee(world, payment, share)
            if (share.key is None) != (offer.products is None) or share.amount <= 0 or partner is None:
                continue
            pays = _holds(world, offer, share, partner, payment.paid_at) and _worth(offer, share, payment)[0] > 0
            if pays and not any(_beats(other, on, offer, share) for other, on, _ in fired):
                fired.append((offer, share, partner))
    return fired


def _beats(winner: Offer, on: Share, offer: Offer, share: Share) -> bool:
    same = offer.exclusive_group is not None and winner.exclusive_group == offer.exclusive_group
    return same and winner.key != offer.key and (on.key == share.key or on.key is None or share.key is None)


def _in_force(world: World, key: str, at: datetime) -> Offer | None:
    versions = [offer for offer in world.offers if offer.key == key and offer.since <= at]
    latest = max(versions, key=lambda offer: offer.version, default=None)
    return latest if latest and latest.active else None


def _holds(world: World, offer: Offer, share: Share, partner: str, at: datetime) -> bool:
    terms = None
    for each in world.partners:  # in the order in which they were set: a later one that reaches back replaces
        if each.partner == partner and (terms is None or each.since is None or each.since <= at):
            terms = each
    if terms is None:
        return False
    if offer.products is not None and _name(world, share, at) not in offer.products:
        return False
    return offer.group in (None, terms.group) and (offer.tag is None or offer.tag in terms.tags)


def _name(world: World, share: Share, at: datetime) -> str | None:
    """By any price that is an alias, else by the product; an entry nobody named is called like its product."""
    if share.product is None:
        return None
    alias = {alias: named.product for named in world.names for alias in named.aliases}
    product = next((alias[price] for price in share.prices if price in alias), share.product)
    name = None
    for named in world.names:
        if named.product == product and (name is None or named.since is None or named.since <= at):
            name = named.name
    return name or product


def _payee(world: World, payment: Payment, share: Share) -> str | None:
    """Nobody is paid for a customer who is not linked; a subscription's own partner comes first."""
    customer = _customer(world, payment.customer)
    if customer is None:
        return None
    if share.subscription is not None:
        own = _partner(payment.paid_at, [said for said in world.said if said.subscription == share.subscription])
        if own is not None:
            return own
    mine = [s for s in world.said if s.subscription is None and _customer(world, s.customer) == customer]
    return _partner(payment.paid_at, mine)


def _customer(world: World, provider_customer: str) -> str | None:
    links: list[Linked] = [link for link in world.linked if link.customer == provider_customer]
    if links:
        return max(links, key=lambda link: (link.at, link.rank, link.event)).company_key
    named = any(said.customer == provider_customer and said.subscription is None for said in world.said)
    return provider_customer if named else None


def _partner(at: datetime, said: list[Said]) -> str | None:
    partner = None
    for number, claim in enumerate(sorted(said, key=lambda s: (s.at, f"stripe:{s.event}"))):
        since = claim.at - LOOKBACK if number == 0 else claim.at
        if since <= at:
            partner = claim.partner
    return partner
