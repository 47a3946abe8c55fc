"""Redis or Valkey on a loopback port with a drawn password, in memory only: losing it costs latency, never an event.

Over TCP and not a unix socket, because Celery and redis-py share no form of URL for a socket.
"""

import json
import secrets
import signal
import socket
import subprocess

from infra.embedded.accounts import server_account
from infra.embedded.folders import Folders, read_json, write_whole
from infra.embedded.leftovers import StopSteps, leftovers
from infra.embedded.programs import redis_program
from infra.embedded.server import spawn_server

_HOST = "127.0.0.1"
_STEPS: StopSteps = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0))
_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
pidfile "{folder}/redis.pid"
daemonize no
save ""
appendonly no
stop-writes-on-bgsave-error no
maxmemory 256mb
maxmemory-policy noeviction
tcp-keepalive 60
loglevel notice
"""


class RedisServer:
    """The Redis of one DATA_DIR. Its port and password outlive restarts."""

    stop_steps = _STEPS

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._account = server_account(folders.postgres)
        self._program = redis_program(folders, self._account)
        self._memory = folders.run("redis") / "address.json"
        self._port = 0
        self._password = ""

    def prepare(self) -> None:
        """Settle the port (the remembered one, if nobody has taken it) and the password."""
        self._account.own_folder(self._folders.redis)
        remembered = read_json(self._memory)
        self._password = str(remembered.get("password") or secrets.token_urlsafe(24))
        port = int(remembered.get("port") or 0)
        self._port = port if port and _can_bind(port) else _free_port()
        write_whole(self._memory, json.dumps({"port": self._port, "password": self._password}), 0o600)

    def leftovers(self) -> list[int]:
        """Redis servers working in our folder."""
        return leftovers(self._folders.redis, ("redis-server", "valkey-server"), self._folders.redis / "redis.pid")

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start it; the password goes through a pipe, not on the command line and in no second file."""
        folder = str(self._folders.redis).replace("\\", "\\\\").replace('"', '\\"')
        configuration = _CONFIGURATION.format(host=_HOST, port=self._port, password=self._password, folder=folder)
        return spawn_server(
            (str(self._program), "-"), self._account, _STEPS, self._folders.data, configuration.encode()
        )

    def is_ready(self) -> bool:
        """Whether it answers to our password. By hand: the client library would triple the guardian's start."""
        try:
            with socket.create_connection((_HOST, self._port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False

    def url(self) -> str:
        """For redis-py and Celery alike."""
        return f"redis://:{self._password}@{_HOST}:{self._port}/0"

    def forget(self) -> None:
        """Nothing: keeping the port spares clients a change of address."""


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    """Somebody may take it before we do; the guardian then prepares again."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
