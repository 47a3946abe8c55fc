"""The supervisor with real processes: what it restarts, what it passes on, and that nothing outlives it."""

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from infra.embedded import Addresses
from tests.conftest import REPOSITORY
from worker.process_output import LINE_BYTES_MAX, QUEUED_LINES_MAX, LineSplitter, OutputQueue, prefix
from worker.processes import COMMANDS, process_specs
from worker.supervisor import ProcessSpec, Supervisor

_ENVIRONMENT = {"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
#: Has a child of its own, says both process ids, and lasts until a signal.
_FAMILY = "sleep 600 & echo $$ $!; wait"


def _spec(name: str, script: str) -> ProcessSpec:
    return ProcessSpec(name, ("/bin/sh", "-c", script), _ENVIRONMENT)


def _python(name: str, program: str) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-c", textwrap.dedent(program)), _ENVIRONMENT)


def _eventually(condition: Callable[[], object], timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class _Pipe:
    """Where a supervisor writes to, and what has come out of it so far."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self._seen = b""

    def text(self) -> str:
        """All that has come so far."""
        while select.select([self.reading], [], [], 0)[0] and (chunk := os.read(self.reading, 65_536)):
            self._seen += chunk
        return self._seen.decode()

    def close(self) -> None:
        for fd in (self.reading, self.writing):
            os.close(fd)


@pytest.fixture
def pipe() -> Iterator[_Pipe]:
    """A pipe for a supervisor's output."""
    made = _Pipe()
    yield made
    made.close()


def test_a_crashed_process_is_started_again_and_again_later_each_time(pipe: _Pipe) -> None:
    """A process that ends is restarted, with waits that double, and each end is logged with its code."""
    supervisor = Supervisor([_spec("short", "echo lived; exit 3")], output_fd=pipe.writing)
    with structlog.testing.capture_logs() as logs:
        supervisor.start()
        assert _eventually(lambda: pipe.text().count("lived\n") >= 4)
        supervisor.stop()
    exits = [entry for entry in logs if entry["event"] == "process.exited"]
    assert [entry["restart_in_s"] for entry in exits][:3] == [0.2, 0.4, 0.8]
    assert {entry["code"] for entry in exits} == {3}
    events = [entry["event"] for entry in logs]
    assert events[:3] == ["process.started", "process.exited", "process.restarted"]


def test_a_killed_process_takes_its_children_along_and_comes_back(pipe: _Pipe) -> None:
    """After SIGKILL of a process what it had started is gone too, and another runs under its name."""
    supervisor = Supervisor([_spec("family", _FAMILY)], output_fd=pipe.writing)
    supervisor.start()
    try:
        assert _eventually(lambda: "\n" in pipe.text())
        leader, grandchild = map(int, pipe.text().split())
        assert supervisor.pids() == {"family": leader}
        os.kill(leader, signal.SIGKILL)
        assert _eventually(lambda: supervisor.pids().get("family", leader) != leader)
        assert not _is_alive(grandchild)
    finally:
        supervisor.stop()


def test_stop_lets_processes_end_in_their_own_way(pipe: _Pipe) -> None:
    """On stop each process gets SIGTERM and finishes what it does; its last words are passed on."""
    graceful = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print("finishing"), time.sleep(0.3), sys.exit("finished")))
        print("ready")
        time.sleep(600)
    """
    supervisor = Supervisor([_python("graceful", graceful)], output_fd=pipe.writing)
    supervisor.start()
    assert _eventually(lambda: "ready" in pipe.text())
    assert supervisor.stop()
    assert pipe.text().split() == ["ready", "finishing", "finished"]
    assert supervisor.pids() == {}


def test_stop_kills_what_does_not_listen(pipe: _Pipe) -> None:
    """A process that ignores SIGTERM is killed with all it started once its grace is over, and stop says so."""
    specs = [_spec("deaf", f"trap '' TERM; {_FAMILY}; {_FAMILY}")]
    supervisor = Supervisor(specs, output_fd=pipe.writing, stop_grace_s=0.3)
    supervisor.start()
    assert _eventually(lambda: "\n" in pipe.text())
    pids = [int(word) for word in pipe.text().split()]
    assert not supervisor.stop()
    assert _eventually(lambda: not any(map(_is_alive, pids)), 2)


def test_a_child_never_waits_for_a_reader_that_has_gone_to_sleep(pipe: _Pipe, tmp_path: Path) -> None:
    """With nobody reading the supervisor's output, a process that prints megabytes still gets to its end."""
    done = tmp_path / "done"
    talker = f"""
        import time
        from pathlib import Path
        for _ in range(50_000):
            print("x" * 200)
        Path({str(done)!r}).touch()
        time.sleep(600)
    """
    supervisor = Supervisor([_python("talker", talker)], output_fd=pipe.writing)
    supervisor.start()
    assert _eventually(done.exists)
    supervisor.stop()
    assert pipe.text().startswith("x" * 200 + "\n")


def test_a_program_that_does_not_exist_is_named_and_tried_again(pipe: _Pipe) -> None:
    """A command that cannot be run does not end the supervisor; its output says which it was."""
    supervisor = Supervisor([ProcessSpec("none", ("/nonexistent/program",), _ENVIRONMENT)], output_fd=pipe.writing)
    supervisor.start()
    assert _eventually(lambda: pipe.text().count("cannot run /nonexistent/program: No such file or directory") >= 2)
    assert supervisor.stop()


