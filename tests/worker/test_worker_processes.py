"""Real Celery workers and beats under a supervisor: what was stored gets done, once, whatever is killed or silent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import make_url

from infra.database import make_engine
from infra.embedded import Addresses
from infra.inbox import CLAIMS_LOST_MAX
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from tests.conftest import REPOSITORY, new_database
from tests.stage import LONG_AGO, Stage
from worker.desk import HUNG_EXIT_CODE
from worker.processes import process_specs
from worker.supervisor import ProcessSpec, Supervisor

#: From a commit to its effects with nothing but the sweep; DESIGN and F32 allow 5 s, a busy machine gets some more.
SWEPT_WITHIN_S = 8.0
#: With a worker that must be started anew: far less than the minute that a lease lasts.
RECOVERED_WITHIN_S = 25.0


class Program:
    """Workers and beats on a database of their own, and a stage beside them to store and look."""

    def __init__(self, stage: Stage, supervisor: Supervisor, output: Path) -> None:
        self.stage = stage
        self.supervisor = supervisor
        self.output = output
        self._stored = 0

    def store(self, count: int, *, customers: int = 50) -> None:
        """That many payments nobody has seen yet, each worth one commission of 1.00."""
        numbers = range(self._stored, self._stored + count)
        self._stored += count
        self.stage.store(_payment(number, number % customers) for number in numbers)

    def open_count(self) -> int:
        """Events that are not done."""
        return int(self.stage.ask("select count(*) from inbox where next_attempt_at is not null")[0][0])

    def settle(self, within_s: float) -> float:
        """Wait until everything is done; after how many seconds it was."""
        began_s = time.monotonic()
        assert _eventually(lambda: self.open_count() == 0, within_s), (
            f"{self.open_count()} events are open after {within_s} s\n{self.output.read_text()[-4000:]}"
        )
        return time.monotonic() - began_s

    def assert_each_once(self) -> None:
        """Every payment has its commission, its entry and no more."""
        states = self.stage.ask("select state, count(*) from inbox where event_type = 'invoice.paid' group by 1")
        assert states == [("processed", self._stored)]
        for table in ("commissions", "commission_entries"):
            found = self.stage.ask(f"select count(*), coalesce(sum(amount_minor), 0) from {table}")
            assert found == [(self._stored, 100 * self._stored)]

    def pool(self, name: str = "worker") -> list[int]:
        """The pool processes of a worker."""
        leader = self.supervisor.pids().get(name)
        return [] if leader is None else _children(leader)


def _payment(number: int, customer: int) -> dict[str, Any]:
    return stripe.invoice_paid(
        f"in_{number}",
        event_key=f"evt_{number}",
        customer=f"cus_{customer}",
        subscription=f"sub_{customer}",
        lines=[line("prod_inbox", 1000)],
    )


def _eventually(condition: Callable[[], object], timeout_s: float) -> bool:
    until_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.05)
    return True


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["X", "0"]


def _children(parent: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sorted(pid for pid in pids if _stat(pid)[1] == str(parent) and _stat(pid)[0] not in "ZX")


def _processes_on(database: str) -> list[str]:
    """Living processes whose environment names the database."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _stat(int(entry.name))[0] not in "ZX":
            try:
                if database.encode() in (entry / "environ").read_bytes():
                    found.append(entry.name)
            except OSError:  # it ended meanwhile
                continue
    return found


@contextmanager
def _stage_on(url: str) -> Iterator[Stage]:
    engine = make_engine(url, application_name="tests", pool_size=5, statement_timeout_s=60)
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.store(
        stripe.customer(f"cus_{n}", event_key=f"evt_c{n}", partner_key="ada", at=LONG_AGO) for n in range(50)
    )  # fmt: skip
    try:
        yield stage
    finally:
        engine.dispose()


@contextmanager
def _running(stage: Stage, specs: tuple[ProcessSpec, ...], folder: Path) -> Iterator[Program]:
    """The processes of `specs`, of which nothing is left afterwards."""
    output = folder / "output"
    database = str(stage.engine.url.database)
    with output.open("ab", buffering=0) as written:
        supervisor = Supervisor(specs, output_fd=written.fileno(), stop_grace_s=15)
        supervisor.start()
        try:
            yield Program(stage, supervisor, output)
        finally:
            began_s = time.monotonic()
            ended_cleanly = supervisor.stop()
    assert ended_cleanly, output.read_text()[-4000:]
    assert time.monotonic() - began_s < 10
    assert _processes_on(database) == []


def _specs(stage: Stage, redis_url: str, *names: str) -> tuple[ProcessSpec, ...]:
    url = stage.engine.url.render_as_string(hide_password=False)
    return process_specs(Addresses(url, redis_url), only=names)


