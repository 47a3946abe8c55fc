"""Readiness: whether work accepted now could be committed. Asked of the database at most once a second."""

import asyncio
import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from infra.database import migrations_current

ANSWER_WITHIN_S = 2.0
_REMEMBERED_S = 1.0

UNREACHABLE = "database unreachable"
OUTDATED = "migrations not current"
STOPPING = "stopping"


class Health:
    """One question to the database at a time, however many ask and however long it hangs."""

    def __init__(self, is_current: Callable[[], bool]) -> None:
        self._is_current = is_current
        self._asking: asyncio.Task[str | None] | None = None
        self._answer: str | None = None
        self._answered_s = float("-inf")
        self.stopping = False

    async def problem(self) -> str | None:
        """What stands against taking requests, or None. Answers within `ANSWER_WITHIN_S`."""
        if self.stopping:
            return STOPPING
        if time.monotonic() - self._answered_s < _REMEMBERED_S:
            return self._answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), ANSWER_WITHIN_S)
        except TimeoutError:
            return UNREACHABLE

    async def _ask(self) -> str | None:
        try:
            self._answer = None if await asyncio.to_thread(self._is_current) else OUTDATED
        except (SQLAlchemyError, OSError):
            self._answer = UNREACHABLE
        self._answered_s = time.monotonic()
        return self._answer


def health_of(engine: Engine) -> Health:
    """Readiness as `engine`'s database has it."""
    return Health(lambda: migrations_current(engine))
