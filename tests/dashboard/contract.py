"""The operations that the API describes of itself: every router's, as soon as it is there."""

from typing import Any

from dashboard.app import create_app
from infra.settings import load_settings

#: Nothing connects to these: describing the API needs no server.
_NOWHERE = {"DATABASE_URL": "postgresql://nobody@localhost/none", "REDIS_URL": "redis://localhost:1/0"}

DOCUMENT: dict[str, Any] = create_app(load_settings(_NOWHERE, env_file=None)).openapi()

#: (method, path) of everything.
OPERATIONS: list[tuple[str, str]] = [
    (verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs
]


def operation(method: str, path: str) -> dict[str, Any]:
    """What the document says of one operation."""
    found: dict[str, Any] = DOCUMENT["paths"][path][method.lower()]
    return found


def is_for_members(method: str, path: str) -> bool:
    """Whether an operation is opened by a member's token rather than by an API key."""
    return any("member_token" in scheme for scheme in operation(method, path)["security"])


def named(place: tuple[str, str]) -> str:
    """As a test's id."""
    return f"{place[0]} {place[1].removeprefix('/api/v2')}"
