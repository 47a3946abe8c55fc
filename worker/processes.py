"""The processes of the program, as in Procfile, and the environment they run in."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.embedded import Addresses
from worker.supervisor import ProcessSpec

_CELERY = ("-m", "celery", "-A", "worker.app", "-q")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")

#: Name to arguments after the interpreter. Procfile lists the same; a test holds the two together.
COMMANDS: dict[str, tuple[str, ...]] = {
    "web": ("-m", "webhooks"),
    "dashboard": ("-m", "dashboard"),
    "worker": (*_CELERY, "worker", "--loglevel", "INFO", "--concurrency", "2", *_QUIET),
    # Its schedule is kept in memory: all it would remember on disk is what the inbox knows better.
    "beat": (*_CELERY, "beat", "--loglevel", "INFO", "--scheduler", "celery.beat:Scheduler", "--pidfile="),
}

#: Read their secrets again on SIGHUP; to the others it would mean something else.
_REREADING = ("web",)

_PROJECT = Path(__file__).resolve().parent.parent


def process_specs(
    addresses: Addresses, overrides: Mapping[str, str] | None = None, *, only: tuple[str, ...] = tuple(COMMANDS)
) -> tuple[ProcessSpec, ...]:
    """The processes named in `only`, with our own environment, the addresses of the servers, and `overrides`.

    They run in our folder, where a `.env` is, and find the program's packages wherever that folder is.
    """
    environment = {
        **os.environ,
        **(overrides or {}),
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH", "")])),
        # Lines come when they are printed, not when a buffer is full.
        "PYTHONUNBUFFERED": "1",
    }
    return tuple(
        ProcessSpec(name, (sys.executable, *COMMANDS[name]), environment, rereads=name in _REREADING) for name in only
    )
