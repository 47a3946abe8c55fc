"""PostgreSQL 18 from the wheel, driven directly: made by initdb, reached through a unix socket only, never over TCP.

Who may connect is decided by the kernel: the socket's folder is closed, and `peer` admits the user who runs the
program (and the account the server runs as) without a password that could leak.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from infra.embedded.accounts import Account, closed_part, server_account, user_name
from infra.embedded.errors import ServersUnavailable
from infra.embedded.folders import Folders, read_json, write_whole
from infra.embedded.launch import launch_command
from infra.embedded.leftovers import StopSteps, is_running, leftovers
from infra.embedded.programs import POSTGRES_MAJOR, postgres_programs
from infra.embedded.server import SERVER_ENVIRONMENT, spawn_server

#: Role and database of the program. The role may make databases and roles, and is no superuser.
DATABASE = "attribution"
#: Whoever may connect may also connect as this one.
SUPERUSER = "postgres"
_PORT = 5432
#: Linux allows 107 bytes, macOS 103.
_SOCKET_PATH_BYTES_MAX = 100
_STEPS: StopSteps = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 2.0))
_INITDB_TIMEOUT_S = 120

#: Sized for two cores that PostgreSQL shares with the program. Whoever wants others uses ALTER SYSTEM, which wins.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(_PORT),
    "max_connections": "100",
    # A batch of 400 events locks up to 2,500 names: their customers, subscriptions, invoices and payments.
    "max_locks_per_transaction": "256",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_workers": "2",
    # A 200 was a promise: what was committed is on the disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "pglz",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Queries of a process that was killed stop.
    "client_connection_check_interval": "1s",
    # The inbox is updated all the time: vacuum little and often.
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_max_workers": "2",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %e ",
    # No statement, parameter or row value in the log: they hold customers' names and mails.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_autovacuum_min_duration": "-1",
    "log_checkpoints": "off",
}


class PostgresServer:
    """The cluster in DATA_DIR/postgres and its server."""

    stop_steps = _STEPS

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._account = server_account(folders.postgres)
        self._programs = postgres_programs(folders, self._account)
        self._sockets = folders.sockets
        self._has_database = False

    def prepare(self) -> None:
        """Make the cluster if there is none, its configuration in any case, and the folder of its socket."""
        self._has_database = False
        if not self._folders.postgres.exists():
            self._make_cluster()
        self._check_version()
        self._sockets = _socket_folder(self._folders, self._account)
        self._write_configuration()

    def leftovers(self) -> list[int]:
        """Postmaster and backends on this cluster."""
        return leftovers(self._folders.postgres, ("postgres",), self._folders.postgres / "postmaster.pid")

    def _disown_pid_file(self) -> None:
        """Let a stale postmaster.pid name us where the process it names is alive, and a stranger.

        PostgreSQL would take that one for another postmaster; its own parent it knows better. The rest of the file
        stays: by it PostgreSQL notices backends that still use the cluster's memory.
        """
        pid_file = self._folders.postgres / "postmaster.pid"
        try:
            pid, separator, rest = pid_file.read_text().partition("\n")
            if not separator or not is_running(int(pid)):
                return
        except (OSError, ValueError):  # there is none, or PostgreSQL will say what is wrong with it
            return
        write_whole(pid_file, f"{os.getpid()}\n{rest}", 0o600, self._account.switch)

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start the postmaster. There are no leftovers when this is called."""
        self._disown_pid_file()
        configuration = f"config_file={self._folders.config / 'postgresql.conf'}"
        argv = (str(self._programs / "postgres"), "-D", str(self._folders.postgres), "-c", configuration)
        return spawn_server(argv, self._account, _STEPS, self._folders.data)

    def is_ready(self) -> bool:
        """Whether it takes connections; then the program's role and database exist too."""
        try:
            with self._connect() as connection:
                if not self._has_database:
                    _make_database(connection)
                    self._has_database = True
        except psycopg.OperationalError:
            return False
        return True

    def url(self) -> str:
        """For SQLAlchemy; with the port, so that a PGPORT in the environment changes nothing."""
        return f"postgresql+psycopg://{DATABASE}@/{DATABASE}?host={quote(str(self._sockets), safe='/')}&port={_PORT}"

    def forget(self) -> None:
        """Remove a socket folder outside DATA_DIR; it stays if somebody put something into it."""
        if self._sockets != self._folders.sockets:
            try:
                self._sockets.rmdir()
            except OSError:
                return

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=str(self._sockets), port=_PORT, user=SUPERUSER, dbname="postgres", connect_timeout=2, autocommit=True
        )

    def _make_cluster(self) -> None:
        """In a folder aside, renamed when it is whole and on the disk: a kill leaves nothing half made."""
        aside = self._folders.data / "postgres.new"
        shutil.rmtree(aside, ignore_errors=True)
        self._account.own_folder(aside)
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        argv = (str(self._programs / "initdb"), "-D", str(aside), "-U", SUPERUSER, "--auth=peer", "--data-checksums")
        if sys.platform == "linux":  # one call for the file system, where a call for each of 1000 files takes seconds
            options.append("--sync-method=syncfs")
        command = launch_command(
            (*argv, "--no-instructions", *options), death_signal=signal.SIGKILL, account=self._account.switch
        )
        made = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=SERVER_ENVIRONMENT,
            cwd=self._folders.data,
            timeout=_INITDB_TIMEOUT_S,
            check=False,
        )
        if made.returncode != 0:
            last = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ServersUnavailable(f"PostgreSQL could not make its cluster in {self._folders.postgres}: {last}")
        aside.rename(self._folders.postgres)
        _sync_folder(self._folders.data)

    def _check_version(self) -> None:
        try:
            version = (self._folders.postgres / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise ServersUnavailable(
                f"{self._folders.postgres} is no readable PostgreSQL cluster ({error.strerror}); restore it from a"
                " backup, or choose another DATA_DIR"
            ) from None
        if version != str(POSTGRES_MAJOR):
            raise ServersUnavailable(
                f"the cluster in {self._folders.postgres} is of PostgreSQL {version}, and this program brings"
                f" {POSTGRES_MAJOR}; move the data with pg_dump and pg_restore, or set DATABASE_URL"
            )

    def _write_configuration(self) -> None:
        folder = self._folders.config
        folder.mkdir(mode=0o755, exist_ok=True)
        folder.chmod(0o755)
        admitted = sorted({user_name(), self._account.name})
        settings = {
            **_SETTINGS,
            "unix_socket_directories": _socket_list_entry(self._sockets),
            "hba_file": str(folder / "pg_hba.conf"),
            "ident_file": str(folder / "pg_ident.conf"),
        }
        files = {
            "postgresql.conf": "".join(f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()),
            "pg_hba.conf": "local all all peer map=program\nlocal replication all peer map=program\n",
            "pg_ident.conf": "".join(f'program "{name}" all\n' for name in admitted),
        }
        for name, content in files.items():
            write_whole(folder / name, content, 0o644)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _socket_list_entry(folder: Path) -> str:
    """The setting is a list: a name with a comma or a blank in it has to stand in double quotes."""
    return '"' + str(folder).replace('"', '""') + '"'


def _make_database(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Role and database, each if it is missing; two steps, since a database cannot be made in a transaction."""
    if not connection.execute("select 1 from pg_roles where rolname = %s", (DATABASE,)).fetchone():
        connection.execute(sql.SQL("create role {} login createdb createrole").format(sql.Identifier(DATABASE)))
    if not connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
        connection.execute(sql.SQL("create database {0} owner {0}").format(sql.Identifier(DATABASE)))


def _socket_folder(folders: Folders, account: Account) -> Path:
    """DATA_DIR/sockets, or, where its path is too long for a socket, a closed folder among the temporary ones.

    The latter is remembered, so that a server started again answers at the address its clients know.
    """
    if _fits(folders.sockets):
        account.own_folder(folders.sockets)
        return folders.sockets
    memory = folders.run("postgres") / "sockets.json"
    remembered = Path(read_json(memory).get("folder", "") or "/nonexistent")
    if _is_ours(remembered, account):
        return remembered
    folder = _new_temporary_folder(account)
    write_whole(memory, f'{{"folder": "{folder}"}}\n', 0o600)
    return folder


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) <= _SOCKET_PATH_BYTES_MAX


def _is_ours(folder: Path, account: Account) -> bool:
    """Closed and of the right owner: anybody can make a folder of that name once it is gone."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return found.st_mode == 0o040700 and found.st_uid == account.uid


def _new_temporary_folder(account: Account) -> Path:
    for parent in map(Path, (tempfile.gettempdir(), "/tmp")):  # noqa: S108 - a closed folder of a drawn name in it
        if _fits(parent / "attribution-12345678") and closed_part(account, parent) is None:
            folder = Path(tempfile.mkdtemp(prefix="attribution-", dir=parent))
            account.own_folder(folder)
            return folder
    raise ServersUnavailable("no folder for PostgreSQL's socket has a short enough path; choose a shorter DATA_DIR")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
