"""What each product's share of a payment is, and what reversals leave of it: part of the oracle, plain and slow."""

from dataclasses import dataclass, replace
from fractions import Fraction

from tests.simulation.world import PaidLine, Payment, World


@dataclass(frozen=True)
class Share:
    """A netted line, or (with no key) the whole; `left` is what reversals leave of `amount`.

    `amount` and `left` are on the program's basis; `net` and `net_left` are money, whatever the basis.
    """

    key: str | None
    product: str | None
    prices: tuple[str, ...]
    subscription: str | None
    amount: int
    left: int
    net: int
    net_left: int
    members: tuple[int, ...] = ()

    @property
    def place(self) -> tuple[str, str] | None:
        return (self.subscription, self.product) if self.subscription and self.product else None


def shares_of(world: World, payment: Payment) -> list[Share]:
    """A payment's lines, netted per subscription and product, in the order of their keys."""
    groups: dict[str, list[int]] = {}
    for place, line in enumerate(payment.lines):
        own = f"{line.subscription or '-'}/{line.product}" if line.product else f"line:{line.key}"
        groups.setdefault(own, []).append(place)
    shares = [_share(world, key, groups[key], payment) for key in sorted(groups)]
    return _after_reversals(world, payment, shares)


def whole_of(world: World, payment: Payment, shares: list[Share]) -> Share:
    """The payment as one share."""
    net, net_left = sum(share.net for share in shares), sum(share.net_left for share in shares)
    amount = _on_basis(world, sum(share.amount for share in shares), net)
    left = Fraction(amount)
    charges = [share for share in shares if share.net > 0]
    if sum(share.net_left for share in charges) == 0:
        left = Fraction(0)
    elif net > 0:
        # How much of each unit of money the charges' list price is, before and after what went back, times the money.
        dear = Fraction(sum(share.amount for share in charges), sum(share.net for share in charges))
        dear_left = Fraction(sum(share.left for share in charges), sum(share.net_left for share in charges))
        left = amount * (dear_left / dear) * Fraction(max(0, net_left), net)
    return Share(None, None, (), None, amount, round(left), net, net_left)


def _on_basis(world: World, gross: int, net: int) -> int:
    """List price where percentages are taken of it, unless discounts turned something into nothing or its opposite."""
    return gross if world.basis == "gross" and gross * net > 0 else net


def _share(world: World, key: str, places: list[int], payment: Payment) -> Share:
    lines: list[PaidLine] = [payment.lines[place] for place in places]
    charging = [line for line in lines if line.amount > 0] or lines
    net = sum(line.amount - line.discount for line in lines)
    amount = _on_basis(world, sum(line.amount for line in lines), net)
    return Share(
        key,
        lines[0].product,
        tuple(line.price for line in charging if line.price),
        lines[0].subscription,
        amount,
        amount,
        net,
        net,
        tuple(places),
    )


def _after_reversals(world: World, payment: Payment, shares: list[Share]) -> list[Share]:
    """Credit notes line by line, then everything else over what is left, the tax included."""
    taken = [each for each in world.taken if each.invoice == payment.invoice]
    left = {share.key: max(0, share.net) for share in shares}
    tax = payment.tax
    notes = sorted((each for each in taken if each.kind == "credit_note"), key=lambda note: note.key)
    covered = 0
    again = [each.amount for each in taken if each.plain and each.amount]
    for note in notes:
        off, of_tax = 0, note.amount - sum(amount for _, amount in note.lines)
        for place, amount in note.lines:
            share = next(share for share in shares if place in share.members)
            off += min(left[share.key], amount)
            left[share.key] -= min(left[share.key], amount)
        tax -= min(tax, of_tax)
        paid_out = note.refunded
        if note.failed and paid_out in again:  # a plain refund of the same amount is the failed one made again
            again.remove(paid_out)
        elif note.failed:
            paid_out = 0
        covered += min(paid_out, off + of_tax)
    refunds = sum(each.amount for each in taken if each.kind == "refund")
    lost = sum(each.amount for each in taken if each.kind == "dispute")
    back = max(0, refunds - covered) + lost
    net = max(0, sum(left.values()) + sum(min(0, share.net) for share in shares))
    back = _largest_remainders(min(back, net + tax), [net, tax])[0]
    parts = _largest_remainders(back, [left[share.key] for share in shares])
    return [_left(share, left[share.key] - part) for share, part in zip(shares, parts, strict=True)]


def _largest_remainders(amount: int, weights: list[int]) -> list[int]:
    exact = [Fraction(amount * weight, sum(weights) or 1) for weight in weights]
    parts = [int(share) for share in exact]
    for place in sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))[: amount - sum(parts)]:
        parts[place] += 1
    return parts


def _left(share: Share, net_left: int) -> Share:
    """Of a charge the part of its amount that is the part left of its money; a credit stands."""
    if share.net <= 0:
        return share
    return replace(share, net_left=net_left, left=round(Fraction(share.amount * net_left, share.net)))
