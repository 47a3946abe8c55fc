"""The only place that asks what time it is. Everything else is handed a `Clock`, or a `now`."""

from collections.abc import Callable
from datetime import UTC, datetime

#: Gives the present moment as an aware UTC datetime.
Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's present moment, aware, in UTC."""
    return datetime.now(UTC)
