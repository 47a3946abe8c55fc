"""The database engine, what is asked of a server before it is trusted, and the schema's way to its newest version.

Every statement of the program runs on PostgreSQL 15 or newer, in UTC, READ COMMITTED.
"""

import functools

import msgspec
import tenacity
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, make_url, text

from domain.errors import AttributionError, TryLater
from infra.retries import LOCK_NOT_AVAILABLE, sqlstate_of

SERVER_VERSION_MIN = 15
#: Any constant nobody else uses: two migrators meet on it.
_MIGRATION_LOCK = 0x50415F4D49475254
_MIGRATION_LOCK_WAIT_S = 60
_MIGRATION_LOCK_PAUSE_S = 0.2
_MIGRATION_ATTEMPTS_MAX = 20
#: With any of these off, a server confirms what a crash may take back.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


class ServerUnfit(AttributionError):
    """The database server cannot be used as it is; the message says what to change."""


def make_engine(
    url: str,
    *,
    application_name: str,
    pool_size: int = 5,
    statement_timeout_s: float | None = None,
    lock_timeout_s: float | None = None,
    connect_timeout_s: int = 5,
    pool_timeout_s: float = 10,
    pre_ping: bool = True,
) -> Engine:
    """An engine on psycopg 3 that connects on first use and never holds more than `pool_size` connections.

    `pre_ping` costs a round trip per checkout: hot paths turn it off and retry instead. A peer that vanishes
    without a word is noticed after about a minute.
    """
    address = make_url(url)
    options = [str(address.query.get("options", "")), "-c timezone=UTC"]
    for name, limit_s in (("statement_timeout", statement_timeout_s), ("lock_timeout", lock_timeout_s)):
        if limit_s is not None:
            options.append(f"-c {name}={round(limit_s * 1000)}")
    return create_engine(
        address,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
        pool_use_lifo=True,
        pool_pre_ping=pre_ping,
        hide_parameters=True,
        json_deserializer=msgspec.json.decode,
        connect_args={
            "application_name": application_name,
            "connect_timeout": connect_timeout_s,
            "options": " ".join(filter(None, options)),
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )


def check_server(engine: Engine) -> list[str]:
    """Warnings about a server that may forget what it confirmed; empty for a fit one.

    Raises `ServerUnfit` for a version below 15 and for a read-only server (a replica, a failover gone half way).
    """
    with engine.connect() as connection:
        version = int(_setting(connection, "server_version_num")) // 10_000
        if version < SERVER_VERSION_MIN:
            raise ServerUnfit(f"PostgreSQL {version} is too old; use version {SERVER_VERSION_MIN} or newer")
        if (
            connection.scalar(text("select pg_is_in_recovery()"))
            or _setting(connection, "transaction_read_only") == "on"
        ):
            raise ServerUnfit("the database is read-only; point DATABASE_URL at the primary server")
        return [
            f"{name} is off: an event answered with 200 could be lost in a crash; turn it on in the server's settings"
            for name in DURABLE
            if _setting(connection, name) == "off"
        ]


def oldest_transaction(connection: Connection) -> tuple[float, str] | None:
    """Seconds since the oldest other transaction of this database began, and whose it is; None where there is none.

    Until it ends, vacuum takes away nothing that was deleted or updated since: every index grows, and the inbox's most.
    """
    row = connection.execute(
        text("""
            select extract(epoch from clock_timestamp() - xact_start) as seconds,
                coalesce(nullif(application_name, ''), 'a session') || ', process ' || pid as whose
            from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
                and (backend_xmin is not null or backend_xid is not null) and xact_start is not null
            union all
            select extract(epoch from clock_timestamp() - prepared), 'a prepared transaction, ' || transaction
            from pg_prepared_xacts where database = current_database()
            order by 1 desc limit 1
        """)
    ).first()
    return None if row is None else (float(row.seconds), str(row.whose))


def _setting(connection: Connection, name: str) -> str:
    return str(connection.scalar(text("select current_setting(:name)"), {"name": name}))


def migrations_config() -> Config:
    """Alembic's configuration; there is no file of it."""
    config = Config()
    config.set_main_option("script_location", "infra:migrations")
    return config


def migrations_current(engine: Engine) -> bool:
    """Whether the schema is at exactly the version this code was written for."""
    with engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == _heads()


@functools.cache
def _heads() -> frozenset[str]:
    return frozenset(ScriptDirectory.from_config(migrations_config()).get_heads())


def upgrade_to_head(engine: Engine) -> None:
    """Bring the schema to the newest version; free where it is there already.

    Two migrators wait for each other. A migration that cannot get its table lock in time gives way to the traffic
    and is tried again. Raises `TryLater` when another migrator holds on for more than a minute.
    """
    policy = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: sqlstate_of(error) == LOCK_NOT_AVAILABLE),
        stop=tenacity.stop_after_attempt(_MIGRATION_ATTEMPTS_MAX),
        wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=3),
        reraise=True,
    )
    with engine.connect() as connection:
        try:
            _lock_out_other_migrators(connection)
            config = migrations_config()
            config.attributes["connection"] = connection
            policy(command.upgrade, config, "head")
        finally:
            # What migrations set on their session must not come back from the pool.
            connection.invalidate()


def _lock_out_other_migrators(connection: Connection) -> None:
    """Taken for the session: it ends with the connection, however that comes about.

    Asked for again and again rather than waited for: an index that is built beside the traffic waits for the end of
    every transaction begun before it, and that of a migrator who waits for the one who builds would never end.
    """

    def lock() -> bool:
        with connection.begin():
            return bool(connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": _MIGRATION_LOCK}))

    policy = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda locked: not locked),
        stop=tenacity.stop_after_delay(_MIGRATION_LOCK_WAIT_S),
        wait=tenacity.wait_fixed(_MIGRATION_LOCK_PAUSE_S),
    )
    try:
        policy(lock)
    except tenacity.RetryError as error:
        raise TryLater("another process is migrating the database and does not finish; try again later") from error
