"""SIGHUP at the supervisor: settings are read again by those that do, and a closed terminal ends everything."""

import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.embedded import Addresses
from tests.conftest import REPOSITORY
from worker.processes import process_specs

#: "web" says what it gets; to "worker", as to Celery, a SIGHUP would be the end.
_RUNS = f"""
    import sys
    from infra.log import configure_logging
    from worker.supervisor import ProcessSpec, Supervisor
    configure_logging("supervisor")
    env = {{"PATH": {os.defpath!r}}}
    web = "trap 'echo read again' HUP; echo web ready; while :; do sleep 0.05; done"
    specs = [
        ProcessSpec("web", ("/bin/sh", "-c", web), env, rereads=True),
        ProcessSpec("worker", ("/bin/sh", "-c", "echo worker ready; exec sleep 600"), env),
    ]
    sys.exit(Supervisor(specs).run())
"""


class _Running:
    """A supervisor in a process of its own, and what is read of it."""

    def __init__(self, process: "subprocess.Popen[bytes]", output_fd: int) -> None:
        self.process = process
        self._output_fd = output_fd
        self._seen = b""

    def says(self, *words: str, within_s: float = 15) -> bool:
        """Whether all these are in its output, now or soon."""
        until_s = time.monotonic() + within_s
        while any(word.encode() not in self._seen for word in words):
            if time.monotonic() > until_s:
                return False
            if select.select([self._output_fd], [], [], 0.1)[0]:
                self._seen += os.read(self._output_fd, 65_536)
        return True


@contextmanager
def _supervising(*, terminal: bool) -> Iterator[tuple[_Running, int]]:
    """A supervisor that writes to a pipe, or to a terminal that is also its own; and our end of that."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    program = textwrap.dedent(_RUNS)
    if terminal:
        own = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(1, termios.TIOCSCTTY, 0)\n"
        program = own + program
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY)},
        stdin=theirs if terminal else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=not terminal,
    )
    os.close(theirs)
    try:
        yield _Running(process, ours), ours
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_hangup_is_passed_on_to_whoever_reads_settings_again(terminal: bool) -> None:
    """With a terminal or without, SIGHUP reaches the receiver and no other process, and nothing ends."""
    with _supervising(terminal=terminal) as (running, _):
        assert running.says("web ready", "worker ready")
        os.kill(running.process.pid, signal.SIGHUP)
        assert running.says("read again")
        assert not running.says("process.exited", within_s=0.5)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_closed_terminal_ends_everything() -> None:
    """When the window it runs in is closed, the supervisor ends with all it started, as if it were told to stop."""
    with _supervising(terminal=True) as (running, ours):
        assert running.says("web ready", "worker ready")
        children = _children_of(running.process.pid)
        assert len(children) == 2
        os.close(ours)
        # By itself and not by the signal; what it cannot print any more may show in the code.
        assert running.process.wait(15) >= 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def _children_of(pid: int) -> list[str]:
    return [pid for task in Path(f"/proc/{pid}/task").iterdir() for pid in (task / "children").read_text().split()]


def test_the_receiver_alone_reads_its_secrets_again() -> None:
    """Of the program's processes `web` gets the SIGHUP that `attribution up` gets."""
    specs = process_specs(Addresses("postgresql+psycopg://h/d", "redis://h/0"))
    assert [spec.name for spec in specs if spec.rereads] == ["web"]
