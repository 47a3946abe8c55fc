"""The embedded servers, as real processes: who starts them, who stops them, and what survives which death."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import make_url

from infra.embedded import ServersUnavailable, servers
from infra.embedded.locks import FileLock
from tests.conftest import reachable_folder
from tests.infra.embedded_processes import (
    User,
    answer,
    both,
    copy_cluster,
    eventually,
    is_alive,
    postgres_only,
    processes_of,
    query,
    status_pid,
)


@pytest.fixture(scope="module")
def _made_once() -> Iterator[Path]:
    """A DATA_DIR with a cluster in it."""
    with reachable_folder() as folder:
        with both(folder / "data"):
            pass
        yield folder / "data"


@pytest.fixture
def data_dir(_made_once: Path) -> Iterator[Path]:
    """A DATA_DIR with a cluster in it and nobody using it: a first start would cost each test a second more."""
    yield _made_once
    assert eventually(lambda: processes_of(_made_once) == [])


def test_what_was_committed_is_there_after_a_restart_and_no_process_is_left_between(data_dir: Path) -> None:
    """Data survives a stop and a start, and when `servers` returns everything it started is gone."""
    with both(data_dir) as addresses:
        query(addresses, "drop table if exists kept")
        query(addresses, "create table kept as select 42 as answer")
        assert processes_of(data_dir)
    assert processes_of(data_dir) == []
    with both(data_dir) as addresses:
        assert query(addresses, "select answer from kept") == [(42,)]


def test_the_cluster_is_durable_and_closed_to_the_network(data_dir: Path) -> None:
    """Nothing that a 200 relies on is turned off, pages have checksums, and PostgreSQL listens on no TCP port."""
    wanted = {
        **dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes", "data_checksums"), "on"),
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "jit": "off",
        "TimeZone": "UTC",
    }
    with postgres_only(data_dir) as addresses:
        found = {name: query(addresses, f"select current_setting('{name}')")[0][0] for name in wanted}
        assert found == wanted
        assert query(addresses, "select rolsuper from pg_roles where rolname = current_user") == [(False,)]


def test_redis_refuses_whoever_lacks_the_password(data_dir: Path) -> None:
    """The port on loopback is of no use without the password in the URL."""
    with servers(data_dir, database_url="not used", redis_url=None) as addresses:
        port = redis.Redis.from_url(addresses.redis_url).connection_pool.connection_kwargs["port"]
        with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_only_what_has_no_url_is_started(data_dir: Path) -> None:
    """A given URL comes back as it is, and no server of that kind runs."""
    with servers(data_dir, database_url="postgresql+psycopg://elsewhere/x", redis_url=None) as addresses:
        assert addresses.database_url == "postgresql+psycopg://elsewhere/x"
        assert not any("postgres -D" in command for command in processes_of(data_dir))
        with redis.Redis.from_url(addresses.redis_url) as client:
            assert client.ping()


def test_with_both_urls_given_nothing_is_touched(data_dir: Path) -> None:
    """A program with servers of its own needs no DATA_DIR."""
    with servers(data_dir / "never", database_url="a", redis_url="b") as addresses:
        assert (addresses.database_url, addresses.redis_url) == ("a", "b")
    assert not (data_dir / "never").exists()


def test_the_last_user_to_leave_stops_the_servers(data_dir: Path) -> None:
    """Users that come at the same moment share one cluster, and it runs until both have left."""
    with User(data_dir) as first, User(data_dir) as second:
        assert first.addresses() == second.addresses()
        assert len([command for command in processes_of(data_dir) if "embedded.guardian postgres" in command]) == 1
        first.leave()
        assert processes_of(data_dir)
        second.leave()
        assert processes_of(data_dir) == []


def test_a_killed_user_leaves_nothing_running_and_the_next_start_works(data_dir: Path) -> None:
    """After SIGKILL of the only user all processes go within seconds, and the cluster starts again."""
    with User(data_dir) as user:
        user.addresses()
        of_each = product(("postgres", "redis"), ("guardian_pid", "server_pid"))
        pids = [status_pid(data_dir, server, key) for server, key in of_each]
        assert all(map(is_alive, pids))
        user.kill()
        assert eventually(lambda: not any(map(is_alive, pids)))
    with both(data_dir) as addresses:
        assert answer(addresses)


def test_a_killed_guardian_takes_its_server_along_and_is_replaced(data_dir: Path) -> None:
    """After SIGKILL of the guardian its server ends, and users get another one at the same address."""
    with postgres_only(data_dir) as addresses:
        guardian, server = (status_pid(data_dir, "postgres", key) for key in ("guardian_pid", "server_pid"))
        os.kill(guardian, signal.SIGKILL)
        assert eventually(lambda: not is_alive(server))
        assert eventually(lambda: answer(addresses))
        assert status_pid(data_dir, "postgres", "guardian_pid") != guardian


def test_a_crashed_server_comes_back_at_the_same_address(data_dir: Path) -> None:
    """After SIGKILL of PostgreSQL and of Redis both are started again by their guardians."""
    with both(data_dir) as addresses:
        killed = [status_pid(data_dir, server, "server_pid") for server in ("postgres", "redis")]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not any(map(is_alive, killed)))
        assert eventually(lambda: answer(addresses))


def test_a_stale_pid_file_of_a_living_stranger_does_not_matter(data_dir: Path) -> None:
    """A postmaster.pid whose process id now belongs to another program neither stops the start nor that program."""
    stranger = subprocess.Popen(["sleep", "60"], user=(data_dir / "postgres").stat().st_uid)
    try:
        lines = [str(stranger.pid), str(data_dir / "postgres"), "1", "5432", "/nowhere", "", "0 0", "ready   "]
        pid_file = data_dir / "postgres" / "postmaster.pid"
        pid_file.write_text("\n".join(lines) + "\n")
        shutil.chown(pid_file, (data_dir / "postgres").stat().st_uid)
        with postgres_only(data_dir) as addresses:
            assert answer(addresses)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_that_was_left_behind_is_stopped_before_another_starts(data_dir: Path) -> None:
    """A postmaster without a guardian, as a platform without parent-death signals leaves it, is not fatal."""
    with postgres_only(data_dir):
        owner = (data_dir / "postgres").stat().st_uid
        command = Path(f"/proc/{status_pid(data_dir, 'postgres', 'server_pid')}/cmdline").read_bytes()
    argv = command.decode().rstrip("\0").split("\0")
    orphan = subprocess.Popen(argv, user=owner, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert eventually((data_dir / "postgres" / "postmaster.pid").exists)
    with postgres_only(data_dir) as addresses:
        assert answer(addresses)
        assert orphan.wait(5) is not None


def test_a_long_data_dir_gets_its_socket_elsewhere_and_removes_it(data_dir: Path) -> None:
    """A path too long for a unix socket works, with blanks and quotes in it, and its socket folder goes at the end."""
    with reachable_folder() as folder:
        long = folder / 'it\'s a "long" name, by far' / ("x" * 100)
        copy_cluster(data_dir, long)
        with postgres_only(long) as addresses:
            assert answer(addresses)
            sockets = Path(str(make_url(addresses.database_url).query["host"]))
            assert sockets.stat().st_mode & 0o777 == 0o700
            assert long not in sockets.parents
        assert not sockets.exists()
        assert processes_of(folder) == []


def test_two_data_dirs_run_side_by_side(data_dir: Path) -> None:
    """Programs with different DATA_DIRs do not notice each other."""
    with reachable_folder() as folder:
        copy_cluster(data_dir, folder / "other")
        with both(folder / "other") as theirs:
            with both(data_dir) as ours:
                assert ours.database_url != theirs.database_url
                assert answer(ours)
            assert answer(theirs)


def test_a_cluster_of_another_version_is_refused_with_a_way_out(data_dir: Path) -> None:
    """A cluster that this PostgreSQL cannot run is named, with its version, and left as it was."""
    version = data_dir / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(ServersUnavailable, match=r"PostgreSQL 17.*pg_dump"), postgres_only(data_dir):
            pytest.fail("it started")
    finally:
        version.write_text("18\n")


def test_a_lock_dies_with_its_process_and_is_not_inherited(tmp_path: Path) -> None:
    """Neither a program started by exec nor a forked child keeps the lock of a parent that has let go."""
    lock, rival = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.try_shared()
    assert not rival.try_exclusive()
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    reading, writing = os.pipe()
    forked = os.fork()
    if forked == 0:
        os.read(reading, 1)
        os._exit(0)
    lock.release()
    assert eventually(rival.try_exclusive, 2)
    os.write(writing, b"x")
    os.waitpid(forked, 0)
    child.communicate()
    rival.release()
