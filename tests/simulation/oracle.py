"""What a program should pay, worked out the slow and obvious way: every rule once, from plain facts, in order.

Shares nothing with the program but Python. In histories that are not tame nobody can tell a product's status by
looking; triggers that ask for it are left out there: see `understood`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from tests.simulation.shares import Share, shares_of, whole_of
from tests.simulation.statuses import churned_at, occasions, status_at
from tests.simulation.world import Linked, Offer, Payment, Said, World

LOOKBACK = timedelta(days=30)

#: (trigger, occasion, line or None, partner, minor units, currency, instalment)
Row = tuple[str, str, str | None, str, int, str, int]


@dataclass
class Earned:
    """What a trigger came to on a charge, limits aside, that is not taken back yet, and how much never went out."""

    offer: Offer
    on: Share
    partner: str
    left: int
    stopped: int
    currency: str


@dataclass
class Used:
    """What a limited trigger did for a customer."""

    times: int = 0
    since: datetime | None = None
    earned: dict[str, int] = field(default_factory=dict)


@dataclass
class Purse:
    """What a customer has paid so far."""

    number: int = 0
    revenue: dict[str, int] = field(default_factory=dict)


def understood(world: World) -> set[str]:
    """The triggers whose commissions the oracle can tell, and those that nothing else in their group disturbs."""
    vague = [] if world.tame else [offer for offer in world.offers if _needs_status(offer)]
    groups = {offer.exclusive_group for offer in vague} - {None}
    keys = {offer.key for offer in vague} | {o.key for o in world.offers if o.exclusive_group in groups}
    return {offer.key for offer in world.offers} - keys


def _needs_status(offer: Offer) -> bool:
    return bool(offer.status or offer.event.startswith("product") or (offer.drip and offer.drip.stop))


def expected(world: World) -> set[Row]:
    """Every commission that should amount to something."""
    rows: set[Row] = set()
    #: What was earned on each share: (transaction, line key or None).
    earned: dict[tuple[str, str | None], list[Earned]] = {}
    #: The latest transaction that charged each (subscription, product).
    charged: dict[tuple[str, str], str] = {}
    used: dict[tuple[str, str], Used] = {}
    purses: dict[str | None, Purse] = {}
    for payment in sorted(world.payments, key=_moment):
        key = f"stripe:{payment.invoice}"
        shares = shares_of(world, payment)
        whole = whole_of(world, payment, shares)
        purse = purses.setdefault(_customer(world, payment.customer), Purse())
        purse.number += whole.net > 0
        purse.revenue[payment.currency] = purse.revenue.get(payment.currency, 0) + whole.net
        for offer, share, partner, worth, currency in _fired(world, payment, [whole, *shares], purse, used):
            parts = _parts(world, offer, payment, share, shares, worth)
            rows |= {(offer.key, key, share.key, partner, a, currency, n) for n, a in parts if a}
            stopped = worth - sum(amount for _, amount in parts)
            if offer.percent:
                uncut = _percent(offer, max(0, share.left))
                terms = Earned(offer, share, partner, uncut, stopped + uncut - worth, currency)
                earned.setdefault((key, share.key), []).append(terms)
        rows |= _credits(world, payment, whole, shares, earned, charged)
        charged |= {share.place: key for share in shares if share.place and share.amount > 0}
    return rows | _other_occasions(world, understood(world))


def _moment(payment: Payment) -> tuple[datetime, str]:
    return payment.paid_at, f"stripe:{payment.invoice}"


# Credits.


def _credits(
    world: World,
    payment: Payment,
    whole: Share,
    shares: list[Share],
    earned: dict[tuple[str, str | None], list[Earned]],
    charged: dict[tuple[str, str], str],
) -> set[Row]:
    key, rows = f"stripe:{payment.invoice}", set()
    credited = [share for share in shares if share.amount < 0 and share.place in charged]
    for share in credited:
        rows |= _taken_back(earned.get((charged[share.place or ("", "")], share.key), []), key, share, payment)
    if whole.amount < 0 and credited:
        order = {f"stripe:{p.invoice}": _moment(p) for p in world.payments}
        latest = max((charged[share.place or ("", "")] for share in credited), key=lambda k: order[k])
        rows |= _taken_back(earned.get((latest, None), []), key, whole, payment)
    return rows


def _taken_back(earned: Iterable[Earned], key: str, share: Share, payment: Payment) -> set[Row]:
    rows: set[Row] = set()
    for term in earned:
        if term.currency != payment.currency:
            continue
        # Money went back that was part of what was paid for the charge: that part of the charge's amount.
        credited = round(Fraction(-share.net * term.on.amount, term.on.net))
        back = max(0, min(term.left, _percent(term.offer, credited)))
        out = max(0, back - term.stopped)
        term.left -= back
        term.stopped = max(0, term.stopped - back)
        if out:
            rows.add((term.offer.key, key, share.key, term.partner, -out, term.currency, 0))
    return rows


# Money.


def _percent(offer: Offer, amount: int) -> int:
    return round(Fraction(offer.percent or "0") * amount / 100)


def _parts(
    world: World, offer: Offer, payment: Payment, share: Share, shares: list[Share], worth: int
) -> list[tuple[int, int]]:
    """(instalment, amount) of what is booked."""
    if offer.drip is None:
        return [(0, worth)]
    count = offer.drip.occurrences
    first = payment.paid_at + timedelta(days=offer.drip.delay)
    parts = []
    for number in range(count):
        due = _months_later(first, offer.drip.cycle * number)
        bought = [share] if share.key is not None else [s for s in shares if s.amount > 0]
        bought = [s for s in bought if s.product]
        gone = bool(bought) and all(s.place is not None and churned_at(world, s.place, due) for s in bought)
        if not (offer.drip.stop and gone):
            parts.append((number + 1, worth // count + (1 if number < worth % count else 0)))
    return parts


def _months_later(day: datetime, months: int) -> datetime:
    year, month = day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1
    for clamped in (day.day, 30, 29, 28):
        try:
            if clamped <= day.day:
                return day.replace(year=year, month=month, day=clamped)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


# Who is paid, and for what.

Fired = tuple[Offer, Share, str, int, str]


def _fired(
    world: World, payment: Payment, shares: list[Share], purse: Purse, used: dict[tuple[str, str], Used]
) -> list[Fired]:
    """What fires, in the order of position; the last numbers are what it is worth after reversals, and in what."""
    fired: list[Fired] = []
    keys = understood(world)
    offers = [offer for key in sorted(keys) if (offer := _in_force(world, key, payment.paid_at)) is not None]
    for offer in sorted(offers, key=lambda o: (o.position, o.key)):
        for share in shares if offer.event == "transaction_created" else ():
            partner = _payee(world, payment.paid_at, payment.customer, share.subscription)
            if (share.key is None) != (offer.products is None and offer.status is None) or share.amount <= 0:
                continue
            if partner is None or not _holds(world, offer, share, partner, payment, purse, shares[0].amount):
                continue
            if any(_beats(other, on, offer, share) for other, on, *_ in fired):
                continue
            currency = offer.flat[1] if offer.flat else payment.currency
            paid = offer.flat[0] if offer.flat else _percent(offer, share.amount)
            if offer.flat:
                left = round(Fraction(offer.flat[0] * max(0, share.left), share.amount))
            else:
                left = _percent(offer, max(0, share.left))
            customer = _customer(world, payment.customer) or ""
            allowed = _allowed(offer, used.setdefault((offer.key, customer), Used()), payment.paid_at, paid, currency)
            if allowed > 0:
                fired.append((offer, share, partner, min(left, allowed), currency))
    return fired


def _allowed(offer: Offer, used: Used, at: datetime, amount: int, currency: str) -> int:
    """What the offer's limits leave of an amount; notes that it was used."""
    if offer.per_customer is not None and used.times >= offer.per_customer:
        return 0
    if offer.months is not None and used.since is not None and at >= _months_later(used.since, offer.months):
        return 0
    if offer.amount_max is not None:
        amount = min(amount, offer.amount_max - used.earned.get(currency, 0))
    if amount > 0:
        used.times += 1
        used.since = used.since or at
        used.earned[currency] = used.earned.get(currency, 0) + amount
    return amount


