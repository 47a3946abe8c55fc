"""Snapshots that their provider numbers, told one by one: windows leave what all of them together make."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Engine

from domain.facts import BillingEvent, ProductStatus, Source, SubscriptionItem, SubscriptionSeen
from infra.ledger.deciding import settle
from infra.ledger.postgres import PostgresLedger
from infra.program import ProgramReader
from tests.simulation.playing import histories_that_differ
from tests.stage import Stage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def snapshot(version: int, day: int, *products: str, ended_on: int | None = None) -> SubscriptionSeen:
    """Seen on a day; `ended_on` is the day on which it was over by then."""
    said_at = NOON + timedelta(days=day)
    ended = ended_on is not None
    return SubscriptionSeen(
        provider="chargebee",
        subscription_key="sub_1",
        provider_customer_key="cus_1",
        source=Source(version, said_at, 1, f"ev_{version}"),
        effective_at=said_at if ended_on is None else NOON + timedelta(days=ended_on),
        status=ProductStatus.CHURNED if ended else ProductStatus.ACTIVE,
        provider_status="cancelled" if ended else "active",
        ended=ended,
        absorbing=False,
        currency="usd",
        items=tuple(SubscriptionItem(product, (), 1, 100) for product in products),
    )


#: A cancellation dated back behind a change of items, taken back, and dated back again.
FACTS = [
    snapshot(1, 0, "inbox"),
    snapshot(2, 20, "inbox", "chat"),
    snapshot(3, 25, "inbox", "chat", ended_on=10),
    snapshot(4, 30, "inbox"),
    snapshot(5, 40, "inbox", "surveys"),
    snapshot(6, 50, "inbox", ended_on=35),
    snapshot(7, 60, "inbox"),
]


def tell(stage: Stage, facts: list[BillingEvent]) -> None:
    """One batch."""
    with stage.engine.begin() as connection:
        program = ProgramReader(stage.settings).read(connection)
        settle(PostgresLedger(connection, program), facts, program)


@pytest.mark.parametrize("seed", range(12))
def test_numbered_snapshots_end_alike_in_any_order(engine: Engine, seed: int) -> None:
    """However they arrive, the higher number wins, and no window forgets what the provider has taken back."""
    stage, facts = Stage(engine), list(FACTS)
    if seed:
        Random(seed).shuffle(facts)
    for fact in facts:
        tell(stage, [fact])
        assert histories_that_differ(stage) == []
    told = stage.ask("select product_key, effective_at, status from product_history order by 2, 1")
    assert [(product, (moment - NOON).days, status) for product, moment, status in told] == [
        ("inbox", 0, "active"),
        ("chat", 10, "churned"),
        ("inbox", 10, "churned"),
        ("inbox", 30, "active"),
        ("inbox", 35, "churned"),
        ("inbox", 60, "active"),
    ]
