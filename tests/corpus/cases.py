"""Read and write cases of the corpus; a fact's normal form is plain JSON (README.md)."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from domain.errors import Unreadable
from domain.facts import Fact, NotUsed, Source

FOLDER = Path(__file__).resolve().parent
NOT_USED, UNREADABLE = "not_used", "unreadable"

Expected = list[dict[str, Any]] | str


@dataclass(frozen=True, slots=True)
class Case:
    """One event and what it means."""

    name: str
    provider: str
    about: str
    event: dict[str, Any]
    expect: Expected

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return FOLDER / self.provider / f"{self.name}.json"

    def text(self) -> str:
        """The file's contents."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False) + "\n"


def cases(provider: str) -> list[Case]:
    """All cases of a provider, by name."""
    return [Case(**json.loads(file.read_bytes())) for file in sorted((FOLDER / provider).glob("*.json"))]


def normal(answer: Iterable[Fact] | NotUsed | Unreadable) -> Expected:
    """What a translator answered, in the form of `expect`."""
    if isinstance(answer, NotUsed):
        return NOT_USED
    return UNREADABLE if isinstance(answer, Unreadable) else [_fact(fact) for fact in answer]


def _fact(fact: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"fact": type(fact).__name__}
    for field in dataclasses.fields(fact):
        value = getattr(fact, field.name)
        if isinstance(value, Source):
            said |= {"rank": value.rank} | ({"version": value.version} if value.version else {})
        elif field.name != "provider" and value != field.default:
            said[field.name] = _plain(value)
    return said


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return moment(value)
        case Enum():
            return value.value
        case Mapping():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != field.default
        }
    return value


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the second unless there is more."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