def _beats(winner: Offer, on: Share, offer: Offer, share: Share) -> bool:
    same = offer.exclusive_group is not None and winner.exclusive_group == offer.exclusive_group
    return same and winner.key != offer.key and (on.key == share.key or on.key is None or share.key is None)


def _in_force(world: World, key: str, at: datetime) -> Offer | None:
    versions = [offer for offer in world.offers if offer.key == key and offer.since <= at]
    latest = max(versions, key=lambda offer: offer.version, default=None)
    return latest if latest and latest.active else None


def _holds(world: World, offer: Offer, share: Share, partner: str, payment: Payment, purse: Purse, total: int) -> bool:
    at = payment.paid_at
    if not _suits(world, offer, partner, payment.customer, at):
        return False
    if offer.products is not None and _name(world, share.product, share.prices, at) not in offer.products:
        return False
    if offer.status is not None and _status_of(world, share, at) != offer.status:
        return False
    if offer.number is not None and purse.number > offer.number:
        return False
    if offer.revenue is not None and purse.revenue[payment.currency] < offer.revenue:
        return False
    return offer.amount is None or total >= offer.amount


def _suits(world: World, offer: Offer, partner: str, provider_customer: str | None, at: datetime) -> bool:
    """What an offer asks of the partner and the customer."""
    terms = None
    for each in world.partners:  # in the order in which they were set: a later one that reaches back replaces
        if each.partner == partner and (terms is None or each.since is None or each.since <= at):
            terms = each
    if terms is None or offer.group not in (None, terms.group) or (offer.tag and offer.tag not in terms.tags):
        return False
    if offer.country is None:
        return True
    return provider_customer is not None and _country(world, provider_customer, at) == offer.country


