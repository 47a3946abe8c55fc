"""Everything that is wrong with a document, collected, so that a person corrects it once and not once per mistake."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.errors import Rejected

#: More would help nobody; a hostile document could otherwise earn an answer many times its own size.
PROBLEMS_MAX = 50
_SHOWN_MAX = 60
_PATH_MAX = 300

UNSTORABLE = "must not hold characters that no database text can store (NUL, half a surrogate pair)"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the path of the field (`rules.all[1].value`) and what is allowed there."""

    field: str
    message: str


class RejectedDocument(Rejected):
    """A document with one or more mistakes; `field` and the message are those of the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in problems), problems[0].field)
        self.problems = tuple(problems)


@dataclass(slots=True)
class Problems:
    """Collects mistakes while a document is read."""

    found: list[Problem] = field(default_factory=list)

    def add(self, path: str, message: str) -> None:
        """Note one mistake; those beyond the first fifty are dropped."""
        if len(self.found) < PROBLEMS_MAX:
            self.found.append(Problem(_printable(path)[:_PATH_MAX], _printable(message)))

    def raise_any(self) -> None:
        """Raise RejectedDocument if anything was found."""
        if self.found:
            raise RejectedDocument(self.found)


def quoted(value: object) -> str:
    """A value as a message shows it: texts in double quotes, everything cut to a readable length."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."


def listed(values: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL and UTF-8 can hold the text; JSON can spell some that they cannot."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> str:
    """The text with half surrogate pairs spelt out: an answer that quotes a mistake must itself be valid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
