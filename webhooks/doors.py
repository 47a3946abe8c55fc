"""One door per provider: what a delivery must show before its body is read, and what makes its body believed.

A provider without a secret has no door, and its path answers 404: there is no way to turn verification off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from infra.providers.chargebee import envelope as chargebee_envelope
from infra.providers.chargebee import verify as chargebee_verify
from infra.providers.chargebee.verify import ChargebeeVerifier
from infra.providers.exact import MalformedEvent
from infra.providers.stripe.envelope import read_envelope
from infra.providers.stripe.verify import Refusal, StripeVerifier, read_header
from infra.settings import Settings
from webhooks.inbox_writer import Row

#: The reason of a delivery that shows no secret we know: either provider's word for it.
NO_MATCH = "no_match"

#: Header names are lower case. A name that came twice is in `Headers` as None.
Headers = Mapping[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A delivery that is not believed: the status it gets, and the reason it does not get to know.

    `skew_s`: how far our clock is ahead of a true signature's, where that is the reason.
    """

    status: int
    reason: str
    skew_s: float | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A believed delivery, ready to be stored. `skew_s`: how far our clock is ahead of the sender's, if it says."""

    row: Row
    skew_s: float | None


#: Takes the body and the present Unix time in seconds.
Admit = Callable[[bytes, float], Admitted | TurnedAway]


class Door(Protocol):
    """What a provider needs to have webhooks here. `fingerprints`: of the secrets that are believed."""

    provider: str
    fingerprints: tuple[str, ...]

    def screen(self, headers: Headers) -> Admit | TurnedAway:
        """Judge the headers alone, cheaply; what comes back judges the body."""


class StripeDoor:
    """Stripe: signed headers over the raw body."""

    provider = "stripe"

    def __init__(self, verifier: StripeVerifier) -> None:
        self._verifier = verifier
        self.fingerprints = verifier.fingerprints

    def screen(self, headers: Headers) -> Admit | TurnedAway:
        """Refuses what has no well-formed signature header."""
        value = headers.get(b"stripe-signature", b"")
        header = Refusal.MALFORMED_HEADER if value is None else read_header(value)
        if isinstance(header, Refusal):
            return TurnedAway(400, header.value)

        def admit(body: bytes, now_s: float) -> Admitted | TurnedAway:
            verdict = self._verifier.verify(header, body, now_s)
            if isinstance(verdict, Refusal):
                is_of_time = verdict in (Refusal.TOO_OLD, Refusal.TOO_NEW)
                return TurnedAway(400, verdict.value, now_s - int(header.timestamp) if is_of_time else None)
            return self._read(body, verdict.fingerprint, verdict.skew_s)

        return admit

    def _read(self, body: bytes, fingerprint: str, skew_s: float) -> Admitted | TurnedAway:
        try:
            envelope = read_envelope(body)
        except MalformedEvent:
            return TurnedAway(400, "malformed_event")
        row = Row(
            provider=self.provider,
            event_key=envelope.event_key,
            event_type=envelope.event_type,
            account=envelope.account,
            livemode=envelope.livemode,
            api_version=envelope.api_version,
            occurred_at=envelope.occurred_at,
            secret_fingerprint=fingerprint,
            body=body,
        )
        return Admitted(row, skew_s)


class ChargebeeDoor:
    """Chargebee: user and password, all there is. Whoever is not known is told how to ask (401), before the body."""

    provider = "chargebee"

    def __init__(self, verifier: ChargebeeVerifier) -> None:
        self._verifier = verifier
        self.fingerprints = verifier.fingerprints

    def screen(self, headers: Headers) -> Admit | TurnedAway:
        """Refuses whoever does not show a configured user and password."""
        value = headers.get(b"authorization", b"")
        malformed = chargebee_verify.Refusal.MALFORMED_HEADER
        given = malformed if value is None else chargebee_verify.read_header(value)
        verdict = given if isinstance(given, chargebee_verify.Refusal) else self._verifier.verify(given)
        if isinstance(verdict, chargebee_verify.Refusal):
            return TurnedAway(401, verdict.value)
        return lambda body, _now_s: self._read(body, verdict)

    def _read(self, body: bytes, fingerprint: str) -> Admitted | TurnedAway:
        try:
            envelope = chargebee_envelope.read_envelope(body)
        except MalformedEvent:
            return TurnedAway(400, "malformed_event")
        row = Row(
            provider=self.provider,
            event_key=envelope.event_key,
            event_type=envelope.event_type,
            account=None,
            livemode=None,
            api_version=envelope.api_version,
            occurred_at=envelope.occurred_at,
            secret_fingerprint=fingerprint,
            body=body,
        )
        return Admitted(row, skew_s=None)


def doors_of(settings: Settings) -> dict[str, Door]:
    """The doors the settings hold a secret for, by path."""
    doors: list[Door] = []
    if settings.stripe_webhook_secrets:
        doors.append(StripeDoor(StripeVerifier(settings.stripe_webhook_secrets)))
    if settings.chargebee_webhook_users:
        doors.append(ChargebeeDoor(ChargebeeVerifier(settings.chargebee_webhook_users)))
    return {f"/webhooks/{door.provider}": door for door in doors}
