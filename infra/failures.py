"""What becomes of an envelope whose work raised: again later, or dead now, with a reason that holds no payload."""

import random
import re
import traceback
from datetime import datetime, timedelta

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError

from domain.errors import AttributionError, TryLater
from infra.inbox import Envelope, InboxState, Mark
from infra.retries import is_transient, next_attempt, sqlstate_of

log = structlog.get_logger()

#: A statement's or a lock's own time limit, a key that another transaction wrote first, and no room for a lock while
#: others hold so many: another try may be luckier.
_MAY_PASS = ("57014", "55P03", "23505", "53200")
_REASON_LENGTH_MAX = 500
_FINGERPRINT_LENGTH_MAX = 200
#: What differs between two events with one fault: provider ids and numbers.
_ID = re.compile(r"\b[A-Za-z]+(?:_[A-Za-z]+)*_(?=[A-Za-z]*\d)[A-Za-z0-9]{6,}\b|\d+")
#: Control characters, and halves of surrogate pairs: PostgreSQL takes neither NUL nor the latter.
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def failure_mark(envelope: Envelope, error: Exception, now: datetime) -> Mark:
    """Transient failures come again with backoff, until they have come too often; all others are dead at once."""
    mark = verdict_on(envelope, error, now)
    event = "event.died" if mark.state is InboxState.DEAD else "event.postponed"
    log.warning(
        event,
        inbox_id=envelope.id,
        type=envelope.event_type,
        attempts=envelope.attempts,
        reason=mark.reason,
        again_at=mark.next_attempt_at,
    )
    return mark


def verdict_on(envelope: Envelope, error: Exception, now: datetime) -> Mark:
    """The same, told to nobody."""
    due = next_attempt(envelope.attempts, now, random.random()) if _may_pass(error) else None  # noqa: S311 - jitter
    if due is not None and isinstance(error, TryLater) and error.again_after_s is not None:
        due = max(due, now + timedelta(seconds=error.again_after_s))
    state = InboxState.DEAD if due is None else InboxState.RECEIVED
    return Mark(envelope.id, envelope.attempts, state, due, reason_of(error), fingerprint_of(envelope, error))


def _may_pass(error: Exception) -> bool:
    return isinstance(error, TryLater) or is_transient(error) or sqlstate_of(error) in _MAY_PASS


def reason_of(error: Exception) -> str:
    """One sentence for an operator. Our own errors speak for themselves; others show where they arose, no values."""
    if isinstance(error, AttributionError):
        reason = str(error)
    elif isinstance(error, DBAPIError):
        reason = " ".join(filter(None, ("the database refused it:", type(error.orig).__name__, _refusal(error))))
    else:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
        reason = f"{type(error).__name__}{place}: a fault of this program; replay when it is mended"
    return _UNSPEAKABLE.sub("?", reason)[:_REASON_LENGTH_MAX]


def _refusal(error: DBAPIError) -> str:
    """The error's code and, if one was hurt, the constraint's name."""
    constraint = error.orig.diag.constraint_name if isinstance(error.orig, psycopg.Error) else None
    return " ".join(filter(None, (sqlstate_of(error), constraint)))


def fingerprint_of(envelope: Envelope, error: Exception) -> str:
    """Groups dead letters with one cause: provider, type, error; without what differs from event to event."""
    detail = _refusal(error) if isinstance(error, DBAPIError) else ""
    if isinstance(error, AttributionError):
        detail = _ID.sub("...", _UNSPEAKABLE.sub("?", str(error)))
    parts = (envelope.provider, envelope.event_type, type(error).__name__, detail)
    return " ".join(filter(None, parts))[:_FINGERPRINT_LENGTH_MAX]
