"""An invoice's lines as facts: which subscription, which product, how much of it is not tax, and what discount.

Stripe's `subtotal` is after line-level discounts and before invoice-level ones; the only sum that holds at every
version is line amounts - discounts + exclusive tax = total.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from msgspec import UNSET

from domain.errors import Unreadable
from domain.facts import InvoiceLine
from domain.money import split_proportionally
from infra.providers.stripe import shapes

_LINE: Final = "$.data.object.lines.data[...]"


def invoice_lines(invoice: shapes.Invoice) -> tuple[InvoiceLine, ...]:
    """Every line the invoice carries, in its order, with its share of invoice-level discounts. Keys are unique."""
    lines = invoice.lines.data
    discounts = _discounts(invoice)
    billed = invoice_subscription(invoice)
    return _with_unique_keys([_line(line, discount, billed) for line, discount in zip(lines, discounts, strict=True)])


def invoice_subscription(invoice: shapes.Invoice) -> str | None:
    """The subscription that the invoice bills; None on a manual invoice."""
    if invoice.parent is not UNSET and invoice.parent is not None and invoice.parent.subscription_details is not None:
        return invoice.parent.subscription_details.subscription
    return None if invoice.subscription is UNSET else invoice.subscription


def _line(line: shapes.Line, discount_minor: int, billed: str | None) -> InvoiceLine:
    if line.parent is UNSET and line.subscription is UNSET and line.type is None:
        raise Unreadable(f"Object missing required field `parent`, needs an adapter - at `{_LINE}`")
    price_key = _price_key(line)
    return InvoiceLine(
        line_key=line.unique_id or line.id,
        subscription_key=_subscription_key(line, billed),
        product_key=_product_key(line) or price_key,
        price_keys=(price_key,) if price_key else (),
        amount_minor=line.amount - included_tax(line.taxes or line.tax_amounts),
        discount_minor=discount_minor,
        quantity=line.quantity,
        recurring=_is_recurring(line),
        description=line.description,
    )


def _with_unique_keys(lines: list[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """2016 lines are named after their subscription, so two of them share a name: the later one gets a number."""
    seen: dict[str, int] = {}
    unique = []
    for line in lines:
        count = seen[line.line_key] = seen.get(line.line_key, 0) + 1
        unique.append(line if count == 1 else replace(line, line_key=f"{line.line_key}#{count}"))
    return tuple(unique)


# --- what a line is for


def _details(line: shapes.Line) -> shapes.ItemDetails | None:
    if line.parent is UNSET or line.parent is None:
        return None
    return line.parent.subscription_item_details or line.parent.invoice_item_details


def _subscription_key(line: shapes.Line, billed: str | None) -> str | None:
    details = _details(line)
    named = details.subscription if details else None
    if named is None and line.subscription is not UNSET:
        named = line.subscription
    if named is None and _is_of_subscription(line):
        # 2016: the line's id is the subscription's. The invoice names it too.
        named = line.id if line.id.startswith(("sub_", "su_")) else billed
    return named


def _is_of_subscription(line: shapes.Line) -> bool:
    if line.parent is not UNSET and line.parent is not None:
        return line.parent.subscription_item_details is not None
    return line.type == "subscription"


def _is_recurring(line: shapes.Line) -> bool:
    details = _details(line)
    return _is_of_subscription(line) or line.proration or (details is not None and details.proration)


def _price_key(line: shapes.Line) -> str | None:
    details = line.pricing.price_details if line.pricing else None
    if details is not None and details.price is not None:
        return details.price
    terms = line.price or line.plan
    return terms.id if terms else None


def _product_key(line: shapes.Line) -> str | None:
    details = line.pricing.price_details if line.pricing else None
    if details is not None and details.product is not None:
        return details.product
    return next((terms.product for terms in (line.price, line.plan) if terms and terms.product), None)


# --- money


def included_tax(taxes: Iterable[shapes.TaxAmount] | None) -> int:
    """Tax inside a line's amount. Hybrids list the same tax twice, in `taxes` and `tax_amounts`: give one of them."""
    return sum(tax.amount for tax in taxes or () if _is_included(tax))


def _is_included(tax: shapes.TaxAmount) -> bool:
    return tax.inclusive if tax.tax_behavior is None else tax.tax_behavior == "inclusive"


def _discounts(invoice: shapes.Invoice) -> list[int]:
    """What was taken off each line. Before 2020-08-27 only the invoice says so: spread it over what it applied to."""
    lines = invoice.lines.data
    if any(line.discount_amounts for line in lines):
        return [_sum(line.discount_amounts or ()) for line in lines]
    return _spread(_invoice_discount(invoice), lines)


def _sum(discounts: Iterable[shapes.DiscountAmount]) -> int:
    return sum(discount.amount for discount in discounts)


def _invoice_discount(invoice: shapes.Invoice) -> int:
    if invoice.total_discount_amounts:
        return _sum(invoice.total_discount_amounts)
    if memoryview(invoice.discount).tobytes() in (b"", b"null"):
        return 0
    if invoice.subtotal is None or invoice.total is None:
        raise Unreadable("Object missing required field `subtotal` or `total` - at `$.data.object`")
    return invoice.subtotal + _added_tax(invoice) - invoice.total


def _added_tax(invoice: shapes.Invoice) -> int:
    """Tax on top. The oldest versions have nothing but `tax`, which was never included."""
    if invoice.total_tax_amounts:
        return sum(tax.amount for tax in invoice.total_tax_amounts if not _is_included(tax))
    return invoice.tax or 0


def _spread(discount_minor: int, lines: Sequence[shapes.Line]) -> list[int]:
    """By largest remainder over the positive lines that a coupon touches; never more than they amount to."""
    weights = [max(line.amount, 0) if line.discountable else 0 for line in lines]
    if not any(weights):
        weights = [max(line.amount, 0) for line in lines]
    applied = min(max(discount_minor, 0), sum(weights))
    return split_proportionally(applied, weights) if applied else [0] * len(lines)
