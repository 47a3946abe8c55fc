"""A PostgreSQL that crashes, or finds no room on its disk, amid deliveries: what was acknowledged is there."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from infra.database import make_engine, upgrade_to_head
from infra.embedded import Addresses, servers
from infra.embedded.folders import Folders
from infra.embedded.status import read_status
from tests.conftest import reachable_folder
from tests.webhooks.receiver_process import ReceiverProcess, event_body, running

RECOVERS_WITHIN_S = 30.0


@contextmanager
def database_in(folder: Path) -> Iterator[Addresses]:
    """A migrated PostgreSQL of the test's own."""
    with servers(folder, database_url=None, redis_url="redis://127.0.0.1:1/0") as addresses:
        engine = make_engine(addresses.database_url, application_name="tests", pool_size=1)
        upgrade_to_head(engine)
        engine.dispose()
        yield addresses


@contextmanager
def receiving(addresses: Addresses, folder: Path) -> Iterator[ReceiverProcess]:
    """A receiver on it."""
    with running(folder, DATABASE_URL=addresses.database_url, REDIS_URL=addresses.redis_url) as receiver:
        yield receiver


class Load:
    """Deliveries from a few threads at once, sent again until they are acknowledged."""

    def __init__(self, receiver: ReceiverProcess, padding: str = "") -> None:
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self._receiver = receiver
        self._padding = padding
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._deliver_on, args=(number,)) for number in range(4)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _deliver_on(self, number: int) -> None:
        count = 0
        while not self._ended.is_set():
            key = f"evt_{number}_{count}"
            try:
                status = self._receiver.deliver(event_body(key, padding=self._padding)).status_code
            except httpx.TransportError:
                continue
            self.statuses.add(status)
            if status == httpx.codes.OK:
                self.acknowledged.add(key)
                count += 1
            else:
                time.sleep(0.05)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until it holds."""
        until_s = time.monotonic() + RECOVERS_WITHIN_S
        while not condition():
            assert time.monotonic() < until_s, f"{len(self.acknowledged)} acknowledged, {self.statuses}"
            time.sleep(0.02)

    def wait_for_more(self, count: int) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        self.wait_for(lambda: len(self.acknowledged) >= wanted)


def keys_in(addresses: Addresses) -> list[str]:
    """The inbox's event keys, sorted."""
    with psycopg.connect(addresses.database_url.replace("+psycopg", "")) as connection:
        return [str(key) for (key,) in connection.execute("select event_key from inbox order by 1")]


def test_a_crash_of_the_database_takes_back_nothing() -> None:
    """PostgreSQL ended as by `pg_ctl -m immediate` amid deliveries: each acknowledged event is a row (F05)."""
    with reachable_folder() as folder, database_in(folder / "servers") as addresses:
        with receiving(addresses, folder) as receiver, Load(receiver) as load:
            load.wait_for_more(100)
            status = read_status(Folders(folder / "servers").run("postgres"))
            assert status is not None
            os.kill(status.server_pid, signal.SIGQUIT)
            load.wait_for(lambda: 503 in load.statuses)
            load.wait_for_more(50)
        keys = keys_in(addresses)
        assert load.statuses == {200, 503}
        assert load.acknowledged <= set(keys)
        assert len(keys) == len(set(keys))


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own and of this size."""
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is left."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError:
            pass
    return ballast


def test_a_full_disk_acknowledges_nothing_and_recovers_with_room() -> None:
    """With no room for a row or its log every answer is 503; with room again everything is taken, none lost (F10)."""
    with (
        reachable_folder() as folder,
        small_disk(folder / "disk", 400) as disk,
        database_in(disk / "data") as addresses,
    ):
        with receiving(addresses, folder) as receiver, Load(receiver, os.urandom(30_000).hex()) as load:
            load.wait_for_more(20)
            ballast = fill(disk)
            load.wait_for(lambda: 503 in load.statuses)
            time.sleep(1)  # what room there was in files is used up
            stuck_count = len(load.acknowledged)
            time.sleep(1)
            assert len(load.acknowledged) - stuck_count < 20
            assert receiver.client.get("/healthz").status_code == 200
            ballast.unlink()
            load.wait_for_more(50)
        assert load.statuses == {200, 503}
        assert load.acknowledged <= set(keys_in(addresses))
