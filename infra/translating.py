"""What an envelope says, before anybody is asked for what it leaves out."""

from domain.errors import CannotProcess
from domain.facts import Fact, Missing, NotUsed
from infra.inbox import Envelope
from infra.providers.registry import TRANSLATORS
from infra.settings import Settings


def events_of(envelope: Envelope, settings: Settings) -> tuple[Fact, ...] | NotUsed | Missing:
    """The events in it; Missing where its provider must be asked first. Raises CannotProcess where nothing can read it.

    What is of another mode, or of an account that is not the program's, is not even read.
    """
    wanted = settings.stripe_mode
    if wanted != "any" and envelope.livemode is not None and envelope.livemode != (wanted == "live"):
        return NotUsed(f"an event of {'live' if envelope.livemode else 'test'} mode, and STRIPE_MODE is {wanted}")
    if envelope.account is not None and envelope.account not in settings.stripe_accounts:
        return NotUsed(f"an event of account {envelope.account}, which STRIPE_ACCOUNTS does not name")
    return translate(envelope, envelope.body())


def translate(envelope: Envelope, body: bytes, event_type: str | None = None) -> tuple[Fact, ...] | NotUsed | Missing:
    """The events that a body tells of, which may have been completed since it was received, and be of another type."""
    translator = TRANSLATORS.get(envelope.provider)
    if translator is None:
        raise CannotProcess(f"nothing translates events of {envelope.provider} yet")
    return translator(event_type or envelope.event_type, envelope.event_key, envelope.occurred_at, body)
