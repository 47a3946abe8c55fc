"""A PostgreSQL that crashes while workers have events at hand, on a server of the test's own."""

import contextlib
import os
import signal
import time
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from infra.database import make_engine
from infra.embedded.folders import Folders
from infra.embedded.status import read_status
from infra.inbox import claim, claim_suspects, release_orphans
from infra.providers.stripe import example_events as stripe
from infra.unit_of_work import unit_of_work
from tests.conftest import reachable_folder
from tests.stage import Stage
from tests.webhooks.test_crashed_servers import RECOVERS_WITHIN_S, database_in

_BEGAN = "select pg_postmaster_start_time()"


def test_a_crash_of_the_server_makes_no_event_a_suspect() -> None:
    """What a worker had when PostgreSQL crashed is due as if never begun; a worker lost alone leaves suspects (F39)."""
    with reachable_folder() as folder, database_in(folder / "servers") as addresses:
        engine = make_engine(addresses.database_url, application_name="tests", pool_size=3)
        stage = Stage(engine)
        stage.store(stripe.customer(f"cus_{number}", event_key=f"evt_{number}") for number in range(3))
        with engine.connect() as worker, unit_of_work(worker):
            assert len(claim(worker, 3)) == 3
        status = read_status(Folders(folder / "servers").run("postgres"))
        assert status is not None
        crashing = stage.ask(_BEGAN)
        os.kill(status.server_pid, signal.SIGQUIT)
        _wait_until_back(stage, crashing)
        with engine.connect() as worker:
            with unit_of_work(worker):
                assert release_orphans(worker) == 3
            with unit_of_work(worker):
                assert claim_suspects(worker) == []
            with unit_of_work(worker):
                assert [envelope.attempts for envelope in claim(worker, 3)] == [1, 1, 1]
            worker.invalidate()  # and now the worker alone is gone
        with engine.connect() as worker:
            _release_when_gone(stage, 3)
            with unit_of_work(worker):
                assert [envelope.attempts for envelope in claim_suspects(worker)] == [2, 2, 2]
        engine.dispose()


def test_a_worker_that_came_later_keeps_what_it_claimed(engine: Engine) -> None:
    """Who looks for claims of the dead knows the living as of when it began: a younger one's claim is left alone."""
    stage = Stage(engine)
    stage.store([stripe.customer("cus_1", event_key="evt_1")])
    with engine.connect() as looking:
        assert looking.scalar(text("select count(*) from pg_stat_activity"))  # from here on it knows whom there is
        newcomer = make_engine(engine.url.render_as_string(hide_password=False), application_name="tests", pool_size=1)
        with newcomer.connect() as worker, unit_of_work(worker):
            assert len(claim(worker, 1)) == 1
        assert release_orphans(looking) == 0
        newcomer.dispose()


def _wait_until_back(stage: Stage, crashing: list[tuple[Any, ...]]) -> None:
    """The one that crashes may answer for a moment more."""
    until_s = time.monotonic() + RECOVERS_WITHIN_S
    began = crashing
    while began == crashing:
        assert time.monotonic() < until_s, "the server does not come back"
        time.sleep(0.1)
        with contextlib.suppress(OperationalError):
            began = stage.ask(_BEGAN)


def _release_when_gone(stage: Stage, count: int) -> None:
    """A backend takes a moment to notice that nobody is there."""
    until_s = time.monotonic() + RECOVERS_WITHIN_S
    released_count = 0
    while released_count < count:
        with stage.engine.connect() as connection, unit_of_work(connection):
            released_count += release_orphans(connection)
        assert time.monotonic() < until_s, "its backend does not end"
        time.sleep(0.1)
