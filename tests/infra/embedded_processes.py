"""For the tests of the embedded servers: programs that use them, and looking for processes from outside."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from infra.embedded import Addresses, servers
from tests.conftest import REPOSITORY

_NO_REDIS = "not used"
#: Enters, says the addresses, and stays until its input ends.
_USER = """
    import json, sys
    from pathlib import Path
    from infra.embedded import servers
    with servers(Path(sys.argv[1]), database_url=None, redis_url=None) as addresses:
        print(json.dumps([addresses.database_url, addresses.redis_url]), flush=True)
        sys.stdin.read()
"""


class User:
    """A program in a process of its own that uses the servers of `data_dir` until it is told to leave."""

    def __init__(
        self,
        data_dir: Path,
        *,
        interpreter: str = sys.executable,
        account: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [interpreter, "-c", textwrap.dedent(_USER), str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            user=account,
            group=account,
            extra_groups=None if account is None else [],
            env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.kill()

    def addresses(self) -> Addresses:
        """What it was given; waits until it is in."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.fail(self.process.communicate()[1])
        return Addresses(*json.loads(line))

    def leave(self) -> str:
        """Let it go, and wait until it has; its error output."""
        return self.process.communicate(timeout=60)[1]

    def kill(self) -> None:
        """SIGKILL, without any chance to clean up."""
        self.process.kill()
        self.process.communicate()


def copy_cluster(source: Path, target: Path) -> None:
    """Make the DATA_DIR `target` with the cluster of `source`, owners included; faster than a first start."""
    target.mkdir(parents=True)
    subprocess.run(["cp", "-a", source / "postgres", target / "postgres"], check=True)


def both(data_dir: Path) -> AbstractContextManager[Addresses]:
    """Use both servers of `data_dir` in this process."""
    return servers(data_dir, database_url=None, redis_url=None)


def postgres_only(data_dir: Path) -> AbstractContextManager[Addresses]:
    """Use PostgreSQL of `data_dir` in this process, and no Redis."""
    return servers(data_dir, database_url=None, redis_url=_NO_REDIS)


def eventually(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    """Whether `condition` comes to hold in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def query(addresses: Addresses, statement: str) -> list[tuple[object, ...]]:
    """Run one statement in the program's database; its rows, if it has any."""
    engine = create_engine(addresses.database_url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def answer(addresses: Addresses) -> bool:
    """Whether the servers that were asked for can be used."""
    try:
        query(addresses, "select 1")
        if addresses.redis_url == _NO_REDIS:
            return True
        with redis.Redis.from_url(addresses.redis_url, socket_timeout=2) as client:
            return bool(client.ping())
    except (OperationalError, redis.RedisError):
        return False


def status_pid(data_dir: Path, server: str, key: str) -> int:
    """`guardian_pid` or `server_pid` of a server."""
    return int(json.loads((data_dir / "run" / server / "status.json").read_text())[key])


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes_of(data_dir: Path) -> list[str]:
    """Living processes, ours aside, that name the folder on their command line or work in it."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid() or not is_alive(int(process.name)):
            continue
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            works_in = str((process / "cwd").readlink())
        except OSError:  # it ended meanwhile
            continue
        if str(data_dir) in command or works_in.startswith(str(data_dir)):
            found.append(f"{process.name} {command}")
    return found
