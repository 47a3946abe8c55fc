"""One paid invoice is one transaction with one line per product."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.facts import InvoiceLine, InvoicePaid, Source
from domain.transactions import Basis, Line, transaction_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def line(
    key: str,
    amount: int,
    product: str | None = "prod_inbox",
    *,
    sub: str | None = "sub_1",
    discount: int = 0,
    quantity: int | None = 1,
    price: str = "price_inbox",
) -> InvoiceLine:
    """One line of an invoice."""
    prices = (price,) if product else ()
    return InvoiceLine(key, sub, product, prices, amount, discount, quantity, recurring=sub is not None)


def lines_of(*lines: InvoiceLine) -> dict[str, Line]:
    """The transaction's lines by key."""
    event = InvoicePaid("stripe", "in_1", "cus_1", Source(0, NOON, 1, "evt_1"), NOON, "usd", lines, lines_missing=False)
    paid = transaction_of(event)
    assert paid.key == "stripe:in_1"
    assert paid.net_minor == sum(each.amount_minor - each.discount_minor for each in lines)
    return {each.key: each for each in paid.lines}


def test_lines_of_one_product_on_one_subscription_are_netted() -> None:
    """Charge, credit and discount add up to one line; its quantity and prices are the charge's."""
    netted = lines_of(
        line("il_1", 9900, discount=900, quantity=3),
        line("il_2", -4900, quantity=9, price="price_old"),
    )["sub_1/prod_inbox"]
    assert (netted.gross_minor, netted.discount_minor, netted.net_minor) == (5000, 900, 4100)
    assert (netted.quantity, netted.price_keys) == (3, ("price_inbox",))
    assert (netted.amount_minor(Basis.NET), netted.amount_minor(Basis.GROSS)) == (4100, 5000)


def test_one_recurring_part_makes_a_netted_line_recurring() -> None:
    """A set-up fee beside the month is of the subscription; alone it says nothing of how long the product goes on."""
    month, fee = line("il_1", 9900), replace(line("il_2", 500), recurring=False)
    assert lines_of(fee, month)["sub_1/prod_inbox"].recurring is True
    assert lines_of(fee)["sub_1/prod_inbox"].recurring is False


def test_other_subscriptions_and_no_subscription_stay_apart() -> None:
    """The same product on another subscription, or on none, is another line."""
    found = lines_of(line("il_1", 100), line("il_2", 200, sub="sub_2"), line("il_3", 400, sub=None))
    assert {key: each.net_minor for key, each in found.items()} == {
        "-/prod_inbox": 400,
        "sub_1/prod_inbox": 100,
        "sub_2/prod_inbox": 200,
    }


def test_a_line_without_a_product_keeps_a_line_of_its_own() -> None:
    """Two such lines are never netted: nobody knows that they are for one thing."""
    assert set(lines_of(line("il_1", 100, None), line("il_2", -100, None))) == {"line:il_1", "line:il_2"}


def test_credits_alone_keep_their_own_prices() -> None:
    """Where nothing is charged, the credit's own price tells what it is for."""
    assert lines_of(line("il_1", -100, price="price_old"))["sub_1/prod_inbox"].price_keys == ("price_old",)


def test_a_zero_invoice_is_a_transaction() -> None:
    """A payment of nothing is recorded like any other."""
    assert lines_of(line("il_1", 0))["sub_1/prod_inbox"].net_minor == 0


def test_a_payment_is_of_the_moment_it_was_paid() -> None:
    """Not of the moment an event told of it, which may be days later and is another for every event."""
    for days in (0, 9):
        source = Source(0, NOON + timedelta(days=days), 1, f"evt_{days}")
        told = InvoicePaid("stripe", "in_1", "cus_1", source, NOON, "usd", (line("il_1", 5),), lines_missing=False)
        assert transaction_of(told).occurred_at == NOON
