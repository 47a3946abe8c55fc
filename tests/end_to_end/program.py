"""The program as a user starts it: the `attribution` command in a process of its own, seen from outside."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.clock import system_clock
from infra.database import make_engine
from infra.embedded import servers
from infra.embedded.accounts import Account, closed_part
from infra.providers.stripe.example_events import body
from infra.providers.stripe.verify import sign
from tests.conftest import REPOSITORY
from tests.stage import Stage

_DELIVERIES_MAX = 100
SECRET = "whsec_end_to_end_0123456789"
#: The console script's content, which needs no installed project.
_ATTRIBUTION = ("-c", "import sys; from worker.cli import main; sys.exit(main())")
_IMPORT_FOLDERS = (str(REPOSITORY), sysconfig.get_path("purelib"))


@dataclass(frozen=True)
class User:
    """Who runs a program, and an interpreter that they may run."""

    uid: int
    interpreter: str


def ordinary_user() -> User:
    """`nobody` where we are root, else whoever we are."""
    if os.geteuid() != 0:
        return User(os.geteuid(), sys.executable)
    entry = pwd.getpwnam("nobody")
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=True)
    found = (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath))
    for program in filter(None, found):
        if closed_part(account, Path(program)) is None:
            return User(entry.pw_uid, program)
    pytest.skip("no Python of this version is open to other accounts")


_DEAF = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")


class Program:
    """One run of `attribution ...` in `folder`, with settings of its own and nothing else of our environment."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        settings: Mapping[str, str],
        *,
        user: User | None = None,
        deaf: bool = False,
    ) -> None:
        """`deaf`: with SIGINT ignored, as a script's background job starts."""
        become = user.uid if user and user.uid != os.geteuid() else None
        if become is not None:
            # Their Python may be older than 3.11.3, for which redis asks for a package that is not installed here.
            (folder / "packages").mkdir(exist_ok=True)
            (folder / "packages" / "async_timeout.py").write_text("from asyncio import timeout\n")
        self._output = folder / f"output-{time.monotonic_ns()}"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*(_DEAF if deaf else ()), user.interpreter if user else sys.executable, *_ATTRIBUTION, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={
                    "PATH": os.defpath,
                    "PYTHONPATH": os.pathsep.join([*_IMPORT_FOLDERS, str(folder / "packages")]),
                    **settings,
                },
                user=become,
                group=become,
                extra_groups=None if become is None else [],
                # Ctrl-C in the terminal of the tests is for the tests.
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed so far, errors included."""
        return self._output.read_text(encoding="utf-8")

    def ends(self, timeout_s: float = 60.0) -> int:
        """Wait for its exit code."""
        return self.process.wait(timeout_s)

    def traceback(self) -> str | None:
        """The first traceback in what it printed, and what follows it."""
        _, found, rest = self.output.partition("Traceback")
        return f"{found}{rest[:3000]}" if found else None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process itself, as a terminal or a process manager does, and wait for its exit code."""
        self.process.send_signal(number)
        return self.ends()

    def says(self, words: str, timeout_s: float = 60.0) -> bool:
        """Whether it comes to print `words`."""
        return eventually(lambda: words in self.output, timeout_s)


def run(arguments: Sequence[str], folder: Path, settings: Mapping[str, str]) -> tuple[int, str]:
    """Run to the end: exit code and output."""
    program = Program(arguments, folder, settings)
    return program.ends(), program.output


@contextmanager
def running_up(
    folder: Path, data_dir: Path, port: int, *, without: Sequence[str] = (), user: User | None = None
) -> Iterator[Program]:
    """`attribution up`, serving on `port`; stopped afterwards if it still runs. `without` names what `.env` says."""
    settings = {
        "DATA_DIR": str(data_dir),
        "PORT": str(port),
        "DASHBOARD_PORT": str(free_port()),
        "STRIPE_WEBHOOK_SECRETS": SECRET,
    }
    given = {name: value for name, value in settings.items() if name not in without}
    program = Program(["up"], folder, given, user=user)
    try:
        assert eventually(lambda: is_ready(port)), program.output
        yield program
    finally:
        if program.process.poll() is None:
            program.stop()


@contextmanager
def inside(data_dir: Path) -> Iterator[Stage]:
    """The database of a DATA_DIR, running already or started meanwhile."""
    with servers(data_dir, database_url=None, redis_url="unused") as addresses:
        engine = make_engine(addresses.database_url, application_name="tests", pool_size=2)
        try:
            yield Stage(engine)
        finally:
            engine.dispose()


def eventually(condition: Callable[[], object], timeout_s: float = 45.0) -> bool:
    """Whether `condition` comes to hold in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    """Whether the receiver would store an event."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def post(port: int, event: Mapping[str, Any]) -> int:
    """Deliver an event as Stripe does, again while the receiver is away; the status of its answer."""
    content = body(dict(event))

    for _ in range(_DELIVERIES_MAX):
        header = sign(content, SECRET, int(system_clock().timestamp()))
        headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(f"http://127.0.0.1:{port}/webhooks/stripe", content=content, headers=headers)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer.status_code
        time.sleep(0.2)
    return httpx.codes.SERVICE_UNAVAILABLE


def processes_of(data_dir: Path) -> dict[int, str]:
    """Living processes that have the folder in their command or settings, or work in it: process id to command."""
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            named = command + (process / "environ").read_bytes()
            works_in = (process / "cwd").readlink()
        except OSError:  # it ended meanwhile
            continue
        if str(data_dir).encode() in named or works_in.is_relative_to(data_dir):
            found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    # What only waits to be reaped has no command any more.
    return {pid: command for pid, command in found.items() if command}


def nothing_left(data_dir: Path, timeout_s: float = 15.0) -> dict[int, str]:
    """The processes of a DATA_DIR that remain after a while: none, if all is well."""
    eventually(lambda: not processes_of(data_dir), timeout_s)
    return processes_of(data_dir)
