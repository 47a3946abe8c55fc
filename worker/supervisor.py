"""Runs a set of child processes: starts them, passes on what they print, restarts what crashes, leaves nothing behind.

Each child leads a session and process group of its own, so that Ctrl-C reaches the supervisor alone, and what a
child started goes when the child goes. Everything happens in one thread, which lasts as long as the children may:
on Linux a child is signalled when the thread that started it ends.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from infra.embedded.launch import launch_command
from infra.embedded.parent_watch import SUPERVISOR_VARIABLE
from infra.hangup import Terminal
from worker.process_output import LineSplitter, OutputQueue, prefix

log = structlog.get_logger()

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK_S = 0.1
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 10.0
_HEALTHY_AFTER_S = 10.0
_READ_BYTES = 65_536
#: What a child's pipe still holds when it has ended is read for so long; a grandchild may keep it open for ever.
_DRAIN_READS_MAX = 32


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to run: `env` is its whole environment; `rereads`: it reads settings again on SIGHUP."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path | None = None
    rereads: bool = False


class _Child:
    """One spec and the process that runs it now, if any."""

    def __init__(self, spec: ProcessSpec, line_prefix: bytes) -> None:
        self.spec = spec
        self.line_prefix = line_prefix
        self.running: _Running | None = None
        self.lines = LineSplitter()
        self.due_at = 0.0
        self.backoff_s = _BACKOFF_FIRST_S
        self.starts = 0


@dataclass(frozen=True, slots=True)
class _Running:
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    started_at: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def has_ended(self) -> bool:
        """Whether it has, without reaping it where the platform can tell."""
        if sys.platform != "linux":
            return self.process.poll() is not None
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def signal_leader(self, number: signal.Signals) -> None:
        # Not through Popen, which would reap it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        # Nobody left, or, as macOS says it, nobody but a dead leader.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class Supervisor:
    """Keeps the processes of `specs` running until it is told to stop.

    Their output goes to the file descriptor `output_fd`: on a terminal each line after the process' name in colour,
    otherwise as it is. A reader of `output_fd` that stops reading costs lines, never a child's time.
    `start`, `pids` and `stop` are for a program that goes on meanwhile; `run` does all and blocks.
    """

    def __init__(self, specs: Sequence[ProcessSpec], *, output_fd: int = 1, stop_grace_s: float = 10.0) -> None:
        if len({spec.name for spec in specs}) != len(specs):
            raise ValueError("two processes have the same name")
        self._output = OutputQueue(output_fd)
        self._children = [
            _Child(spec, prefix(place, [each.name for each in specs]) if os.isatty(output_fd) else b"")
            for place, spec in enumerate(specs)
        ]
        self._stop_grace_s = stop_grace_s
        self._stop_asked = threading.Event()
        self._kill_asked = threading.Event()
        self._reread_asked = threading.Event()
        self._had_to_kill = False
        self._thread: threading.Thread | None = None
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run until SIGINT or SIGTERM; a second one kills at once. 0: all ended cleanly, 1: some were killed.

        SIGHUP is passed on to those that read settings again; where it says that our terminal has gone, it ends
        everything. Only for the main thread.
        """
        with self._signals():
            self.start()
            self.wait()
        return int(self._had_to_kill)

    def start(self) -> None:
        """Start the processes and return; they are kept running by a thread."""
        if self._thread is not None:
            raise RuntimeError("a supervisor starts once")
        self._output.start()
        # Not a daemon: the interpreter would cut it off in the middle of ending the children.
        self._thread = threading.Thread(target=self._supervise, name="supervisor")
        self._thread.start()

    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that run right now."""
        running = {child.spec.name: child.running for child in self._children}
        return {name: each.pid for name, each in running.items() if each is not None}

    def stop(self) -> bool:
        """End all processes and what they started, and wait for it; whether none had to be killed."""
        self._stop_asked.set()
        self.wait()
        return not self._had_to_kill

    def wait(self) -> None:
        """Wait until somebody has asked it to stop and everything has ended."""
        if self._thread is None:
            return
        # In pieces: a signal handler runs between them on every platform.
        while self._thread.is_alive():
            self._thread.join(0.2)
        self._output.close()
        if not self._stop_asked.is_set():
            raise RuntimeError("the supervisor broke; its children were killed")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        terminal = Terminal()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGHUP and not terminal.is_gone():
                self._reread_asked.set()
                return
            (self._kill_asked if self._stop_asked.is_set() else self._stop_asked).set()

        before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _supervise(self) -> None:
        try:
            while not self._stop_asked.is_set():
                for child in self._children:
                    self._keep_running(child)
                if self._reread_asked.is_set():
                    self._reread_asked.clear()
                    self._pass_on_hangup()
                self._pass_on_output(_TICK_S)
            self._end_all()
        finally:  # only after an error of ours is there anything left
            for child in self._children:
                if child.running is not None:
                    self._clear_away(child, child.running)
            self._selector.close()

    def _pass_on_hangup(self) -> None:
        for child in self._children:
            if child.spec.rereads and child.running is not None:
                child.running.signal_leader(signal.SIGHUP)

    def _keep_running(self, child: _Child) -> None:
        if child.running is not None:
            if not child.running.has_ended():
                return
            self._after_exit(child, child.running)
        if time.monotonic() >= child.due_at:
            self._spawn(child)

    def _spawn(self, child: _Child) -> None:
        spec = child.spec
        process = subprocess.Popen(  # noqa: S603 - the program's own processes
            launch_command(spec.argv, death_signal=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**spec.env, SUPERVISOR_VARIABLE: str(os.getpid())},
            cwd=spec.cwd,
            start_new_session=True,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        child.running = _Running(process, process.stdout, time.monotonic())
        child.starts += 1
        event = "process.started" if child.starts == 1 else "process.restarted"
        log.info(event, name=spec.name, pid=process.pid, starts=child.starts)

    def _after_exit(self, child: _Child, running: _Running) -> None:
        """Clear away what the process started, pass on its last words, settle when it is due again."""
        code = self._clear_away(child, running)
        now = time.monotonic()
        if now - running.started_at >= _HEALTHY_AFTER_S:
            child.backoff_s = _BACKOFF_FIRST_S
        child.due_at = now + child.backoff_s
        log.warning("process.exited", name=child.spec.name, pid=running.pid, code=code, restart_in_s=child.backoff_s)
        child.backoff_s = min(_BACKOFF_MAX_S, child.backoff_s * 2)

    def _clear_away(self, child: _Child, running: _Running) -> int:
        """Kill what is left of the group, reap the leader; its exit code, negative for a signal."""
        # Before it is reaped: until then nobody else can get its group's id.
        running.kill_group()
        code = running.process.wait()
        for _ in range(_DRAIN_READS_MAX):
            if not self._read(child, running):
                break
        self._output.put_lines(child.line_prefix, child.lines.rest())
        self._stop_reading(running)
        running.output.close()
        child.running = None
        return code

    def _end_all(self) -> None:
        """SIGTERM to each leader, which ends its own children in its own way; the group is killed after it.

        To signal the whole group would take workers away from under a leader that still lets them finish.
        """
        for child in self._children:
            if child.running is not None:
                child.running.signal_leader(signal.SIGTERM)
        deadline = time.monotonic() + self._stop_grace_s
        while self.pids():
            for child in self._children:
                if child.running is not None and child.running.has_ended():
                    code = self._clear_away(child, child.running)
                    log.info("process.stopped", name=child.spec.name, code=code)
            if time.monotonic() >= deadline or self._kill_asked.is_set():
                self._kill_all()
            self._pass_on_output(_TICK_S)

    def _kill_all(self) -> None:
        for child in self._children:
            if child.running is not None:
                self._had_to_kill = True
                child.running.kill_group()

    def _pass_on_output(self, timeout_s: float) -> None:
        if not self._selector.get_map():
            time.sleep(timeout_s)
            return
        for key, _ in self._selector.select(timeout_s):
            child: _Child = key.data
            if child.running is not None and not self._read(child, child.running):
                self._stop_reading(child.running)

    def _read(self, child: _Child, running: _Running) -> bool:
        """Pass on what is there; False at the end of the output, or when there is nothing now."""
        try:
            chunk = os.read(running.output.fileno(), _READ_BYTES)
        except BlockingIOError:
            return False
        self._output.put_lines(child.line_prefix, child.lines.split(chunk))
        return bool(chunk)

    def _stop_reading(self, running: _Running) -> None:
        with contextlib.suppress(KeyError):  # it may have closed its output before it ended
            self._selector.unregister(running.output)
