"""`/status`: how the inbox stands. Nothing is due, and nothing is being worked on: idle.

The numbers stand in `data` as everywhere, and at the top as well, where whoever waits for idle finds them.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dashboard.visits import ThisVisit, manager_routes
from infra.inbox import counts

router = manager_routes("/status", "operating")

_EXAMPLE: dict[str, Any] = {"received": 0, "waiting": 1, "processed": 4711, "ignored": 12, "dead": 0, "oldest_due_s": 0}


class Status(BaseModel):
    """Rows of the inbox per state."""

    received: int = Field(description="Due, or being worked on.")
    waiting: int = Field(description="For a named thing.")
    processed: int
    ignored: int
    dead: int
    oldest_due_s: int = Field(description="For how long the oldest due row has been due, in seconds.")


class StatusAnswer(Status):
    """The same twice."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": _EXAMPLE, "message": "idle", "status": 200, **_EXAMPLE}]}
    )

    data: Status
    message: str
    status: int


@router.get("")
def read(visit: ThisVisit) -> StatusAnswer:
    """How many events are in which state, and whether something is overdue."""
    found = counts(visit.connection)
    message = "idle" if not found["received"] else "at work"
    return StatusAnswer(**found, data=Status(**found), message=message, status=200)
