"""The company that is measured: twenty partners, four products, and by default twenty triggers, which fire on product
and partner's group; its customers pay for two products each. And a past for it, copied from what was really booked.
"""

import random
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import EXAMPLE_AT, item, line
from tests.stage import Stage

PRODUCTS = {"Live Chat": 4900, "Knowledge Base": 7900, "Surveys": 3900, "Inbox": 9900}
PARTNERS = 20
TRIGGERS = 20
#: Of each customer.
EVENTS = 5

#: Per table with a past the columns that name a customer, a subscription or what follows from them.
_NAMES = {
    "customers": ("key", "customer_key"),
    "provider_customers": ("provider_customer_key", "customer"),
    "customer_descriptions": ("provider_customer_key",),
    "claims": ("subject",),
    "subscription_snapshots": ("subscription_key", "provider_customer_key"),
    "products": ("subscription_key", "provider_customer_key"),
    "product_history": ("subscription_key",),
    "transactions": ("key", "provider_customer_key"),
    "transaction_lines": ("transaction_key", "subscription_key"),
    "payment_links": ("payment_key", "invoice_key"),
    "standings": ("transaction_key", "customer"),
    "commissions": ("key", "occasion_key", "transaction_key", "customer"),
    "commission_entries": ("commission_key",),
}


def open_shop(stage: Stage, triggers: int = TRIGGERS, elsewhere: int = 0) -> None:
    """Catalogue, partners and triggers: one on each product fires, the others ask for a group that nobody is in.

    `elsewhere` so many more, each on a product of its own that nobody buys.
    """
    for name in PRODUCTS:
        stage.product(name, product_key(name))
    for number in range(PARTNERS):
        stage.partner(f"partner-{number}", group="gold" if number % 2 else "silver")
    for number, name in zip(range(triggers), list(PRODUCTS) * triggers, strict=False):
        rules: dict[str, Any] = {"all": [{"field": "product.name", "op": "is_any_of", "value": [name]}]}
        if number >= len(PRODUCTS):
            rules["all"].append({"field": "partner.group", "op": "is_any_of", "value": [f"group-{number}"]})
        stage.trigger(f"trigger-{number}", "10", rules=rules)
    for number in range(elsewhere):
        other = {"field": "product.name", "op": "is_any_of", "value": [f"Product {number}"]}
        stage.trigger(f"elsewhere-{number}", "10", rules=other)


def product_key(name: str) -> str:
    """What Stripe calls the product."""
    return "prod_" + name.replace(" ", "")


def customers(count: int) -> Iterator[dict[str, Any]]:
    """`count` customers come, each brought by a partner."""
    for number in range(count):
        yield stripe.customer(f"cus_{number}", event_key=f"evt_c{number}", partner_key=f"partner-{number % PARTNERS}")


def events(count: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """What becomes of the customers in five months: paid invoices of two lines and changes of subscriptions, 2 to 1."""
    for number in range(count):
        customer = number % (count // EVENTS)
        at = EXAMPLE_AT + timedelta(days=30 * (number * EVENTS // count), seconds=customer)
        if chance.random() < 2 / 3:
            yield payment(f"{number}", customer, at)
        else:
            items = [item(product_key(name), amount=PRODUCTS[name]) for name in sold_to(customer)]
            common: dict[str, Any] = {"customer": f"cus_{customer}", "event_key": f"evt_{number}"}
            yield stripe.subscription(f"sub_{customer}", items=items, change="updated", at=at, **common)


def payment(name: str, customer: int, at: Any) -> dict[str, Any]:
    """A paid invoice of two lines; equal names give the same one."""
    subscription = f"sub_{customer}"
    lines = [line(product_key(sold), PRODUCTS[sold], subscription=subscription) for sold in sold_to(customer)]
    common: dict[str, Any] = {"customer": f"cus_{customer}", "event_key": f"evt_{name}"}
    return stripe.invoice_paid(f"in_{name}", lines=lines, subscription=subscription, paid_at=at, **common)


def sold_to(customer: int) -> tuple[str, str]:
    """The names of what a customer buys."""
    names = list(PRODUCTS)
    return names[customer % 4], names[(customer + 1) % 4]


def copy_past(engine: Engine, times: int) -> None:
    """Everything that was recorded and booked, `times` more, of other customers; the copies are not told to anybody."""
    with engine.begin() as connection:
        for table, names in _NAMES.items():
            _copy(connection, table, {name: f"o.{name} || '~' || n" for name in names}, times)
    _vacuum(engine)


def lengthen_past(engine: Engine, customer: int, times: int) -> None:
    """One customer's first payment with all that follows from it, `times` more, each an hour before the other."""
    of_customer = f"where provider_customer_key = 'cus_{customer}' order by occurred_at, key limit 1"
    earlier = {"occurred_at": "o.occurred_at - n * interval '1 hour'"}
    with engine.begin() as connection:
        key = str(connection.scalar(text(f"select key from transactions {of_customer}")))
        for table, named, moved in (
            ("transactions", ("key",), earlier),
            ("transaction_lines", ("transaction_key",), earlier),
            ("standings", ("transaction_key",), {}),
            ("commissions", ("key", "occasion_key", "transaction_key"), {}),
        ):
            of_it = "key" if table == "transactions" else "transaction_key"
            changed = {name: f"o.{name} || '~~' || n" for name in named} | moved
            _copy(connection, table, changed, times, f"where o.{of_it} = '{key}'")
        of_it = f"where o.commission_key in (select key from commissions where transaction_key = '{key}')"
        _copy(connection, "commission_entries", {"commission_key": "o.commission_key || '~~' || n"}, times, of_it)
    _vacuum(engine)


def _copy(connection: Connection, table: str, changed: Mapping[str, str], times: int, where: str = "") -> None:
    connection.execute(text(f"alter table {table} disable trigger user"))
    columns = connection.scalars(
        text("select column_name from information_schema.columns where table_name = :t order by 1"), {"t": table}
    ).all()
    listed = ", ".join(f'"{name}"' for name in columns)
    copied = ", ".join(changed.get(name, f'o."{name}"') for name in columns)
    originals = f"{table} o cross join generate_series(1, {times}) n {where}"
    connection.execute(text(f"insert into {table} ({listed}) select {copied} from {originals}"))
    connection.execute(text(f"alter table {table} enable trigger user"))


def _vacuum(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
