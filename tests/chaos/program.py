"""The program under test: servers of its own, proxies before them, and every process as it runs in production."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import redis
from sqlalchemy import Engine, make_url

from infra.database import make_engine, upgrade_to_head
from infra.embedded import Addresses, servers
from infra.embedded.folders import Folders
from infra.embedded.status import read_status
from tests.chaos.proxy import Proxy
from tests.conftest import reachable_folder
from tests.webhooks.receiver_process import free_port
from worker.processes import process_specs
from worker.supervisor import ProcessSpec, Supervisor

SECRET = "whsec_chaos_0123456789_0123456789"
_STARTS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Program:
    """The running program, and the ways to break it."""

    port: int
    #: Around the proxies: for setting up, and for looking.
    engine: Engine
    supervisor: Supervisor
    database: Proxy
    broker: Proxy
    output: Path
    _folders: Folders
    _redis_url: str

    def tell(self, name: str, number: signal.Signals) -> None:
        """Signal a process with all it started, if it runs; SIGTERM goes to the process alone."""
        leader = self.supervisor.pids().get(name)
        if leader is not None:
            with suppress(ProcessLookupError):
                (os.kill if number is signal.SIGTERM else os.killpg)(leader, number)

    def tell_server(self, name: str, number: signal.Signals) -> None:
        """Signal PostgreSQL's postmaster, or Redis; their guardian starts again what ends."""
        status = read_status(self._folders.run(name))
        if status is not None and status.server_pid:
            with suppress(ProcessLookupError):
                os.kill(status.server_pid, number)

    def wipe_broker(self) -> None:
        """FLUSHALL; a broker that does not answer has nothing to lose."""
        with suppress(redis.RedisError), redis.Redis.from_url(self._redis_url, socket_timeout=1) as client:
            client.flushall()

    def server_log(self) -> str:
        """What PostgreSQL said."""
        return (self._folders.log / "postgres.log").read_text(errors="replace")


@contextmanager
def running_program() -> Iterator[Program]:
    """Everything, ready to take deliveries; afterwards nothing of it is left."""
    with ExitStack() as stack:
        folder = stack.enter_context(reachable_folder())
        addresses = stack.enter_context(servers(folder / "servers", database_url=None, redis_url=None))
        engine = make_engine(addresses.database_url, application_name="chaos", pool_size=2, statement_timeout_s=60)
        stack.callback(engine.dispose)
        upgrade_to_head(engine)
        database, broker = _database_proxy(addresses), _broker_proxy(addresses)
        for proxy in (database, broker):
            stack.callback(proxy.close)
        port, output = free_port(), folder / "output"
        written = stack.enter_context(output.open("ab", buffering=0))
        supervisor = Supervisor(_specs(addresses, database, broker, port, folder), output_fd=written.fileno())
        supervisor.start()
        stack.callback(supervisor.stop)
        _wait_until_ready(port, output)
        yield Program(
            port, engine, supervisor, database, broker, output, Folders(folder / "servers"), addresses.redis_url
        )


def _specs(addresses: Addresses, database: Proxy, broker: Proxy, port: int, folder: Path) -> tuple[ProcessSpec, ...]:
    """The receiver, two workers and a beat."""
    through = Addresses(
        f"postgresql://{make_url(addresses.database_url).username}@127.0.0.1:{database.port}"
        f"/{make_url(addresses.database_url).database}?sslmode=disable&gssencmode=disable",
        make_url(addresses.redis_url).set(port=broker.port).render_as_string(hide_password=False),
    )
    settings = {
        "PORT": str(port),
        "DASHBOARD_PORT": str(free_port()),
        "DATA_DIR": str(folder),
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        "LOG_FORMAT": "json",
    }
    web, worker, beat = process_specs(through, settings, only=("web", "worker", "beat"))
    specs = (web, replace(worker, name="worker-1"), replace(worker, name="worker-2"), beat)
    return tuple(replace(spec, cwd=folder) for spec in specs)


def _database_proxy(addresses: Addresses) -> Proxy:
    query = make_url(addresses.database_url).query
    path = f"{query['host']}/.s.PGSQL.{query['port']}"

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        return connection

    return Proxy(connect)


def _broker_proxy(addresses: Addresses) -> Proxy:
    url = make_url(addresses.redis_url)
    assert url.host is not None
    assert url.port is not None
    place = (url.host, url.port)
    return Proxy(lambda: socket.create_connection(place))


def _wait_until_ready(port: int, output: Path) -> None:
    until_s = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until_s:
        with suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise AssertionError("the receiver does not become ready: " + output.read_text()[-4000:])
