"""What a guardian tells the users of its server, through a file that only they can read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from infra.embedded.folders import read_json, write_whole

_FILE = "status.json"


@dataclass(frozen=True, slots=True)
class Status:
    """State of one guardian. `server_pid` is 0 while no server runs, `url` is empty unless the state is ready."""

    state: Literal["starting", "ready", "failed", "stopping"]
    guardian_pid: int
    server_pid: int = 0
    url: str = ""
    error: str = ""


def write_status(run: Path, status: Status) -> None:
    """Make it known. The URL may hold a password."""
    write_whole(run / _FILE, json.dumps(asdict(status)), 0o600)


def read_status(run: Path) -> Status | None:
    """What is known; None where no guardian has said anything."""
    found = read_json(run / _FILE)
    try:
        return Status(**found) if found else None
    except TypeError:  # of another version of the program
        return None


def clear_status(run: Path) -> None:
    """Forget what a guardian that is gone has said."""
    (run / _FILE).unlink(missing_ok=True)
