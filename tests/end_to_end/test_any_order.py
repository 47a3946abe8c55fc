"""Every recorded event, really signed, really received and really drained: once in order, and twice in any order."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from infra.database import make_engine
from infra.fingerprint import Fingerprint, fingerprint
from infra.unit_of_work import unit_of_work_on
from tests.builders import body, stripe_events
from tests.conftest import new_database
from tests.stage import Stage
from tests.webhooks.receiver_process import ReceiverProcess, running

#: Earlier than every recorded event.
REFERRED_AT = datetime(2010, 1, 1, tzinfo=UTC)
#: How many deliveries arrive between two drains, at most: batches never fall alike.
ARRIVE_TOGETHER_MAX = 40


@pytest.fixture(scope="module")
def recorded(recorded_payloads_dir: Path) -> list[bytes]:
    """Every recorded event of Stripe's, and before them who referred each customer, in the order of their times."""
    bodies = [path.read_bytes() for path in (recorded_payloads_dir / "stripe").glob("*.json")]
    events = sorted((each for each in map(json.loads, bodies) if "created" in each), key=_place)
    assert len(events) > 60
    return [*map(body, _referrals(events)), *map(body, events)]


def _place(event: stripe_events.Event) -> tuple[int, str]:
    return event["created"], event["id"]


def _referrals(events: Sequence[stripe_events.Event]) -> list[stripe_events.Event]:
    """Of three customers one is ada's, one is grace's, one is known and nobody's."""
    named = {event["data"]["object"].get("customer") for event in events if isinstance(event.get("data"), dict)}
    keys = sorted(key for key in named if isinstance(key, str))
    found = []
    for place, key in enumerate(keys):
        partner = ({"partner_key": "ada"}, {"partner_key": "grace"}, {})[place % 3]
        metadata = {"customer_key": f"company {key}", **partner}
        found.append(stripe_events.customer(key, at=REFERRED_AT, metadata=metadata))
    return found


@contextmanager
def program(server_url: str, template: str, redis_url: str, folder: Path) -> Iterator[tuple[Stage, ReceiverProcess]]:
    """A company's program and its receiver, on a database of their own."""
    folder.mkdir()
    with new_database(server_url, template) as url:
        engine = make_engine(url, application_name="tests", pool_size=4)
        try:
            with running(folder, DATABASE_URL=url, REDIS_URL=redis_url) as receiver:
                yield set_up(engine), receiver
        finally:
            engine.dispose()


def set_up(engine: Engine) -> Stage:
    """Two partners, an offer on every line that sells something, one on the whole, one in instalments."""
    stage = Stage(engine)
    for partner in ("ada", "grace"):
        stage.partner(partner, now=REFERRED_AT)
    sold = {"field": "line.quantity", "op": "gte", "value": 1}
    stage.trigger("trg_lines", "10", rules=sold, now=REFERRED_AT)
    stage.trigger("trg_whole", "2.5", now=REFERRED_AT)
    drip = {"delay": {"days": 10}, "cycle": {"months": 1}, "occurrences": 3, "stop_on_churn": True}
    stage.trigger("trg_drip", rules=sold, action={"type": "percent", "percent": "1", "drip": drip}, now=REFERRED_AT)
    return stage


def deliver(stage: Stage, receiver: ReceiverProcess, bodies: Sequence[bytes], rng: random.Random) -> Fingerprint:
    """Deliver every body in this order, draining in between at odd moments; what the state is in the end."""
    left = list(bodies)
    while left:
        count = rng.randint(1, ARRIVE_TOGETHER_MAX)
        for each in left[:count]:
            assert receiver.deliver(each).status_code == 200
        left = left[count:]
        stage.drainer.sweep()
    with unit_of_work_on(stage.engine) as connection:
        return fingerprint(connection)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_twice_is_as_once_in_order(
    server_url: str, template_database: str, redis_url: str, tmp_path: Path, recorded: list[bytes], seed: int
) -> None:
    """All recorded events, shuffled and each sent twice, end in the very state that they end in once and in order."""
    rng = random.Random(seed)
    with program(server_url, template_database, redis_url, tmp_path / "in_order") as (stage, receiver):
        in_order = deliver(stage, receiver, recorded, rng)
        assert len(stage.commissions()) > 20
    shuffled = [*recorded, *recorded]
    rng.shuffle(shuffled)
    with program(server_url, template_database, redis_url, tmp_path / "shuffled") as (stage, receiver):
        assert deliver(stage, receiver, shuffled, rng).sections == in_order.sections
