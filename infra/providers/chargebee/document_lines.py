"""What a line of an invoice or a credit note amounts to: without tax that is included in it, and after discounts.

`amount` is before discounts in every shape. `discount_amount` on the line is all that was taken off it, its share of
document level discounts included; where a document says less on its lines than in total, the rest is spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.facts import InvoiceLine
from domain.money import split_proportionally
from infra.providers.chargebee import shapes
from infra.providers.chargebee.reading import text_of

#: What a subscription bills period after period. Charges, set-up fees and ad hoc lines are billed once.
_RECURRING: Final = frozenset({"plan", "addon", "plan_item_price", "addon_item_price"})


@dataclass(frozen=True, slots=True)
class LineMoney:
    """`amount_minor` is without included tax and before discounts."""

    amount_minor: int
    discount_minor: int

    @property
    def net_minor(self) -> int:
        """What was charged or credited for it."""
        return self.amount_minor - self.discount_minor


def money_of(document: shapes.Document) -> list[LineMoney]:
    """Of each line, in the document's order."""
    inclusive = document.price_type == "tax_inclusive"
    return [
        LineMoney(line.amount - (line.tax_amount or 0 if inclusive else 0), discount_minor)
        for line, discount_minor in zip(document.line_items, _discounts(document), strict=True)
    ]


def invoice_lines(invoice: shapes.Invoice) -> tuple[InvoiceLine, ...]:
    """Every line the invoice carries, in its order. A line names its own subscription: an invoice may bill several."""
    return tuple(
        InvoiceLine(
            line_key=line.id,
            subscription_key=line.subscription_id,
            product_key=line.entity_id,
            price_keys=(line.entity_id,) if line.entity_id else (),
            amount_minor=money.amount_minor,
            discount_minor=money.discount_minor,
            quantity=line.quantity,
            recurring=_is_recurring(line),
            description=text_of(line.description),
        )
        for line, money in zip(invoice.line_items, money_of(invoice), strict=True)
    )


def _is_recurring(line: shapes.Line) -> bool:
    """An addon without a period of its own was added once (catalog 1.0 has no other word for it)."""
    once = line.date_from is not None and line.date_from == line.date_to
    return line.entity_type in _RECURRING and line.subscription_id is not None and not once


def _discounts(document: shapes.Document) -> list[int]:
    by_row: dict[str, int] = {}
    for row in document.line_item_discounts or ():
        by_row[row.line_item_id] = by_row.get(row.line_item_id, 0) + row.discount_amount
    told = [line.discount_amount or by_row.get(line.id, 0) for line in document.line_items]
    in_all = sum(discount.amount for discount in document.discounts or ())
    return _with_the_rest(told, in_all - sum(told), document.line_items)


def _with_the_rest(told: list[int], rest_minor: int, lines: Sequence[shapes.Line]) -> list[int]:
    """By largest remainder over what is left of the positive lines, and never more than that."""
    left = [max(0, line.amount - discount) for line, discount in zip(lines, told, strict=True)]
    rest_minor = min(max(0, rest_minor), sum(left))
    if not rest_minor:
        return told
    shares = split_proportionally(rest_minor, left)
    return [discount + share for discount, share in zip(told, shares, strict=True)]
