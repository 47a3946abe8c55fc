"""A worker process delivers webhooks beside its drain: without a ring, and without waiting for who hangs."""

import ipaddress
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from infra.outgoing.endpoints import add_endpoint
from infra.outgoing.seals import Seal
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from tests.conftest import REPOSITORY
from tests.stage import LONG_AGO, Stage
from tests.webhook_target import Plan, WebhookTarget, webhook_target

_DESK = """
    import signal
    from infra.settings import load_settings
    from worker.desk import Desk, DeskTimes
    Desk(load_settings(), DeskTimes(sweep_every_s=0.1)).open()
    signal.pause()
"""


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """Ada's customer is known; nothing was paid yet."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play([stripe.customer("cus_1", event_key="evt_c", partner_key="ada", at=LONG_AGO)])
    return stage


@pytest.fixture
def target(stage: Stage) -> Iterator[WebhookTarget]:
    """Somebody who is told of commissions."""
    types, allowed = ["commission.created", "commission.paid"], [ipaddress.ip_network("127.0.0.0/8")]
    with webhook_target() as running:
        with stage.engine.begin() as connection:
            made = add_endpoint(connection, url=running.url, event_types=types, allowed=allowed, seal=Seal())
        running.secret = made["secret"]
        yield running


@contextmanager
def _process(stage: Stage) -> Iterator[None]:
    """A desk in a process of its own, which is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_DESK)],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(REPOSITORY),
            "DATABASE_URL": stage.engine.url.render_as_string(hide_password=False),
            "WEBHOOK_TARGETS_ALLOWED": "127.0.0.0/8",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _paid(stage: Stage, number: int) -> None:
    stage.store(
        [
            stripe.invoice_paid(
                f"in_{number}", event_key=f"evt_{number}", customer="cus_1", lines=[line("prod_inbox", 1000)]
            )
        ]
    )


def _eventually(is_so: Callable[[], bool], within_s: float = 20.0) -> bool:
    until_s = time.monotonic() + within_s
    while not is_so() and time.monotonic() < until_s:
        time.sleep(0.05)
    return is_so()


def test_a_worker_tells_of_what_it_books_and_of_what_others_change(stage: Stage, target: WebhookTarget) -> None:
    """A payment that comes in, and a commission that somebody else marks as paid, are told within moments."""
    with _process(stage):
        _paid(stage, 1)
        assert _eventually(lambda: len(target.received) == 1)
        with stage.engine.begin() as connection:
            connection.execute(text("update commissions set state = 'paid'"))
        assert _eventually(lambda: len(target.received) == 2)
    assert target.types() == ["commission.created", "commission.paid"]
    assert all(each.verified for each in target.received)


def test_an_endpoint_that_hangs_keeps_no_event_waiting(stage: Stage, target: WebhookTarget) -> None:
    """While a delivery gets no answer, payments are booked as ever."""
    target.otherwise = Plan(delay_s=60)
    with _process(stage):
        _paid(stage, 1)
        assert _eventually(lambda: len(target.received) == 1)
        _paid(stage, 2)
        assert _eventually(lambda: len(stage.commissions()) == 2, within_s=5)
    assert stage.ask("select count(*) from webhook_deliveries where state = 'pending'") == [(2,)]
