"""Every recorded event, really signed, really received and really drained: once in order, and twice in any order."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
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


#: How Chargebee shows who it is.
USER, PASSWORD = "billing", "a password of some length"


@pytest.fixture(scope="module")
def stripe_recorded(recorded_payloads_dir: Path) -> list[bytes]:
    """Every recorded event of Stripe's, and before them who referred each customer, in the order of their times."""
    events = _recorded(recorded_payloads_dir / "stripe", "created")
    named = {event["data"]["object"].get("customer") for event in events if isinstance(event.get("data"), dict)}
    referred = [
        stripe_events.customer(key, at=REFERRED_AT, metadata={"customer_key": f"company {key}", **partner})
        for key, partner in _referred(key for key in named if isinstance(key, str))
    ]
    return [*map(body, referred), *map(body, events)]


@pytest.fixture(scope="module")
def chargebee_recorded(recorded_payloads_dir: Path) -> list[bytes]:
    """The same of Chargebee's."""
    events = _recorded(recorded_payloads_dir / "chargebee", "occurred_at")
    resources = [thing for event in events for thing in event["content"].values() if isinstance(thing, dict)]
    named = {thing.get("customer_id") for thing in resources}
    referred = [_chargebee_customer(key, partner) for key, partner in _referred(filter(None, named))]
    return [json.dumps(event).encode() for event in (*referred, *events)]


def _recorded(folder: Path, time_field: str) -> list[stripe_events.Event]:
    events = [json.loads(path.read_bytes()) for path in folder.glob("*.json")]
    found = [each for each in events if time_field in each]
    assert len(found) > 60
    return sorted(found, key=lambda event: (event[time_field], event["id"]))


def _referred(keys: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """Of three customers one is ada's, one is grace's, one is known and nobody's."""
    partners: tuple[dict[str, str], ...] = ({"partner_key": "ada"}, {"partner_key": "grace"}, {})
    return [(key, partners[place % 3]) for place, key in enumerate(sorted(keys))]


def _chargebee_customer(key: str, partner: Mapping[str, str]) -> stripe_events.Event:
    second = int(REFERRED_AT.timestamp())
    metadata = {"customer_key": f"company {key}", **partner}
    content = {"id": key, "object": "customer", "created_at": second, "resource_version": 1, "meta_data": metadata}
    return {
        "id": f"ev_referred_{key}",
        "occurred_at": second,
        "source": "api",
        "object": "event",
        "api_version": "v2",
        "event_type": "customer_created",
        "content": {"customer": content},
    }


@contextmanager
def program(server_url: str, template: str, redis_url: str, folder: Path) -> Iterator[tuple[Stage, ReceiverProcess]]:
    """A company's program and its receiver, on a database of their own."""
    folder.mkdir()
    with new_database(server_url, template) as url:
        engine = make_engine(url, application_name="tests", pool_size=4)
        try:
            users = f"{USER}:{PASSWORD}"
            settings = {"DATABASE_URL": url, "REDIS_URL": redis_url, "CHARGEBEE_WEBHOOK_USERS": users}
            with running(folder, **settings) as receiver:
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


Deliver = Callable[[ReceiverProcess, bytes], httpx.Response]


def by_stripe(receiver: ReceiverProcess, event: bytes) -> httpx.Response:
    """Signed."""
    return receiver.deliver(event)


def by_chargebee(receiver: ReceiverProcess, event: bytes) -> httpx.Response:
    """With user and password."""
    return receiver.client.post("/webhooks/chargebee", content=event, auth=(USER, PASSWORD))


def play(
    running_program: tuple[Stage, ReceiverProcess], deliver: Deliver, bodies: Sequence[bytes], rng: random.Random
) -> Fingerprint:
    """Deliver every body in this order, draining in between at odd moments; what the state is in the end."""
    stage, receiver = running_program
    left = list(bodies)
    while left:
        count = rng.randint(1, ARRIVE_TOGETHER_MAX)
        for each in left[:count]:
            assert deliver(receiver, each).status_code == 200
        left = left[count:]
        stage.drainer.sweep()
    with unit_of_work_on(stage.engine) as connection:
        return fingerprint(connection)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("provider", "deliver", "commissions_min"), [("stripe", by_stripe, 20), ("chargebee", by_chargebee, 10)]
)
def test_any_order_twice_is_as_once_in_order(
    request: pytest.FixtureRequest,
    server_url: str,
    template_database: str,
    redis_url: str,
    tmp_path: Path,
    provider: str,
    deliver: Deliver,
    commissions_min: int,
    seed: int,
) -> None:
    """All recorded events, shuffled and each sent twice, end in the very state that they end in once and in order."""
    recorded: list[bytes] = request.getfixturevalue(f"{provider}_recorded")
    rng = random.Random(seed)
    with program(server_url, template_database, redis_url, tmp_path / "in_order") as running_program:
        in_order = play(running_program, deliver, recorded, rng)
        assert len(running_program[0].commissions()) > commissions_min
    shuffled = [*recorded, *recorded]
    rng.shuffle(shuffled)
    with program(server_url, template_database, redis_url, tmp_path / "shuffled") as running_program:
        assert play(running_program, deliver, shuffled, rng).sections == in_order.sections