def _status_of(world: World, share: Share, at: datetime) -> str | None:
    """What was bought without a subscription is simply owned."""
    if share.place is None:
        return "active" if share.product else None
    return status_at(world, share.place, at)


def _country(world: World, provider_customer: str, at: datetime) -> str | None:
    customer = _customer(world, provider_customer)
    said = [each for each in world.described if _customer(world, each.customer) == customer]
    said.sort(key=lambda each: (each.at, each.rank, each.event, each.customer))
    by_then = [each for each in said if each.at <= at]
    chosen = by_then[-1:] or said[:1]
    return chosen[0].country if chosen else None


def _name(world: World, product: str | None, prices: tuple[str, ...], at: datetime) -> str | None:
    """By any price that is an alias, else by the product; an entry nobody named is called like its product."""
    if product is None:
        return None
    alias = {alias: named.product for named in world.names for alias in named.aliases}
    filed = next((alias[price] for price in prices if price in alias), product)
    name = None
    for named in world.names:
        if named.product == filed and (name is None or named.since is None or named.since <= at):
            name = named.name
    return name or filed


def _payee(world: World, at: datetime, provider_customer: str, subscription: str | None) -> str | None:
    """Nobody is paid for a customer who is not linked; a subscription's own partner comes first."""
    customer = _customer(world, provider_customer)
    if customer is None:
        return None
    if subscription is not None:
        own = _partner(at, [said for said in world.said if said.subscription == subscription])
        if own is not None:
            return own
    mine = [s for s in world.said if s.subscription is None and _customer(world, s.customer) == customer]
    return _partner(at, mine)


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


# Occasions other than payments.

#: (event, key, moment, provider's customer, subscription or partner, product, prices)
Happened = tuple[str, str, datetime, str | None, str | None, str | None, tuple[str, ...]]

_JOINED = datetime(2025, 1, 1, tzinfo=UTC)


def _other_occasions(world: World, keys: set[str]) -> set[Row]:
    """Flat amounts for what happened to products, customers and partners."""
    happened: list[Happened] = [
        ("partner_joined", partner, _JOINED, None, partner, None, ())
        for partner in sorted({terms.partner for terms in world.partners})
    ]
    happened += _customers_created(world)
    happened += occasions(world)
    rows: set[Row] = set()
    used: dict[tuple[str, str], Used] = {}
    for event, key, at, owner, subject, product, prices in sorted(happened, key=lambda each: (each[2], each[:2])):
        offers = [offer for name in sorted(keys) if (offer := _in_force(world, name, at)) and offer.event == event]
        partner = subject if event == "partner_joined" else _payee(world, at, owner or "", subject)
        for offer in sorted(offers, key=lambda o: (o.position, o.key)):
            if partner is None or not offer.flat or not _suits(world, offer, partner, owner, at):
                continue
            if offer.products and _name(world, product, prices, at) not in offer.products:
                continue
            if offer.status and status_at(world, (subject or "", product or ""), at) != offer.status:
                continue
            customer = _customer(world, owner or "") or ""
            amount = _allowed(offer, used.setdefault((offer.key, customer), Used()), at, *offer.flat)
            count = offer.drip.occurrences if offer.drip else 1
            for number in range(count) if amount > 0 else ():
                part = amount // count + (1 if number < amount % count else 0)
                rows.add((offer.key, key, None, partner, part, offer.flat[1], number + 1 if offer.drip else 0))
    return rows


def _customers_created(world: World) -> list[Happened]:
    first: dict[str, tuple[datetime, str]] = {}
    for each in world.described:
        customer = _customer(world, each.customer)
        if customer is not None:
            first[customer] = min(first.get(customer, (each.at, each.customer)), (each.at, each.customer))
    return [("customer_created", customer, at, owner, None, None, ()) for customer, (at, owner) in first.items()]
