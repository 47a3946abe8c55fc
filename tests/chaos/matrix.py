"""The crash matrix: the receiver and the worker killed at each named line, at its first time or a later one.

Those of reconciliation and of outgoing webhooks are reached one after the other in `tests/reconciliation` and
`tests/infra/test_messenger.py`: every one of them is tried there.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

from infra.crashpoint import KILLED_EXIT_CODE, CrashPoint
from infra.database import make_engine
from infra.inbox import due_count
from infra.providers.stripe.example_events import Event
from tests.chaos.business import Business, draw_business
from tests.chaos.provider import Answers, Provider
from tests.chaos.verdict import Verdict, judge
from tests.conftest import REPOSITORY, new_database, own_servers, reachable_folder
from tests.stage import Stage
from tests.webhooks.receiver_process import SECRET, free_port, running_at

OF_THE_RECEIVER: tuple[CrashPoint, ...] = ("before_commit", "after_commit")
OF_THE_WORKER: tuple[CrashPoint, ...] = ("after_claim", "after_effect_before_done")
#: At which of its times a place kills, at the latest.
_TIMES_MAX = 4
_DELIVERIES = 60
_RATE = 100.0
_WITHIN_S = 30.0

_WORKER = """
import time
from infra.database import make_engine
from infra.settings import load_settings
from worker.drain import Drain
settings = load_settings(env_file=None)
drain = Drain(make_engine(settings.database_url, application_name="matrix"), settings)
while True:
    drain.sweep()
    time.sleep(0.02)
"""


def run_matrix(
    first_seed: int, count: int, told: Callable[[str], None] = lambda line: None
) -> dict[CrashPoint, list[Verdict]]:
    """Every place, that many times each with other histories; the verdicts by place."""
    found: dict[CrashPoint, list[Verdict]] = {}
    with own_servers() as (server_url, template, redis_url):
        for point in (*OF_THE_RECEIVER, *OF_THE_WORKER):
            kill = _kill_receiver if point in OF_THE_RECEIVER else _kill_worker
            for seed in range(first_seed, first_seed + count):
                with new_database(server_url, template) as url:
                    found.setdefault(point, []).append(_trial(kill, point, seed, url, redis_url))
            good = sum(verdict.is_good for verdict in found[point])
            told(f"{point:26} {count:4} times, {good:4} good")
    return found


Kill = Callable[[Stage, Business, str, str, Path], Answers]


def _trial(kill: Kill, point: CrashPoint, seed: int, url: str, redis_url: str) -> Verdict:
    """One history, killed once, gone on with, and judged."""
    business = draw_business(seed, _DELIVERIES)
    armed = f"{point}:{Random(f'{point} {seed}').randint(1, _TIMES_MAX)}"
    engine = make_engine(url, application_name="matrix", pool_size=4)
    try:
        stage = Stage(engine)
        for change in business.program.changes:
            change.play(stage)
        with reachable_folder() as folder:
            answers = kill(stage, business, armed, redis_url, folder)
            stage.drainer.sweep()
            return judge(stage, business, answers, seed=seed, done=[], quiet_s=0.0, quiet_within_s=0.0, output="")
    finally:
        engine.dispose()


def _kill_receiver(stage: Stage, business: Business, armed: str, redis_url: str, folder: Path) -> Answers:
    """It dies amid deliveries, and another takes its place."""
    url = stage.engine.url.render_as_string(hide_password=False)
    settings, port = {"DATABASE_URL": url, "REDIS_URL": redis_url}, free_port()
    with ExitStack() as stack:
        with running_at(port, folder, crashpoint=armed, **settings) as receiver:
            provider = Provider(port, SECRET, business.deliveries, _RATE)
            stack.enter_context(provider.delivering())
            code = receiver.process.wait(_WITHIN_S)
            assert code == KILLED_EXIT_CODE, f"it ended with {code}"
        receiver = stack.enter_context(running_at(port, folder, **settings))
        _wait(lambda: provider.open_count == 0, lambda: receiver.log()[-2000:])
    return provider.answers


def _kill_worker(stage: Stage, business: Business, armed: str, redis_url: str, folder: Path) -> Answers:
    """It dies amid a trickle of events; what it held is the next one's."""
    events = list(_by_key(business).values())
    url = stage.engine.url.render_as_string(hide_password=False)
    environment = {"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), "DATABASE_URL": url, "CRASHPOINT": armed}
    process = subprocess.Popen([sys.executable, "-c", _WORKER], env=environment, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and events:
            stage.store(events[:3])
            events = events[3:]
            _wait(lambda: process.poll() is not None or not _open_count(stage), lambda: "a worker does not work")
        assert process.poll() == KILLED_EXIT_CODE, f"it ended with {process.poll()}"
    finally:
        process.kill()
        process.wait()
    stage.store(events)
    return Answers(acked={delivery.event_key for delivery in business.deliveries})


def _by_key(business: Business) -> dict[str, Event]:
    return {event["id"]: event for world in business.customers for event in world.events}


def _open_count(stage: Stage) -> int:
    with stage.engine.connect() as connection:
        return due_count(connection)


def _wait(condition: Callable[[], bool], complaint: Callable[[], str]) -> None:
    until_s = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < until_s, complaint()
        time.sleep(0.05)
