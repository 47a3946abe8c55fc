"""Become another program: give up root, ask to be signalled when the parent dies, then exec. Also probes folders.

Run as a script by a plain interpreter (`python -I -S launch.py ...`), so that it needs no module but the standard
library's and starts in some 15 ms. An exec'd process keeps the parent-death signal that was asked for before it.

    launch.py run PARENT_PID SIGNAL ACCOUNT PROGRAM ARGUMENT...    ACCOUNT is uid:gid, or - to stay
    launch.py probe ACCOUNT PATH                                   prints the first part of PATH closed to ACCOUNT
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def launch_command(
    argv: tuple[str, ...], *, death_signal: signal.Signals, account: tuple[int, int] | None = None
) -> list[str]:
    """The command that runs `argv` as the (uid, gid) `account`, to be sent `death_signal` when this process dies.

    On Linux the signal comes when the *thread* that starts the command ends: start it from one that lasts.
    """
    who = "-" if account is None else f"{account[0]}:{account[1]}"
    return [*_INTERPRETER, "run", str(os.getpid()), str(int(death_signal)), who, *argv]


def probe_command(account: tuple[int, int], path: Path) -> list[str]:
    """The command that prints the first folder on the way to `path` that `account` may not enter, or nothing."""
    return [*_INTERPRETER, "probe", f"{account[0]}:{account[1]}", str(path)]


_INTERPRETER = (sys.executable, "-I", "-S", str(Path(__file__).resolve()))


def _become(account: str) -> None:
    if account == "-":
        return
    uid, gid = map(int, account.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _parent_death_caller() -> Callable[[int], object]:
    """What asks for the signal. Loaded while we are still who we were: our interpreter may be closed to the account."""
    if sys.platform != "linux":  # no such thing: the parent's successor cleans up after it instead
        return int
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda death_signal: prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)


def _run(parent_pid: str, death_signal: str, account: str, *argv: str) -> None:
    ask = _parent_death_caller()
    _become(account)
    # Only now: changing the account would have cleared it.
    ask(int(death_signal))
    if os.getppid() != int(parent_pid):  # it died before we asked
        sys.exit(1)
    # The interpreter ignores these two, and exec would hand that on.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - what this file is for
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


def _probe(account: str, path: str) -> None:
    _become(account)
    target = Path(path)
    for folder in (*reversed(target.parents), target):
        if not os.access(folder, os.X_OK if folder.is_dir() else os.R_OK):
            sys.stdout.write(str(folder))
            return


if __name__ == "__main__":
    if sys.argv[1] == "run":
        _run(*sys.argv[2:])
    else:
        _probe(*sys.argv[2:])
