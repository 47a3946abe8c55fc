"""Server processes that an earlier guardian left behind, found by their working folder, and ending processes."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from infra.embedded.locks import wait_until

_PROCESSES = Path("/proc")
#: Signals from polite to final, each with the seconds to wait for its effect.
StopSteps = tuple[tuple[signal.Signals, float], ...]


def is_running(pid: int) -> bool:
    """Whether a process has this id. One that ended and was not yet reaped by its parent does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return (_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return not _PROCESSES.is_dir() or (_PROCESSES / str(pid)).exists()


def leftovers(folder: Path, programs: Iterable[str], pid_file: Path) -> list[int]:
    """Processes of the named programs that work in `folder`; elsewhere than on Linux, the one in `pid_file`."""
    names = frozenset(programs)
    found = {pid for pid in _process_ids() if _works_in(pid, folder, names)}
    recorded = _recorded(pid_file)
    if recorded is not None and _command_names(recorded, folder, names):
        found.add(recorded)
    return sorted(found)


def end_processes(pids: Iterable[int], steps: StopSteps) -> bool:
    """Signal the processes step by step until none is left; False when some outlive the last step."""
    left = set(pids)
    for step, wait_s in steps:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, step)
        if wait_until(lambda: not any(map(is_running, left)), wait_s):
            return True
    return False


def _process_ids() -> Iterable[int]:
    if not _PROCESSES.is_dir():
        return ()
    return (int(entry.name) for entry in _PROCESSES.iterdir() if entry.name.isdigit())


def _works_in(pid: int, folder: Path, names: frozenset[str]) -> bool:
    process = _PROCESSES / str(pid)
    try:
        return (process / "cwd").readlink() == folder and (process / "exe").readlink().name in names
    except OSError:  # it ended meanwhile, or is somebody else's
        return False


def _recorded(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split(maxsplit=1)[0])
    except (OSError, ValueError, IndexError):
        return None


def _command_names(pid: int, folder: Path, names: frozenset[str]) -> bool:
    """By its command line, which root in a container may read where it may not read the working folder."""
    program, *arguments = _command(pid)
    return Path(program).name in names and str(folder) in arguments


def _command(pid: int) -> list[str]:
    if _PROCESSES.is_dir():
        try:
            return (_PROCESSES / str(pid) / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            return [""]
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return listed.stdout.split() or [""]