@pytest.fixture(scope="module")
def program(server_url: str, template_database: str, server_addresses: Addresses,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:  # fmt: skip
    """A worker and two beats that most tests here share; each leaves it running and everything done."""
    with new_database(server_url, template_database) as url, _stage_on(url) as stage:
        worker, beat = _specs(stage, server_addresses.redis_url, "worker", "beat")
        specs = (worker, beat, replace(beat, name="second-beat"))
        with _running(stage, specs, tmp_path_factory.mktemp("program")) as program:
            program.settle(RECOVERED_WITHIN_S)
            yield program
            said = program.output.read_text()
        assert "SecurityWarning" not in said


def test_what_no_message_announced_is_swept_up(program: Program) -> None:
    """Rows that appear in the inbox without any wake are processed within seconds, two beats or not (F32, F46)."""
    program.store(50)
    assert program.settle(SWEPT_WITHIN_S) < SWEPT_WITHIN_S
    program.assert_each_once()


def test_a_broker_that_lost_everything_costs_nothing(program: Program, redis_url: str) -> None:
    """After FLUSHALL in the middle of the work everything due is found all the same (F34)."""
    program.store(200)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    program.settle(SWEPT_WITHIN_S)
    program.store(20)
    program.settle(SWEPT_WITHIN_S)
    program.assert_each_once()


def test_a_broker_that_hangs_costs_nothing(program: Program, redis_url: str) -> None:
    """While Redis is stopped and answers nobody, the sweep does the work (F33)."""
    with redis.Redis.from_url(redis_url) as client:
        redis_pid = int(client.info("server")["process_id"])
    os.kill(redis_pid, signal.SIGSTOP)
    try:
        program.store(100)
        program.settle(SWEPT_WITHIN_S)
    finally:
        os.kill(redis_pid, signal.SIGCONT)
    program.assert_each_once()


def test_a_worker_killed_in_the_middle_leaves_no_event_behind(program: Program) -> None:
    """SIGKILL of worker and pool amid 500 events: all are done soon, none twice, without waiting for a lease (F39)."""
    program.store(500)
    leader = program.supervisor.pids()["worker"]
    assert _eventually(lambda: program.open_count() < 500, SWEPT_WITHIN_S)
    os.killpg(leader, signal.SIGKILL)
    assert program.open_count() > 0, "it was done before it could be killed"
    program.settle(RECOVERED_WITHIN_S)
    program.assert_each_once()


def test_a_killed_pool_process_leaves_no_event_behind(program: Program) -> None:
    """With one of two pool processes killed amid its work the other takes over at once (F39)."""
    assert _eventually(lambda: len(program.pool()) == 2, RECOVERED_WITHIN_S)
    program.store(300)
    assert _eventually(lambda: program.open_count() < 300, SWEPT_WITHIN_S)
    os.kill(program.pool()[0], signal.SIGKILL)
    program.settle(SWEPT_WITHIN_S)
    program.assert_each_once()


def test_a_database_that_drops_everyone_is_found_again(program: Program) -> None:
    """All backends of the workers ended amid their work: they reconnect by themselves, and no event is dead."""
    program.store(300)
    for _ in range(3):
        time.sleep(0.2)
        program.stage.ask("""
            select pg_terminate_backend(pid) from pg_stat_activity
            where application_name = 'attribution-worker' and datname = current_database()
        """)
    program.settle(SWEPT_WITHIN_S)
    program.assert_each_once()


def test_pool_processes_share_no_connection(program: Program) -> None:
    """Each has a database connection of its own, made after the fork: a socket that no other process has (F47)."""
    assert _eventually(lambda: len(program.pool()) == 2, RECOVERED_WITHIN_S)
    program.store(10)
    program.settle(SWEPT_WITHIN_S)
    first, second = program.pool()
    main = program.supervisor.pids()["worker"]

    def own(pid: int, *others: int) -> set[str]:
        return _sockets(pid) - set().union(*map(_sockets, others))

    backends = """
        select count(*) from pg_stat_activity
        where application_name = 'attribution-worker' and datname = current_database()
    """
    assert _eventually(lambda: own(first, second, main) and own(second, first, main), SWEPT_WITHIN_S)
    assert _eventually(lambda: program.stage.ask(backends)[0][0] >= 2, SWEPT_WITHIN_S)


def _sockets(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(entry.readlink()))
        except OSError:  # closed meanwhile
            continue
    return {link for link in found if link.startswith("socket:")}


# Programs of their own.


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    """A program on a database of this test's own."""
    with _stage_on(database_url) as made:
        yield made


def test_without_any_broker_everything_is_done(stage: Stage, tmp_path: Path) -> None:
    """A worker that never reaches a broker sweeps from its first second on, and stops in time (F32)."""
    with _running(stage, _specs(stage, "redis://127.0.0.1:1/0", "worker"), tmp_path) as program:
        program.store(100)
        program.settle(RECOVERED_WITHIN_S)
        program.store(20)
        program.settle(SWEPT_WITHIN_S)
        program.assert_each_once()


#: A worker in which reading an event does something first.
_POISONED = """
    import os, time
    from infra.providers import registry
    translate = registry.TRANSLATORS["stripe"]

    def poisoned(event_type, event_key, occurred_at, body):
        if event_key.startswith("{events}"):
            {act}
        return translate(event_type, event_key, occurred_at, body)

    registry.TRANSLATORS["stripe"] = poisoned
"""

_CELERY = """
    from worker.app import app
    app.worker_main(["worker", "--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


def _poisoned_worker(stage: Stage, redis_url: str, events: str, act: str) -> ProcessSpec:
    script = textwrap.dedent(_POISONED.format(events=events, act=act)) + textwrap.dedent(_CELERY)
    (spec,) = _specs(stage, redis_url, "worker")
    return replace(spec, argv=(sys.executable, "-c", script))


def test_a_worker_that_is_told_to_stop_finishes_its_batch(stage: Stage, redis_url: str, tmp_path: Path) -> None:
    """SIGTERM amid a backlog: the batch at hand is done, no row stays claimed, and no event was begun in vain."""
    backlog = 3_000  # more than all processes of the worker have at hand at once
    stage.drainer.sweep()
    unhurried = _poisoned_worker(stage, redis_url, "evt_", "time.sleep(0.008)")
    with _running(stage, (unhurried,), tmp_path) as program:
        program.store(backlog)
        assert _eventually(lambda: program.open_count() < backlog, RECOVERED_WITHIN_S)
    open_count = program.open_count()
    assert 0 < open_count < backlog
    assert stage.ask("select count(*) from inbox where claimed_by is not null") == [(0,)]
    assert stage.ask("select distinct attempts from inbox where next_attempt_at is not null") == [(0,)]
    assert stage.ask("select count(*) from commission_entries") == [(backlog - open_count,)]


def _poison() -> dict[str, Any]:
    return stripe.customer("cus_poison", event_key="evt_poison")


def _assert_poison_is_dead(stage: Stage) -> None:
    assert stage.ask("select event_key, attempts, reason from inbox where state = 'dead'") == [
        ("evt_poison", CLAIMS_LOST_MAX, f"its worker died or hung with it {CLAIMS_LOST_MAX} times")
    ]


def test_an_event_that_kills_its_process_is_dead_after_some(stage: Stage, redis_url: str, tmp_path: Path) -> None:
    """Each pool process that takes it aborts; all neighbours of its batch are done, and it ends dead (F41)."""
    stage.store([_poison()])
    with _running(stage, (_poisoned_worker(stage, redis_url, "evt_poison", "os.abort()"),), tmp_path) as program:
        program.store(150)
        program.settle(RECOVERED_WITHIN_S + 15)
        _assert_poison_is_dead(stage)
        program.assert_each_once()


def test_an_event_that_hangs_is_ended_by_the_watchdog(stage: Stage, tmp_path: Path) -> None:
    """The process that hangs with it ends itself; after some of them the event is dead and all others done (F42)."""
    start = """
        import signal
        from infra.settings import load_settings
        from worker.desk import Desk, DeskTimes
        Desk(load_settings(), DeskTimes(sweep_every_s=0.1, hangs_after_s=0.8)).open()
        signal.pause()
    """
    script = textwrap.dedent(_POISONED.format(events="evt_poison", act="time.sleep(1e6)")) + textwrap.dedent(start)
    stage.store([_poison(), *(_payment(number, number % 50) for number in range(50))])
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(REPOSITORY),
        "DATABASE_URL": stage.engine.url.render_as_string(hide_password=False),
    }
    for _ in range(CLAIMS_LOST_MAX):
        with (tmp_path / "output").open("ab") as output:
            ended = subprocess.run(
                [sys.executable, "-c", script],
                env=environment,
                cwd=tmp_path,
                timeout=30,
                check=False,
                stdout=output,
                stderr=output,
            )
        assert ended.returncode == HUNG_EXIT_CODE, (tmp_path / "output").read_text()
    stage.drainer.sweep()
    _assert_poison_is_dead(stage)
    assert stage.ask("select count(*) from commissions") == [(50,)]
    assert stage.ask("select count(*) from inbox where next_attempt_at is not null") == [(0,)]
    assert _processes_on(str(make_url(environment["DATABASE_URL"]).database)) == []
