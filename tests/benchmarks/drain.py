"""How many stored events one drain brings to committed effects in a second, and where the time goes.

    python -m tests.benchmarks.drain [--count 5000] [--profile]

Paid invoices of two lines under twenty triggers, and changes of the same subscriptions, in the order 2 to 1.
"""

import argparse
import cProfile
import pstats
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Engine, event

from infra.database import make_engine, upgrade_to_head
from infra.embedded import servers
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import EXAMPLE_AT, item, line
from tests.conftest import reachable_folder
from tests.stage import Stage

PRODUCTS = {"Live Chat": 4900, "Knowledge Base": 7900, "Surveys": 3900, "Inbox": 9900}
PARTNERS = 20
TRIGGERS = 20


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=5000)
    arguments.add_argument("--profile", action="store_true")
    given = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with reachable_folder() as folder, servers(folder / "servers", database_url=None, redis_url=None) as addresses:
        engine = make_engine(addresses.database_url, application_name="benchmark")
        upgrade_to_head(engine)
        _measure(engine, given.count, profiled=given.profile)
        engine.dispose()


def _measure(engine: Engine, count: int, *, profiled: bool) -> None:
    stage = Stage(engine)
    _program(stage)
    stage.store(_customers(count // 5))
    stage.drainer.run(slice_s=600)
    stage.store(_events(count, random.Random(7)))
    statements = _count_statements(engine)
    profile = cProfile.Profile()
    began_s = time.monotonic()
    if profiled:
        profile.enable()
    report = stage.drainer.run(slice_s=600)
    profile.disable()
    seconds = time.monotonic() - began_s
    booked = stage.ask("select count(*), coalesce(sum(amount_minor), 0) from commissions")[0]
    print(f"{report.processed_count} events in {seconds:.2f} s: {report.processed_count / seconds:.0f} events/s")  # noqa: T201
    print(f"{statements['count']} statements, {report.failed_count} failed, {booked[0]} commissions")  # noqa: T201
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


def _count_statements(engine: Engine) -> dict[str, int]:
    found = {"count": 0}

    def count(*_: object) -> None:
        found["count"] += 1

    event.listen(engine, "before_cursor_execute", count)
    return found


def _program(stage: Stage) -> None:
    for name in PRODUCTS:
        stage.product(name, _key(name))
    for number in range(PARTNERS):
        stage.partner(f"partner-{number}", group="gold" if number % 2 else "silver")
    for number, name in zip(range(TRIGGERS), list(PRODUCTS) * TRIGGERS, strict=False):
        rules: dict[str, Any] = {"all": [{"field": "product.name", "op": "is_any_of", "value": [name]}]}
        if number >= len(PRODUCTS):
            rules["all"].append({"field": "partner.group", "op": "is_any_of", "value": [f"group-{number}"]})
        stage.trigger(f"trigger-{number}", "10", rules=rules)


def _key(name: str) -> str:
    return "prod_" + name.replace(" ", "")


def _customers(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield stripe.customer(f"cus_{number}", event_key=f"evt_c{number}", partner_key=f"partner-{number % PARTNERS}")


def _events(count: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    names = list(PRODUCTS)
    for number in range(count):
        customer = number % (count // 5)
        at = EXAMPLE_AT + timedelta(days=30 * (number * 5 // count), seconds=customer)
        sold = (names[customer % 4], names[(customer + 1) % 4])
        common: dict[str, Any] = {"customer": f"cus_{customer}", "event_key": f"evt_{number}"}
        subscription = f"sub_{customer}"
        if chance.random() < 2 / 3:
            lines = [line(_key(name), PRODUCTS[name], subscription=subscription) for name in sold]
            yield stripe.invoice_paid(f"in_{number}", lines=lines, subscription=subscription, paid_at=at, **common)
        else:
            items = [item(_key(name), amount=PRODUCTS[name]) for name in sold]
            yield stripe.subscription(subscription, items=items, change="updated", at=at, **common)


if __name__ == "__main__":
    main()
