"""What becomes of an envelope whose work raised: again later, or dead now, with a reason that holds no payload."""

import random
import traceback
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from domain.errors import AttributionError, TryLater
from infra.inbox import Envelope, InboxState, Mark
from infra.retries import is_transient, next_attempt, sqlstate_of

log = structlog.get_logger()

#: A statement's or a lock's own time limit: another try may be luckier.
_TIMED_OUT = ("57014", "55P03")


def failure_mark(envelope: Envelope, error: Exception, now: datetime) -> Mark:
    """Transient failures come again with backoff, until they have come too often; all others are dead at once."""
    due = next_attempt(envelope.attempts, now, random.random()) if _may_pass(error) else None  # noqa: S311 - jitter
    state = InboxState.DEAD if due is None else InboxState.RECEIVED
    reason = reason_of(error)
    event = "event.died" if due is None else "event.postponed"
    log.warning(
        event, inbox_id=envelope.id, type=envelope.event_type, attempts=envelope.attempts, reason=reason, again_at=due
    )
    return Mark(envelope.id, envelope.attempts, state, due, reason, fingerprint_of(envelope, error))


def _may_pass(error: Exception) -> bool:
    return isinstance(error, TryLater) or is_transient(error) or sqlstate_of(error) in _TIMED_OUT


def reason_of(error: Exception) -> str:
    """One sentence for an operator. Our own errors speak for themselves; others show where they arose, no values."""
    if isinstance(error, AttributionError):
        return str(error)
    if isinstance(error, DBAPIError):
        return f"the database refused it: {type(error.orig).__name__} {sqlstate_of(error) or ''}".strip()
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: a fault of this program; replay when it is mended"


def fingerprint_of(envelope: Envelope, error: Exception) -> str:
    """Groups dead letters with one cause: provider, type, error."""
    detail = sqlstate_of(error) or (str(error) if isinstance(error, AttributionError) else "")
    known_ids = (envelope.event_key,)
    for known in known_ids:
        detail = detail.replace(known, "...")
    return " ".join(filter(None, (envelope.provider, envelope.event_type, type(error).__name__, detail)))[:200]
