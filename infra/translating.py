"""What an envelope says, before anybody is asked for what it leaves out."""

from collections.abc import Iterable

from domain.errors import CannotProcess
from domain.facts import Fact, InvoicePaid, NotUsed
from infra.inbox import Envelope
from infra.providers.registry import TRANSLATORS
from infra.settings import Settings


def events_of(envelope: Envelope, settings: Settings) -> tuple[Fact, ...] | NotUsed:
    """The events in it. Raises CannotProcess for one that nothing can read."""
    wanted = settings.stripe_mode
    if wanted != "any" and envelope.livemode is not None and envelope.livemode != (wanted == "live"):
        return NotUsed(f"an event of {'live' if envelope.livemode else 'test'} mode, and STRIPE_MODE is {wanted}")
    return translate(envelope, envelope.body())


def translate(envelope: Envelope, body: bytes) -> tuple[Fact, ...] | NotUsed:
    """The events that a body tells of, which may have been completed since it was received."""
    translator = TRANSLATORS.get(envelope.provider)
    if translator is None:
        raise CannotProcess(f"nothing translates events of {envelope.provider} yet")
    return translator(envelope.event_type, envelope.event_key, envelope.occurred_at, body)


def with_lines_missing(events: Iterable[Fact]) -> str | None:
    """The invoice of which only the first page of lines is known."""
    return next((e.invoice_key for e in events if isinstance(e, InvoicePaid) and e.lines_missing), None)
