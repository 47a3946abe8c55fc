"""A drawn program: product book, partners and triggers, and what people change in them while business goes on."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from domain.windows import epoch_ms
from infra.program_changes import save_product
from tests.simulation.world import Change, DripTerms, Named, Offer, PartnerTerms, World
from tests.stage import LONG_AGO, Stage

PRODUCTS = {"prod_chat": "Live Chat", "prod_inbox": "Inbox", "prod_base": "Knowledge Base"}
#: Sold, and not in the book.
UNDESCRIBED = "prod_surveys"
#: A price of one product that the book files under another.
ALIAS = ("price_chat_bundle", "prod_inbox")
PARTNERS = ("ada", "bob", "cy")


def set_up(world: World, random: Random) -> None:
    """The program as it stands long before the first payment."""
    for product, name in PRODUCTS.items():
        aliases = (ALIAS[0],) if product == ALIAS[1] else ()
        _name(world, LONG_AGO, product, name, aliases)
    for partner in PARTNERS:
        _terms(world, LONG_AGO, partner, random.choice(["gold", "silver"]), _tags(random))
    _offer(world, LONG_AGO, Offer("whole", 1, LONG_AGO, percent=random.choice(["10", "3.3333"])))
    for product, name in PRODUCTS.items():
        percent = random.choice(["10", "15", "20", "7.25", "12.5"])
        _offer(world, LONG_AGO, Offer(f"of_{product}", 1, LONG_AGO, percent=percent, products=(name,)))
    for number, drawn in enumerate(random.sample(TERMS, 7)):
        _offer(world, LONG_AGO, Offer(**{"key": f"more_{number}", "version": 1, "since": LONG_AGO, **drawn}))


#: Triggers of every kind; a history has some of them.
TERMS: list[dict[str, Any]] = [
    {"percent": "5", "group": "gold"},
    {"percent": "2.5", "products": ("Inbox", "Live Chat"), "tag": "vip"},
    {"flat": (500, "usd"), "products": ("Knowledge Base",)},
    {"flat": (99, "eur")},
    {"percent": "30", "products": ("Live Chat",), "exclusive_group": "best", "position": 1},
    {"percent": "25", "exclusive_group": "best", "position": 2, "group": "silver"},
    {"percent": "40", "products": ("Inbox",), "exclusive_group": "best", "position": 3},
    {"percent": "11", "products": ("Surveys", UNDESCRIBED)},
    {"percent": "1", "products": ("Live Chat", "Inbox", "Knowledge Base"), "status": "active"},
    {"percent": "2", "products": ("Live Chat", "Inbox"), "status": "churned"},
    {"percent": "10", "number": 2},
    {"percent": "6", "products": ("Live Chat", "Inbox"), "revenue": 20_000},
    {"percent": "8", "country": "DE"},
    {"flat": (1_000, "usd"), "amount": 9_000},
    {"flat": (2_500, "usd"), "products": ("Inbox",), "per_customer": 1},
    {"percent": "15", "months": 2},
    {"percent": "20", "products": ("Live Chat", "Inbox"), "amount_max": 1_500},
    {"percent": "12", "per_customer": 2, "exclusive_group": "best", "position": 0},
    {"percent": "9", "products": ("Knowledge Base", "Inbox"), "drip": DripTerms(0, 1, 3)},
    {"percent": "7", "drip": DripTerms(10, 1, 4, stop=True)},
    {"percent": "5.5", "products": ("Live Chat", "Inbox"), "drip": DripTerms(0, 1, 3, stop=True)},
    {"flat": (1_001, "eur"), "products": ("Inbox",), "drip": DripTerms(31, 2, 3), "months": 1},
    {"flat": (777, "usd"), "event": "product_created"},
    {"flat": (700, "usd"), "event": "product_created", "products": ("Inbox", "Live Chat"), "per_customer": 1},
    {"flat": (50, "usd"), "event": "product_status_changed", "status": "churned"},
    {"flat": (60, "usd"), "event": "product_status_changed", "status": "active", "group": "gold"},
    {"flat": (900, "eur"), "event": "customer_created", "country": "DE"},
    {"flat": (910, "eur"), "event": "customer_created", "drip": DripTerms(5, 1, 2)},
    {"flat": (5_000, "usd"), "event": "partner_joined", "group": "gold"},
    {"percent": "3", "products": ("Inbox",), "status": "active", "exclusive_group": "status", "position": 1},
    {"percent": "4", "exclusive_group": "status", "position": 2},
]


def disturb(world: World, random: Random, start: datetime, end: datetime) -> None:
    """A few changes at drawn moments; each takes effect from when it is made, or reaches back on purpose."""
    moments = sorted(start + (end - start) * random.random() for _ in range(random.randint(1, 5)))
    for at in (moment.replace(microsecond=0) for moment in moments):
        back = random.choice([None, None, at - timedelta(days=random.randint(1, 60))])
        match random.choice(["terms", "edit", "new", "rename", "describe", "stop"]):
            case "terms":
                terms = random.choice(["gold", "silver"]), _tags(random)
                _terms(world, at, random.choice(PARTNERS), *terms, since=back or at)
            case "edit":
                _edit(world, random, at, back or at, active=True)
            case "stop":
                _edit(world, random, at, back or at, active=False)
            case "new":
                name = random.choice([*PRODUCTS.values()])
                key = f"late_{len(world.changes)}"
                _offer(world, at, Offer(key, 1, back or at, percent="6.5", products=(name,)))
            case "rename":
                product = random.choice([*PRODUCTS])
                _name(world, at, product, f"{PRODUCTS[product]} {len(world.changes)}", since=back or at)
            case "describe" if all(named.product != UNDESCRIBED for named in world.names):
                _name(world, at, UNDESCRIBED, "Surveys")


def _tags(random: Random) -> tuple[str, ...]:
    return tuple(sorted(random.sample(["vip", "emea", "new"], random.randint(0, 2))))


def _edit(world: World, random: Random, at: datetime, since: datetime, *, active: bool) -> None:
    key = random.choice(sorted({offer.key for offer in world.offers}))
    last = [offer for offer in world.offers if offer.key == key][-1]
    percent = random.choice(["8", "12.3456"]) if last.percent else None
    edited = replace(last, version=last.version + 1, since=since, percent=percent, active=active)
    if any(getattr(edited, name) != getattr(last, name) for name in ("since", "percent", "active")):
        _offer(world, at, edited)


def _name(
    world: World, at: datetime, product: str, name: str, aliases: tuple[str, ...] = (), since: datetime | None = None
) -> None:
    named = Named(product, name, since, aliases)
    world.names.append(named)

    def play(stage: Stage) -> None:
        with stage.engine.begin() as connection:
            save_product(
                connection, name=name, external_key=product, aliases=aliases, effective_from=since, now=at
            )  # fmt: skip

    world.changes.append(Change(at, named, play))


def _terms(
    world: World, at: datetime, partner: str, group: str, tags: tuple[str, ...], since: datetime | None = None
) -> None:
    known = [terms for terms in world.partners if terms.partner == partner]
    if known and (known[-1].group, known[-1].tags) == (group, tags):
        return  # saying again what is so makes no version
    said = PartnerTerms(partner, since, group, tags)
    world.partners.append(said)

    def play(stage: Stage) -> None:
        stage.partner(partner, group=group, tags=tags, effective_from=since, now=at)

    world.changes.append(Change(at, said, play))


def _offer(world: World, at: datetime, offer: Offer) -> None:
    world.offers.append(offer)

    def play(stage: Stage) -> None:
        body = document(offer)
        stage.trigger(offer.key, now=at, **{name: value for name, value in body.items() if name != "name"})

    world.changes.append(Change(at, offer, play))


def document(offer: Offer) -> dict[str, Any]:
    """An offer as the JSON that makes a trigger."""
    rules = [
        {"field": field, "op": operator, "value": value}
        for field, operator, value in (
            ("product.name", "is_any_of", offer.products and list(offer.products)),
            ("product.status", "is_any_of", offer.status and [offer.status]),
            ("partner.group", "is_any_of", offer.group and [offer.group]),
            ("partner.tags", "contains", offer.tag),
            ("transaction.number", "lte", offer.number),
            ("customer.revenue", "gte", offer.revenue),
            ("customer.country", "is_any_of", offer.country and [offer.country]),
            ("transaction.amount", "gte", offer.amount),
        )
        if value
    ]
    action: dict[str, Any] = {"type": "percent", "percent": offer.percent}
    if offer.flat:
        action = {"type": "flat", "amount": offer.flat[0], "currency": offer.flat[1]}
    if (drip := offer.drip) is not None:
        action["drip"] = {
            "delay": {"days": drip.delay},
            "cycle": {"months": drip.cycle},
            "occurrences": drip.occurrences,
            "stop_on_churn": drip.stop,
        }
    if offer.per_customer or offer.months or offer.amount_max:
        limits = ("per_customer", "months", "amount_max")
        action["limit"] = {name: value for name in limits if (value := getattr(offer, name)) is not None}
    return {
        "name": offer.key,
        "event": offer.event,
        "action": action,
        "rules": {"all": rules} if rules else None,
        "position": offer.position,
        "exclusive_group": offer.exclusive_group,
        "active": offer.active,
        "effective_from": epoch_ms(offer.since),
    }
