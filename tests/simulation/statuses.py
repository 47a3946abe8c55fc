"""What becomes of each product in a tame history: no two things happen to a subscription in one second."""

from datetime import datetime

from tests.simulation.world import Payment, Shown, World

_STATUSES = {"incomplete": "none", "trialing": "trial", "active": "active", "past_due": "active"}

#: (moment, status, prices)
Step = tuple[datetime, str, tuple[str, ...]]


def status_at(world: World, place: tuple[str, str], at: datetime) -> str | None:
    """The status of (subscription, product) at a moment; None before anything was heard of it."""
    steps = [step for step in histories(world).get(place, []) if step[0] <= at]
    return steps[-1][1] if steps else None


def churned_at(world: World, place: tuple[str, str], at: datetime) -> bool:
    """Whether the product is over, or suspended, at a moment."""
    return status_at(world, place, at) == "churned"


def histories(world: World) -> dict[tuple[str, str], list[Step]]:
    """Every product's steps, oldest first."""
    if world.seed not in _remembered:
        _remembered.clear()
        _remembered[world.seed] = _walk_all(world)
    return _remembered[world.seed]


#: Of the last history asked for.
_remembered: dict[int, dict[tuple[str, str], list[Step]]] = {}


def _walk_all(world: World) -> dict[tuple[str, str], list[Step]]:
    happened: dict[str, list[tuple[datetime, int, Shown | Payment]]] = {}
    for shown in world.shown:
        happened.setdefault(shown.subscription, []).append((shown.at, 0, shown))
    for payment in world.payments:
        for subscription in {line.subscription for line in payment.lines if line.subscription and line.product}:
            happened.setdefault(subscription or "", []).append((payment.paid_at, 1, payment))
    found: dict[tuple[str, str], list[Step]] = {}
    for subscription, entries in happened.items():
        found |= _walk(subscription, [entry for *_, entry in sorted(entries, key=lambda each: each[:2])])
    return found


def _walk(subscription: str, entries: list[Shown | Payment]) -> dict[tuple[str, str], list[Step]]:
    found: dict[tuple[str, str], list[Step]] = {}
    present: set[str] = set()
    words: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, Payment):
            for product, prices in _proven(entry, subscription):
                steps = found.setdefault((subscription, product), [])
                steps.append((entry.paid_at, "active", steps[-1][2] if steps else prices))
                present.add(product)
            continue
        over = entry.status == "canceled"
        listed = {product: (price,) for product, price in entry.products}
        gone = set(present) | ({product for _, product in found} if over else set())
        for product in sorted(gone - set(listed)):
            steps = found.setdefault((subscription, product), [])
            steps.append((entry.at, "churned", steps[-1][2] if steps else ()))
        for product, prices in listed.items():
            steps = found.setdefault((subscription, product), [])
            status = _STATUSES.get(entry.status, "churned")
            no_news = status == "trial" and words.get(product) == entry.status and steps[-1][1] == "active"
            steps.append((entry.at, steps[-1][1] if steps and (status == "none" or no_news) else status, prices))
            words[product] = entry.status
        present = set(listed)
        if over:
            break
    return found


def _proven(payment: Payment, subscription: str) -> list[tuple[str, tuple[str, ...]]]:
    """The products whose lines together come to more than nothing."""
    proven = []
    for product in sorted(
        {line.product for line in payment.lines if line.product and line.subscription == subscription}
    ):
        lines = [line for line in payment.lines if (line.subscription, line.product) == (subscription, product)]
        if sum(line.amount - line.discount for line in lines) > 0:
            charging = [line for line in lines if line.amount > 0] or lines
            proven.append((product, tuple(line.price for line in charging if line.price)))
    return proven


def occasions(world: World) -> list[tuple[str, str, datetime, str | None, str | None, str | None, tuple[str, ...]]]:
    """(event, key, moment, provider's customer, subscription, product, prices) of all that befell products."""
    owners = {
        line.subscription: payment.customer for payment in world.payments for line in payment.lines if line.subscription
    }
    owners |= {shown.subscription: shown.customer for shown in world.shown}
    found: list[tuple[str, str, datetime, str | None, str | None, str | None, tuple[str, ...]]] = []
    for (subscription, product), steps in histories(world).items():
        key, owner, before = f"stripe:{subscription}/{product}", owners.get(subscription), "none"
        bought = [step for step in steps if step[1] in ("trial", "active")][:1]
        found += [("product_created", key, at, owner, subscription, product, p) for at, _, p in bought]
        for at, status, prices in steps:
            if status != before:
                name = f"{key}@{int(at.timestamp() * 1000)}"
                found.append(("product_status_changed", name, at, owner, subscription, product, prices))
            before = status
    return found
