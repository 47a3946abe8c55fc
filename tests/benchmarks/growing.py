"""What one more payment costs after a long history, as a ratio to what it costs without: 1 is the design.

CPU of worker and database together, for the clock tells of whatever else ran. Histories are copies of what was really
recorded and booked; what is measured comes in order, through the inbox.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from infra.providers.stripe.example_events import EXAMPLE_AT
from tests.benchmarks.drain import Drained, drained
from tests.benchmarks.results import Result
from tests.benchmarks.shop import TRIGGERS, copy_past, customers, lengthen_past, open_shop, payment
from tests.stage import Stage

#: Whatever is above this is growth and not noise.
TARGET_RATIO = 1.2
CUSTOMERS = 200
#: Of each measurement the best of so many: what disturbs one does not disturb all.
ROUNDS = 3

NewEngine = Callable[[], AbstractContextManager[Engine]]


def measure(new_engine: NewEngine, transactions: int, of_one: int, triggers: int) -> list[Result]:
    """`transactions` in the large database, `of_one` of the one customer, and so many triggers."""
    with new_engine() as engine:
        small, alone = _cost(engine, everybody=True), _cost(engine, everybody=False, prepare=False)
    with new_engine() as engine:
        large = _cost(engine, lambda: copy_past(engine, transactions // CUSTOMERS), everybody=True)
    with new_engine() as engine:
        long = _cost(engine, lambda: lengthen_past(engine, 0, of_one), everybody=False)
    with new_engine() as engine:
        many = _cost(engine, elsewhere=triggers - TRIGGERS, everybody=True)
    with new_engine() as engine:
        asked = _cost(engine, triggers=triggers, everybody=True)
    return [
        _ratio(f"growth: {transactions:,} transactions", large, small),
        _ratio(f"  a customer with {of_one:,} of them", long, alone),
        _ratio(f"  {triggers:,} triggers, {TRIGGERS} on what is bought", many, small),
        replace(_ratio(f"  {triggers:,} triggers on what is bought", asked, small), target=None),
    ]


def _ratio(what: str, grown_us: float, small_us: float) -> Result:
    note = f"{grown_us:.0f} us per payment, {small_us:.0f} us without"
    return Result(what, grown_us / small_us, "x", TARGET_RATIO, more=False, note=note)


def _cost(
    engine: Engine,
    grow: Callable[[], None] = lambda: None,
    *,
    triggers: int = TRIGGERS,
    elsewhere: int = 0,
    everybody: bool,
    prepare: bool = True,
) -> float:
    """Microseconds of CPU per payment: of everybody in turn, or of one customer alone."""
    stage = Stage(engine)
    if prepare:
        open_shop(stage, triggers, elsewhere)
        drained(stage, customers(CUSTOMERS))
        drained(stage, _payments("past", 0, everybody=True))
        grow()
    name = "all" if everybody else "one"
    drained(stage, _payments(f"{name}-warm", 100, everybody=everybody))
    rounds = [drained(stage, _payments(f"{name}-{n}", 200 + 100 * n, everybody=everybody)) for n in range(ROUNDS)]
    return min(map(_cpu_us, rounds))


def _cpu_us(found: Drained) -> float:
    return (found.client_s + found.server_s) / found.count * 1e6


def _payments(name: str, day: int, *, everybody: bool) -> Iterator[dict[str, Any]]:
    for number in range(CUSTOMERS):
        at = EXAMPLE_AT + timedelta(days=day, minutes=number)
        yield payment(f"{name}-{number}", number if everybody else 0, at)
