"""Deliveries as the other side sees them: signed, repeated under one id, given up at last, and sent nowhere else."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from domain.errors import Rejected
from infra.crashpoint import KILLED_EXIT_CODE
from infra.outgoing.deliveries import claim, delivered, mark, resend
from infra.outgoing.endpoints import change_endpoint, delete_endpoint, find_endpoint
from infra.outgoing.messenger import PostReport
from infra.retries import DELIVERY_WAITS_S
from tests.conftest import REPOSITORY
from tests.infra.told import LOOPBACK, deliveries, make_due, pay, posted, registered, ten_percent_of_inbox
from tests.stage import Stage
from tests.webhook_target import Plan, WebhookTarget, webhook_target

DELIVERING = """
    import sys
    from infra.database import make_engine
    from infra.outgoing.messenger import Messenger
    from infra.settings import load_settings
    engine = make_engine(sys.argv[1], application_name="tests")
    Messenger(engine, load_settings({"WEBHOOK_TARGETS_ALLOWED": "127.0.0.0/8"}, env_file=None)).run()
"""


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """A program in which ada earns 10 % of Inbox; nothing has happened yet."""
    return ten_percent_of_inbox(engine)


def test_a_delivery_is_signed_and_shows_the_item(stage: Stage, target: WebhookTarget) -> None:
    """The library verifies it; it says type, time and the commission as the API shows it, and is sent once."""
    registered(stage, target)
    pay(stage)
    assert posted(stage) == PostReport(delivered_count=1)
    (received,) = target.received
    assert received.verified
    assert received.path == "/told"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == f"127.0.0.1:{target.port}"
    document = received.document
    assert list(document) == ["type", "timestamp", "data"]
    assert document["type"] == "commission.created"
    assert abs(datetime.fromisoformat(document["timestamp"]).timestamp() - time.time()) < 60
    said = document["data"]
    assert (said["amount"], said["currency"], said["reward_status"]) == (300, "usd", "pending")
    assert (said["partner_key"], said["customer_key"], said["transaction_key"]) == ("ada", "acme-1", "stripe:in_1")
    assert [entry["amount"] for entry in said["entries"]] == [300]
    (kept,) = deliveries(stage)
    assert (kept["key"], kept["state"], kept["attempts"], kept["last_status"]) == (received.key, "delivered", 1, 200)
    assert kept["payload"].encode() == received.body
    assert posted(stage) == PostReport()


def test_a_product_is_told_with_its_history(stage: Stage, target: WebhookTarget) -> None:
    """A product's delivery shows its key, its entry's name, its customer and since when it has its status."""
    registered(stage, target, "product.created")
    pay(stage)
    posted(stage)
    said = target.received[0].document["data"]
    assert (said["key"], said["product_book"]["name"], said["customer_key"]) == ("sub_1/prod_inbox", "Inbox", "acme-1")
    assert (said["status"], said["history"][-1]["status"]) == ("active", "active")


def test_what_is_no_longer_there_is_told_as_deleted(stage: Stage, target: WebhookTarget) -> None:
    """A product that a late fact takes away again is told by its key alone."""
    registered(stage, target, "product.created", "product.deleted")
    pay(stage)
    with stage.engine.begin() as connection:
        connection.execute(text("delete from products"))
    posted(stage)
    assert target.types() == ["product.created", "product.deleted"]
    assert all(each.document["data"] == {"key": "sub_1/prod_inbox", "deleted": True} for each in target.received)


def test_a_failure_comes_again_with_the_same_id_and_the_same_bytes(stage: Stage, target: WebhookTarget) -> None:
    """Refused once, it is due again later; the second attempt differs in its time and signature alone."""
    registered(stage, target)
    pay(stage)
    target.plans = [Plan(status=500)]
    assert posted(stage) == PostReport(failed_count=1)
    (kept,) = deliveries(stage)
    assert (kept["state"], kept["attempts"], kept["last_status"], kept["reason"]) == ("pending", 1, 500, "answered 500")
    assert kept["next_attempt_at"] > time.time() * 1000
    assert posted(stage) == PostReport()
    with stage.engine.begin() as connection:
        connection.execute(text("update commissions set state = 'hold'"))
    make_due(stage)
    assert posted(stage).delivered_count == 1
    first, second = target.received
    assert (first.key, first.body) == (second.key, second.body)
    assert first.verified
    assert second.verified


def test_waits_grow_and_end(stage: Stage, target: WebhookTarget) -> None:
    """Each wait is the next of the list, give or take a quarter; after the last attempt it is dead, with its reason."""
    registered(stage, target)
    pay(stage)
    target.otherwise = Plan(status=503)
    now = datetime(2096, 3, 2, tzinfo=UTC)
    for wait_s in DELIVERY_WAITS_S:
        posted(stage, clock=lambda: now)
        (due,) = stage.ask("select next_attempt_at from webhook_deliveries")[0]
        assert timedelta(seconds=0.75 * wait_s) <= due - now <= timedelta(seconds=1.25 * wait_s)
        make_due(stage)
    posted(stage)
    (dead,) = deliveries(stage, state="dead")
    assert (dead["attempts"], dead["reason"]) == (len(DELIVERY_WAITS_S) + 1, "answered 503")
    assert dead["finished_at"] is not None
    make_due(stage)
    assert posted(stage) == PostReport()


def test_what_was_given_up_is_sent_again_on_request(stage: Stage, target: WebhookTarget) -> None:
    """Somebody resends a dead and a delivered delivery: the same id and bytes; an unknown one is refused."""
    registered(stage, target)
    pay(stage)
    posted(stage)
    with stage.engine.begin() as connection:
        connection.execute(text("update webhook_deliveries set state = 'dead', attempts = 13"))
    for _ in range(2):
        with stage.engine.begin() as connection:
            assert resend(connection, target.received[0].key)["state"] == "pending"
        posted(stage)
    assert len(target.received) == 3
    assert len({(each.key, each.body) for each in target.received}) == 1
    with stage.engine.begin() as connection, pytest.raises(Rejected, match="no delivery is called"):
        resend(connection, "msg_nobody")


def test_a_hanging_endpoint_holds_up_nobody_else(stage: Stage, target: WebhookTarget) -> None:
    """While one endpoint does not answer, another gets everything; the first is given up when its time is over."""
    registered(stage, target)
    target.otherwise = Plan(delay_s=30)
    with webhook_target() as quick:
        registered(stage, quick)
        for number in range(12):
            pay(stage, number)
        rounds = threading.Thread(target=posted, args=(stage,), kwargs={"timeout_s": 5.0})
        began_s = time.monotonic()
        rounds.start()
        while len(quick.received) < 12 and time.monotonic() - began_s < 10:
            time.sleep(0.05)
        assert len(quick.received) == 12
        assert time.monotonic() - began_s < 4.9
        rounds.join()
    assert {each["reason"] for each in deliveries(stage, state="pending")} == {"no answer within 5 s"}


def test_an_endpoint_that_wants_no_more_is_stopped(stage: Stage, target: WebhookTarget) -> None:
    """410 Gone: this delivery is dead, the endpoint is not active any more and says why; activating it goes on."""
    key = registered(stage, target)
    pay(stage)
    target.plans = [Plan(status=410)]
    posted(stage)
    pay(stage, 2)
    assert posted(stage) == PostReport()
    assert [each["state"] for each in deliveries(stage)] == ["dead"]
    with stage.engine.begin() as connection:
        assert "410" in find_endpoint(connection, key)["stopped_reason"]
        assert change_endpoint(connection, key, active=True, allowed=LOOPBACK)["stopped_reason"] is None
    pay(stage, 3)
    assert posted(stage).delivered_count == 1


def test_an_endpoint_that_is_idle_gets_what_waits_later_and_a_deleted_one_never(
    stage: Stage, target: WebhookTarget
) -> None:
    """What waits for an endpoint goes to its new address once it is active; with the endpoint deleted it is dead."""
    key = registered(stage, target)
    pay(stage)
    with stage.engine.begin() as connection:
        change_endpoint(connection, key, active=False, url=f"http://127.0.0.1:{target.port}/new", allowed=LOOPBACK)
    assert posted(stage) == PostReport()
    with stage.engine.begin() as connection:
        change_endpoint(connection, key, active=True, allowed=LOOPBACK)
    posted(stage)
    assert [each.path for each in target.received] == ["/new"]
    pay(stage, 2)
    with stage.engine.begin() as connection:
        delete_endpoint(connection, key)
    assert posted(stage) == PostReport()
    (dead,) = deliveries(stage, state="dead")
    assert dead["reason"] == "its endpoint was deleted"
    with stage.engine.begin() as connection, pytest.raises(Rejected, match="was deleted"):
        resend(connection, dead["key"])
    assert stage.ask("select secret from webhook_endpoints") == [(None,)]


def test_killed_after_sending_it_is_sent_again_under_the_same_id(
    stage: Stage, target: WebhookTarget, database_url: str
) -> None:
    """A process that dies between sending and marking costs a repetition that the other side recognises (F78)."""
    registered(stage, target)
    pay(stage)
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DELIVERING), database_url],
        env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), "CRASHPOINT": "after_send"},
        timeout=60,
        check=False,
    )
    assert killed.returncode == KILLED_EXIT_CODE
    assert posted(stage) == PostReport()
    assert stage.ask("select state, attempts from webhook_deliveries") == [("pending", 1)]
    make_due(stage)
    assert posted(stage).delivered_count == 1
    assert len(target.received) == 2
    assert len({(each.key, each.body) for each in target.received}) == 1
    assert stage.ask("select state, attempts from webhook_deliveries") == [("delivered", 2)]


def test_two_at_once_send_each_delivery_once(stage: Stage, target: WebhookTarget) -> None:
    """Claims keep two processes apart."""
    registered(stage, target)
    for number in range(20):
        pay(stage, number)
    threads = [threading.Thread(target=posted, args=(stage,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(target.keys()) == len(set(target.keys())) == 20


def test_a_claim_that_was_taken_over_is_not_marked(stage: Stage, target: WebhookTarget) -> None:
    """Who wakes up after its lease has no say: the mark applies to the claim it was made for."""
    registered(stage, target)
    pay(stage)
    with stage.engine.begin() as connection:
        (stale,) = claim(connection)
    make_due(stage)
    target.plans = [Plan(status=500)]
    posted(stage)
    with stage.engine.begin() as connection:
        assert mark(connection, [delivered(stale, 200)]) == 0
    assert stage.ask("select state, attempts, last_status from webhook_deliveries") == [("pending", 2, 500)]


def test_what_was_delivered_long_ago_is_forgotten(stage: Stage, target: WebhookTarget) -> None:
    """After a month a delivered one goes; a dead one stays until somebody has looked at it."""
    registered(stage, target)
    for number in range(3):
        pay(stage, number)
    posted(stage)
    with stage.engine.begin() as connection:
        connection.execute(text("update webhook_deliveries set finished_at = now() - interval '31 days'"))
        connection.execute(
            text("update webhook_deliveries set state = 'dead' where id = (select min(id) from webhook_deliveries)")
        )
    pay(stage, 4)
    posted(stage)
    assert [each["state"] for each in deliveries(stage)] == ["delivered", "dead"]
