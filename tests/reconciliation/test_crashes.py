"""Killed at any step, restored from a backup, or run by two at once: a reconciliation ends where it would have."""

import os
import subprocess
import sys
import threading

import pytest
from sqlalchemy import Engine, make_url, text

from infra.clock import system_clock
from infra.crashpoint import KILLED_EXIT_CODE
from infra.database import make_engine
from infra.fingerprint import fingerprint
from infra.reconciliation.runs import request
from infra.unit_of_work import unit_of_work_on
from tests.conftest import REPOSITORY, new_database
from tests.fake_stripe import FakeStripe
from tests.reconciliation.either import Either
from tests.reconciliation.scene import DAY, TODAY, Scene, bought, cancelled, paid, program, reconciler_on, state_of
from tests.stage import Stage

#: More steps no run of these tests has.
_KILLS_MAX = 40


def work_on(engine: Engine, fake: FakeStripe, crashpoint: str | None, provider: str = "stripe") -> int:
    """Work on what is open in a process of its own; its exit code."""
    url = engine.url.render_as_string(hide_password=False)
    environment = {"PATH": os.defpath, **({"CRASHPOINT": crashpoint} if crashpoint else {})}
    command = (sys.executable, "-m", "tests.reconciliation.stepping", url, provider, fake.api_base)
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, timeout=100, check=False)
    assert done.returncode in (0, KILLED_EXIT_CODE), done.stderr.decode()
    return done.returncode


def history(either: Either) -> None:
    """More than one page of events and objects that no event tells of, up to now, and none of it delivered."""
    now, account = system_clock(), either.scene.account
    account.happens(*either.catalogue(now - 9 * DAY))
    for number in range(1, 40):
        account.happens(*either.bought(number, now - (5 + number % 3) * DAY))
    account.happens(either.cancelled(3, now - DAY, now - 5 * DAY))
    for content in either.forgotten(now - 2 * DAY):
        account.shows(content)


@pytest.mark.parametrize("crashpoint", ["before_page_commit", "after_page"])
def test_killed_at_every_step_it_goes_on_where_it_was(
    either: Either, server_url: str, template_database: str, crashpoint: str
) -> None:
    """Killed before a step's commit, or after each in turn, a run ends in the same state and stores nothing twice."""
    history(either)
    scene, provider = either.scene, either.scene.provider
    with program(server_url, template_database) as other:
        ask(other.engine, provider)
        assert work_on(other.engine, scene.fake, None, provider) == 0
        whole = (state_of(other), other.ask(_STORED))
        assert other.ask("select state from reconciliations") == [("finished",)]
    ask(scene.stage.engine, provider)
    kills = 0
    while work_on(scene.stage.engine, scene.fake, crashpoint, provider) == KILLED_EXIT_CODE and kills < _KILLS_MAX:
        kills += 1
        if crashpoint == "before_page_commit":
            assert work_on(scene.stage.engine, scene.fake, None, provider) == 0
    assert kills >= (1 if crashpoint == "before_page_commit" else 11)
    assert (scene.state(), scene.stage.ask(_STORED)) == whole
    assert len(whole[1]) == len(scene.account.events) + 2


def ask(engine: Engine, provider: str = "stripe") -> None:
    """Ask for a run as of now."""
    with engine.begin() as connection:
        request(connection, provider, system_clock(), requested_by="cli")


#: Everything stored for a provider, however it came: keys and what became of them.
_STORED = "select event_key, state from inbox where provider <> 'program' order by 1"


def test_a_restored_backup_is_brought_to_today(scene: Scene, fake: FakeStripe, server_url: str) -> None:
    """Restored from a backup taken two days ago, the program reconciles to the very state it had before the loss."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY), *bought(2, TODAY - 8 * DAY)))
    scene.now = TODAY - 2 * DAY
    scene.run()
    scene.stage.engine.dispose()
    database = make_url(scene.stage.engine.url.render_as_string(hide_password=False)).database
    with new_database(server_url, str(database)) as backup:
        scene.now = TODAY
        scene.stage.play(scene.account.happens(*bought(3, TODAY - DAY), cancelled(1, TODAY - DAY, TODAY - 9 * DAY)))
        scene.stage.play(scene.account.happens(paid("in_9", 2, TODAY - DAY)))
        engine = make_engine(backup, application_name="tests", pool_size=3)
        restored = Scene(Stage(engine), scene.account, scene.reconciler, TODAY)
        restored.reconciler = reconciler_on(engine, fake, restored)
        assert restored.state() != scene.state()
        report = restored.run()["report"]
        with unit_of_work_on(engine) as connection:
            assert fingerprint(connection) == scene.state()
        assert (report["events"]["missing"], report["ties_out"]) == (5, True)
        engine.dispose()


def test_only_one_works_on_a_provider_at_a_time(scene: Scene, fake: FakeStripe) -> None:
    """While one process is at it, another finds the provider taken; when it lets go, the next goes on."""
    scene.account.happens(*bought(1, TODAY - DAY))
    run_id = scene.request(scope="events")
    other = reconciler_on(scene.stage.engine, fake, scene)
    asked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        go_on.wait(10)

    fake.meanwhile.append(wait)
    worker = threading.Thread(target=scene.reconciler.work, kwargs={"slice_s": 0})
    worker.start()
    assert asked.wait(10)
    assert other.work() is False
    assert len(fake.requests) == 1
    go_on.set()
    worker.join()
    scene.stage.drainer.sweep()
    other.work()
    assert scene.read(run_id)["state"] == "finished"


def test_a_lost_connection_lets_go_of_the_provider(scene: Scene) -> None:
    """The lock goes with the connection that held it: nobody has to be told."""
    scene.account.happens(*bought(1, TODAY - DAY))
    scene.request(scope="events")
    with scene.stage.engine.connect() as holder:
        holder.execute(text("select pg_advisory_lock(20549, hashtext('stripe'))"))
        holder.commit()
        assert scene.reconciler.work() is False
        assert not scene.fake.requests
        holder.invalidate()
    scene.steps()
    assert scene.fake.requests
