"""What can go wrong, sorted by what to do next.

AttributionError
├── Rejected       the caller is wrong: answer 4xx, never try again
│   ├── Missing        what is asked for is not there
│   └── Conflict       what is there says otherwise
├── TryLater       the world is not ready: postpone, try again
└── CannotProcess  today's code will never manage it: dead letter now
    └── Unreadable     the body is not what its type promises
"""


class AttributionError(Exception):
    """Root of every error this program raises on purpose."""


class Rejected(AttributionError):
    """The caller sent something wrong; `field` names what, the message says what to do."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Missing(Rejected):
    """The thing that the caller wants to see or change is not there."""


class Conflict(Rejected):
    """Something that is there already stands against it; the message names it."""


class TryLater(AttributionError):
    """Something outside is not ready; the work is due again later, where told so not before `again_after_s`."""

    def __init__(self, message: str = "", again_after_s: int | None = None) -> None:
        super().__init__(message)
        self.again_after_s = again_after_s


class CannotProcess(AttributionError):
    """No retry will help until the code or the facts change: dead letter."""


class Unreadable(CannotProcess):
    """A body lacks a field its type promises, or holds an impossible value. Names the path, never the value."""
