"""For a process that must not outlive the one that started it, whatever became of that one, on any platform."""

import os
import signal
import threading
import time

_POLL_S = 0.5

#: Set by a supervisor in its children's environment, to its own process id.
SUPERVISOR_VARIABLE = "ATTRIBUTION_SUPERVISOR"


def exit_with_supervisor() -> None:
    """`exit_when_orphaned`, in a process that a supervisor of ours started; nothing in one started from a shell."""
    if os.environ.get(SUPERVISOR_VARIABLE) == str(os.getppid()):
        exit_when_orphaned()


def exit_when_orphaned(grace_s: float = 10.0) -> None:
    """From now on, when the parent has died: ask this process to end by SIGTERM, and kill it `grace_s` later.

    Call it once, early, in a process that a supervisor started. The kernel's own signal at the parent's death
    exists on Linux only and asks just once; a process that hangs in its clean end needs the second step.
    """
    parent_pid = os.getppid()
    arguments = (parent_pid, grace_s)
    threading.Thread(target=_end_after, args=arguments, name="parent-watch", daemon=True).start()


def _end_after(parent_pid: int, grace_s: float) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    if os.getpgid(0) == os.getpid():  # the leader takes its own children along
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