def test_two_processes_of_one_name_are_refused() -> None:
    """Names tell processes apart, so they differ."""
    with pytest.raises(ValueError, match="same name"):
        Supervisor([_spec("web", "true"), _spec("web", "true")])


_RUNS = f"""
    import sys
    from infra.log import configure_logging
    from worker.supervisor import ProcessSpec, Supervisor
    configure_logging("supervisor")
    env = {{"PATH": {os.defpath!r}}}
    specs = [ProcessSpec(name, ("/bin/sh", "-c", sys.argv[1]), env) for name in ("one", "two")]
    sys.exit(Supervisor(specs, stop_grace_s=20).run())
"""


@contextmanager
def _running_supervisor(script: str) -> "Iterator[tuple[subprocess.Popen[str], list[int]]]":
    """A supervisor of two processes in a process of its own, and the four process ids they said."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_RUNS), script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for _ in range(2) for pid in process.stdout.readline().split()]
        try:
            assert len(pids) == 4
            yield process, pids
        finally:
            process.kill()
            assert _eventually(lambda: not any(map(_is_alive, pids)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_supervisor_and_all_it_started(number: signal.Signals) -> None:
    """On SIGINT and on SIGTERM everything ends cleanly, nothing is left, and the exit code is 0."""
    with _running_supervisor(_FAMILY) as (process, pids):
        process.send_signal(number)
        assert process.wait(15) == 0
        assert not any(map(_is_alive, pids))


def test_a_second_signal_kills_at_once() -> None:
    """Whoever presses Ctrl-C twice does not wait for processes that do not listen; the exit code is 1."""
    with _running_supervisor(f"trap '' TERM; {_FAMILY}; {_FAMILY}") as (process, pids):
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 1
        assert not any(map(_is_alive, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the processes watch their parent themselves")
def test_a_killed_supervisor_leaves_nothing_behind() -> None:
    """After SIGKILL of the supervisor the kernel ends its processes."""
    with _running_supervisor("echo $$ $$; exec sleep 600") as (process, pids):
        process.kill()
        assert _eventually(lambda: not any(map(_is_alive, pids)))


def test_an_orphan_that_watches_its_parent_ends_even_if_it_ignores_sigterm() -> None:
    """`exit_when_orphaned` asks first and kills then, together with what the orphan had started."""
    orphan = """
        import signal, subprocess, time
        from infra.embedded.parent_watch import exit_when_orphaned
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        exit_when_orphaned(grace_s=0.2)
        print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
        time.sleep(600)
    """
    program = shlex.quote(textwrap.dedent(orphan))
    parent = subprocess.Popen(
        ["/bin/sh", "-c", f"setsid {shlex.quote(sys.executable)} -c {program} & echo $!; wait"],
        stdout=subprocess.PIPE,
        env=_ENVIRONMENT,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    assert all(map(_is_alive, pids))
    parent.kill()
    parent.communicate()
    assert _eventually(lambda: not any(map(_is_alive, pids)))


def test_lines_are_whole_however_they_arrive() -> None:
    """Pieces make lines, an endless line is cut, and a last line without an end is not lost."""
    splitter = LineSplitter()
    assert splitter.split(b"one\ntw") == [b"one"]
    assert splitter.split(b"o\n\nthree") == [b"two", b""]
    assert splitter.rest() == [b"three"]
    assert splitter.rest() == []
    assert [len(line) for line in splitter.split(b"x" * (LINE_BYTES_MAX + 1))] == [LINE_BYTES_MAX]


def test_a_full_queue_drops_and_counts_lines(pipe: _Pipe) -> None:
    """What is too much for a reader that does not read is dropped, and known."""
    queue = OutputQueue(pipe.writing)
    queue.put_lines(b"", [b"line"] * (QUEUED_LINES_MAX + 7))
    assert queue.dropped_count == 7
    queue.start()
    queue.close()
    assert pipe.text() == "line\n" * QUEUED_LINES_MAX


def test_names_are_coloured_and_aligned() -> None:
    """On a terminal each line begins with its process' name, all equally wide, neighbours in other colours."""
    first, second = (prefix(place, ["web", "worker"]) for place in range(2))
    assert first.endswith(b"web    |\x1b[0m ")
    assert second.endswith(b"worker |\x1b[0m ")
    assert first[:5] != second[:5]


def test_the_procfile_lists_the_same_processes() -> None:
    """Whoever runs the Procfile with another supervisor gets the same commands as `attribution up`."""
    lines = (REPOSITORY / "Procfile").read_text().splitlines()
    listed = {name: tuple(shlex.split(command)) for name, _, command in (line.partition(":") for line in lines)}
    assert listed == {name: ("python", *arguments) for name, arguments in COMMANDS.items()}


def test_processes_get_the_addresses_and_the_overrides_but_show_them_to_nobody() -> None:
    """The addresses win over everything, and no password is in what a specification prints of itself."""
    addresses = Addresses("postgresql+psycopg://me:pass-1@h/d", "redis://:pass-2@h/0")
    (web,) = process_specs(addresses, {"PORT": "8123", "REDIS_URL": "redis://other"}, only=("web",))
    assert json.loads(json.dumps(dict(web.env)))["PORT"] == "8123"
    assert (web.env["DATABASE_URL"], web.env["REDIS_URL"]) == (addresses.database_url, addresses.redis_url)
    assert "pass-" not in repr(web) + repr(addresses)
