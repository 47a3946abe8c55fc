"""The one error of the embedded servers."""

from domain.errors import AttributionError


class ServersUnavailable(AttributionError):
    """The embedded servers cannot run; the message says why and what to do about it."""
