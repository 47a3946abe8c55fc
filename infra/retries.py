"""Retries with backoff, jitter and an end: short ones here and now for the database, long ones as inbox times.

Nothing longer than a second or so sleeps. An event that must wait gets a `next_attempt` and lets its worker go.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
import structlog
import tenacity
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

log = structlog.get_logger()

T = TypeVar("T")

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
READ_ONLY_TRANSACTION = "25006"
LOCK_NOT_AVAILABLE = "55P03"

#: Worth an immediate second try: another transaction or another server will have it.
_TRANSIENT_SQLSTATES = frozenset({SERIALIZATION_FAILURE, DEADLOCK_DETECTED, READ_ONLY_TRANSACTION})
#: Connection exceptions, and a server that shuts down, crashed, starts up or has no slot left.
_CONNECTION_SQLSTATES = frozenset({"57P01", "57P02", "57P03", "53300"})
_CONNECTION_CLASS = "08"

#: Waits between the attempts at one inbox row, in seconds: about a day in all.
_INBOX_WAITS_S = (2, 8, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800)
#: The same for one delivery to an endpoint of somebody else's: about three days in all.
DELIVERY_WAITS_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 57600, 57600, 86400)
#: Attempts an inbox row gets for transient failures before it is dead: the first one and one after every wait.
ATTEMPTS_MAX = len(_INBOX_WAITS_S) + 1
#: A wait is spread over this share of itself, half below and half above, so that a herd does not return as one.
_JITTER_SHARE = 0.5


def next_attempt(
    attempts: int, now: datetime, jitter: float, waits_s: Sequence[int] = _INBOX_WAITS_S
) -> datetime | None:
    """When a row is due again after its `attempts`-th failure (1, 2, ...); None: give up, it is dead.

    `jitter` is a draw from [0, 1); 0.5 is the nominal wait; for the inbox 2 s, 8 s, 30 s, 2 min, 10 min, ...
    """
    if attempts < 1:
        raise ValueError(f"attempts counts failures so far, from 1; got {attempts}")
    if attempts > len(waits_s):
        return None
    return now + timedelta(seconds=waits_s[attempts - 1] * (1 + _JITTER_SHARE * (jitter - 0.5)))


def sqlstate_of(error: BaseException) -> str | None:
    """PostgreSQL's five-character code, through SQLAlchemy's wrapping; None where the server never answered."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def connection_was_lost(error: BaseException) -> bool:
    """Whether the server, or the way to it, went away: the same work on a new connection may succeed."""
    state = sqlstate_of(error)
    if state is not None:
        return state in _CONNECTION_SQLSTATES or state.startswith(_CONNECTION_CLASS)
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, psycopg.OperationalError)


def is_transient(error: BaseException) -> bool:
    """Connection loss, deadlock, serialization failure or a read-only server; never a statement's own timeout."""
    return sqlstate_of(error) in _TRANSIENT_SQLSTATES or connection_was_lost(error)


def retry_transient_database(
    work: Callable[[], T],
    *,
    engine: Engine | None = None,
    attempts_max: int = 3,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `work`, a whole transaction, up to `attempts_max` times while its failure is transient; re-raise the last.

    After a lost connection or a read-only answer (a failover) the pool of `engine` is emptied first: its other
    connections lead to the same server.
    """

    def before_sleep(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        assert error is not None
        if engine is not None and (connection_was_lost(error) or sqlstate_of(error) == READ_ONLY_TRANSACTION):
            engine.dispose()
        log.warning("database.retried", attempt=state.attempt_number, sqlstate=sqlstate_of(error))

    policy = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        stop=tenacity.stop_after_attempt(attempts_max),
        wait=tenacity.wait_exponential_jitter(multiplier=0.02, exp_base=4, max=1.0, jitter=0.05),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )
    return policy(work)
