"""What a guardian needs to know of the server it guards, and how any such server is spawned."""

import subprocess
from pathlib import Path
from typing import Protocol

from infra.embedded.accounts import Account
from infra.embedded.launch import launch_command
from infra.embedded.leftovers import StopSteps

#: Servers get no more of the environment than this; what users export must not change how they behave.
SERVER_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Server(Protocol):
    """One kind of server in one DATA_DIR. The first of `stop_steps` is also its parent-death signal."""

    @property
    def stop_steps(self) -> StopSteps:
        """Signals that stop it cleanly first and surely at last."""

    def prepare(self) -> None:
        """Bring the folders into a state to start from, and settle the address. Raises `ServersUnavailable`."""

    def leftovers(self) -> list[int]:
        """Processes of an earlier run on the same folders."""

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start it; its log comes out of the pipe at its standard output."""

    def is_ready(self) -> bool:
        """Whether it serves; the first time it does, whatever it must contain is made."""

    def url(self) -> str:
        """Where clients find it; the same until the next `prepare`."""

    def forget(self) -> None:
        """Remove what has no meaning once it has stopped."""


def spawn_server(
    argv: tuple[str, ...], account: Account, steps: StopSteps, cwd: Path, configuration: bytes | None = None
) -> "subprocess.Popen[bytes]":
    """Start a server as its account, with `configuration` at its standard input. Call it from the main thread."""
    process = subprocess.Popen(  # noqa: S603 - a program of ours, found by us
        launch_command(argv, death_signal=steps[0][0], account=account.switch),
        stdin=subprocess.DEVNULL if configuration is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=SERVER_ENVIRONMENT,
        cwd=cwd,
        start_new_session=True,
    )
    if configuration is not None and process.stdin is not None:
        try:
            process.stdin.write(configuration)
            process.stdin.close()
        except BrokenPipeError:  # it ended at once; its log says why
            pass
    return process
