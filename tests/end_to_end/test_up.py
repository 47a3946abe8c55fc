"""`attribution up`: everything runs, anything in it may be killed, and nothing outlives it."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.providers.stripe.example_events import Event, invoice_paid, line
from tests.end_to_end.program import (
    SECRET,
    Program,
    eventually,
    free_port,
    inside,
    is_ready,
    nothing_left,
    ordinary_user,
    post,
    processes_of,
    run,
    running_up,
)
from tests.stage import Stage


@dataclass(frozen=True)
class Up:
    """A program that runs for all tests of this module; each leaves it able to work."""

    program: Program
    data_dir: Path
    port: int
    stage: Stage

    @property
    def named(self) -> dict[str, str]:
        """The settings of another command on the same data."""
        return {"DATA_DIR": str(self.data_dir)}

    def pids(self, words: str) -> list[int]:
        """Processes whose command holds the words, without those it was started through."""
        return sorted(pid for pid, command in processes_of(self.data_dir).items() if words in command)


@pytest.fixture(scope="module")
def data_dir(shared_folder: Path) -> Path:
    """A DATA_DIR that was served and stopped once; its first start is the slow one."""
    made = shared_folder / "first"
    code, output = run(["migrate"], shared_folder, {"DATA_DIR": str(made)})
    assert code == 0, output
    assert nothing_left(made) == {}
    return made


@pytest.fixture(scope="module")
def up(shared_folder: Path, data_dir: Path) -> Iterator[Up]:
    """`attribution up` with servers of its own, its secret in a `.env`."""
    port = free_port()
    own = copied(data_dir, shared_folder / "up")
    folder = shared_folder / "with_env"
    folder.mkdir()
    (folder / ".env").write_text(f"PORT={port}\nSTRIPE_WEBHOOK_SECRETS={SECRET}\n")
    with running_up(folder, own, port, without=("PORT", "STRIPE_WEBHOOK_SECRETS")) as program:
        with inside(own) as stage:
            yield Up(program, own, port, stage)
        assert program.stop(signal.SIGTERM) == 0
        assert nothing_left(own) == {}
        assert program.traceback() is None


def copied(cluster: Path, target: Path) -> Path:
    """A DATA_DIR with a copy of a stopped cluster."""
    target.mkdir(mode=0o755)
    shutil.copytree(cluster / "postgres", target / "postgres", copy_function=_copy_with_owner)
    for made in (target / "postgres", *(target / "postgres").rglob("*")):
        if made.is_dir():
            original = (cluster / "postgres" / made.relative_to(target / "postgres")).stat()
            os.chown(made, original.st_uid, original.st_gid)
    return target


def _copy_with_owner(source: str, target: str) -> str:
    shutil.copy2(source, target)
    owner = Path(source).stat()
    os.chown(target, owner.st_uid, owner.st_gid)
    return target


def payment(name: str) -> Event:
    """An invoice of Inbox for 99.00 USD, paid by a customer nobody knows."""
    return invoice_paid(f"in_{name}", customer="cus_up", subscription="sub_up", lines=[line("prod_inbox", 9900)])


def is_worked(stage: Stage, name: str) -> bool:
    """Whether the payment has become a transaction and its event is done with."""
    done = stage.ask(
        "select 1 from transactions t join inbox i on i.event_type = 'invoice.paid' and i.state = 'processed'"
        " and i.outcome -> 'transactions' ? t.key where t.key = :key",
        key=f"stripe:in_{name}",
    )
    return bool(done)


def test_a_signed_event_becomes_a_transaction(up: Up) -> None:
    """An event posted to PORT is answered with 200 and ends, without anybody's help, as a transaction."""
    assert post(up.port, payment("plain")) == 200
    assert eventually(lambda: is_worked(up.stage, "plain")), up.program.output


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param("-m webhooks", id="receiver"),
        pytest.param("-m dashboard", id="dashboard"),
        pytest.param("worker.app -q worker", id="worker"),
        pytest.param("worker.app -q beat", id="beat"),
        pytest.param("postgres -D", id="postgres"),
        pytest.param("redis-server", id="redis"),
        pytest.param("guardian postgres", id="guardian"),
        pytest.param("pool process", id="pool_process"),
    ],
)
def test_whatever_is_killed_comes_back(victim: str, up: Up) -> None:
    """After SIGKILL of any one process it is replaced, and the next event is stored and worked."""
    name = victim.replace(" ", "_")
    assert post(up.port, payment(f"before_{name}")) == 200
    assert eventually(lambda: is_worked(up.stage, f"before_{name}"))
    killed = _victims(up, victim)
    assert killed, processes_of(up.data_dir)
    os.kill(killed[0], signal.SIGKILL)
    assert eventually(lambda: set(_victims(up, victim)) - set(killed)), processes_of(up.data_dir)
    assert post(up.port, payment(f"after_{name}")) == 200
    assert eventually(lambda: is_worked(up.stage, f"after_{name}")), up.program.output


def _victims(up: Up, victim: str) -> list[int]:
    """Processes to kill, leaders first: a child of Celery's pool has the worker's command too."""
    workers = up.pids("worker.app -q worker")
    if victim == "pool process":
        return [pid for pid in workers if _parent(pid) in workers]
    found = up.pids(victim)
    return [pid for pid in found if _parent(pid) not in found]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_the_command_line_looks_into_a_running_program(up: Up, folder: Path) -> None:
    """`status`, `events list` and `explain` answer while it runs, and leave it running."""
    assert post(up.port, payment("looked_at")) == 200
    assert eventually(lambda: is_worked(up.stage, "looked_at"))
    code, output = run(["status", "--json"], folder, up.named)
    assert (code, json.loads(output)["dead"]) == (0, 0)
    code, output = run(["events", "list", "--limit", "250"], folder, up.named)
    assert code == 0
    assert "stripe:in_looked_at" in output
    code, output = run(["explain", "in_looked_at"], folder, up.named)
    assert code == 0
    assert "99.00 USD" in output
    assert is_ready(up.port)


def test_the_command_line_starts_the_database_for_itself(data_dir: Path, folder: Path) -> None:
    """With nothing running, a command answers all the same, and afterwards nothing runs again."""
    own = copied(data_dir, folder / "data")
    code, output = run(["explain", "in_none"], folder, {"DATA_DIR": str(own)})
    assert code == 1
    assert 'no transaction or commission is called "in_none"' in output
    assert nothing_left(own) == {}


def test_two_programs_run_side_by_side(up: Up, data_dir: Path, folder: Path) -> None:
    """A second program with another DATA_DIR and PORT has its own events only; Ctrl-C ends it whole, and it alone."""
    port = free_port()
    own = copied(data_dir, folder / "data")
    with running_up(folder, own, port) as second:
        with inside(own) as stage:
            assert post(port, payment("second")) == 200
            assert post(up.port, payment("first")) == 200
            assert eventually(lambda: is_worked(stage, "second") and is_worked(up.stage, "first"))
            assert stage.ask("select key from transactions") == [("stripe:in_second",)]
            assert up.stage.ask("select 1 from transactions where key = 'stripe:in_second'") == []
        assert second.stop(signal.SIGINT) == 0
        assert nothing_left(own) == {}
        assert second.traceback() is None
    assert is_ready(up.port)


def test_an_ordinary_user_runs_it_from_nothing_and_sigkill_ends_it(folder: Path) -> None:
    """Started by `nobody` on a new DATA_DIR, all runs as that user, works an event, and is gone after SIGKILL."""
    user = ordinary_user()
    own = folder / "theirs"
    own.mkdir()
    os.chown(own, user.uid, -1)
    port = free_port()
    named = {"DATA_DIR": str(own / "data")}
    with running_up(folder, own / "data", port, user=user) as program:
        assert post(port, payment("ordinary")) == 200
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes_of(own)} == {user.uid}
        assert eventually(lambda: Program(["explain", "in_ordinary"], folder, named, user=user).ends() == 0)
        program.stop(signal.SIGKILL)
        assert nothing_left(own) == {}


def test_wrong_settings_are_told_all_at_once(folder: Path) -> None:
    """Every wrong setting is named with what to set, exit code 2, and nothing was started or made."""
    wrong = {
        "DATA_DIR": str(folder / "data"),
        "PORT": "eighty",
        "STRIPE_WEBHOOK_SECRETS": "short",
        "PROGRAM_TIMEZONE": "Mars/Olympus",
    }
    code, output = run(["up"], folder, wrong)
    assert code == 2
    assert "3 settings are wrong" in output
    for name in ("PORT: ", "STRIPE_WEBHOOK_SECRETS: ", "PROGRAM_TIMEZONE: "):
        assert f"\n  {name}" in output
    assert "short" not in output.replace("shorter", "")
    assert "Traceback" not in output
    assert not (folder / "data").exists()


def test_a_taken_port_is_told_before_anything_starts(folder: Path) -> None:
    """Where something listens on PORT, it says so with exit code 1, and nothing was started or made."""
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        code, output = run(["up"], folder, {"DATA_DIR": str(folder / "data"), "PORT": str(port)})
    assert code == 1
    assert f"port {port} cannot be used" in output
    assert "set PORT to another one" in output
    assert not (folder / "data").exists()


def test_a_database_out_of_reach_is_told(folder: Path) -> None:
    """With a DATABASE_URL that nobody answers at, it says so with exit code 1 and without the password."""
    url = f"postgresql://someone:pass-word@127.0.0.1:{free_port()}/program"
    code, output = run(
        ["up"], folder, {"DATA_DIR": str(folder / "data"), "DATABASE_URL": url, "REDIS_URL": "redis://x"}
    )
    assert code == 1
    assert "the database does not answer" in output
    assert "DATABASE_URL" in output
    assert "pass-word" not in output
    assert "Traceback" not in output
