"""Stripe's webhook signatures, checked over the raw bytes.

Stricter than the SDK's verifier on purpose: the window has two sides, an empty secret is refused, the header is
capped, and bytes are compared, so that neither a header nor a body can make it raise.
Source: https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

#: Seconds a signature may lie in the past or in the future.
TOLERANCE_S = 300
HEADER_BYTES_MAX = 4096
SIGNATURES_MAX = 8

_TIMESTAMP = re.compile(rb"[0-9]{1,12}")


class Refusal(StrEnum):
    """Why a delivery is not believed. For counters and logs: the sender learns none of it."""

    #: No `Stripe-Signature` at all: a scanner, or a proxy that drops headers.
    NO_HEADER = "no_header"
    #: Not `t=...,v1=...`, too long, or too many signatures.
    MALFORMED_HEADER = "malformed_header"
    #: No configured secret made any of the signatures: another endpoint's secret, or a body altered on its way.
    NO_MATCH = "no_match"
    #: Truly signed, but more than the tolerance ago: a replay, or this machine's clock is ahead.
    TOO_OLD = "too_old"
    #: Truly signed, but for the future: the signer's clock is ahead, or this machine's is behind.
    TOO_NEW = "too_new"


@dataclass(frozen=True, slots=True)
class SignatureHeader:
    """A well-formed header: the timestamp exactly as sent (it is signed as text), and every `v1` signature."""

    timestamp: bytes
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """A believed delivery: which secret made it, and how far our clock is ahead of the signer's, in seconds."""

    fingerprint: str
    skew_s: float


def read_header(header: bytes | None) -> SignatureHeader | Refusal:
    """Take a `Stripe-Signature` apart; cheap, and done before the body is read."""
    if not header:
        return Refusal.NO_HEADER
    if len(header) > HEADER_BYTES_MAX:
        return Refusal.MALFORMED_HEADER
    timestamps: list[bytes] = []
    signatures: list[bytes] = []
    for item in header.split(b","):
        scheme, equals, value = item.partition(b"=")
        if not equals:
            return Refusal.MALFORMED_HEADER
        if scheme == b"t":
            timestamps.append(value)
        elif scheme == b"v1":
            signatures.append(value)
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]) or not 1 <= len(signatures) <= SIGNATURES_MAX:
        return Refusal.MALFORMED_HEADER
    return SignatureHeader(timestamps[0], tuple(signatures))


class StripeVerifier:
    """Believes what any of the given secrets signed. Raises `ValueError` when there is none, or a blank one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple((secret.encode(), fingerprint(secret)) for secret in secrets)
        if not self._secrets:
            raise ValueError("a verifier needs at least one signing secret")
        if any(not secret.strip() for secret, _ in self._secrets):
            raise ValueError("an empty signing secret would verify anything")

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of every secret that is believed."""
        return tuple(name for _, name in self._secrets)

    def verify(self, header: SignatureHeader, body: bytes, now_s: float) -> Verified | Refusal:
        """Whether `body` is what a known secret signed within the tolerance around `now_s` (Unix seconds).

        The window is judged last: a refusal for time is then never forged, and means that a clock is wrong.
        """
        message = header.timestamp + b"." + body
        matched = None
        for secret, name in self._secrets:
            expected = hmac.digest(secret, message, "sha256").hex().encode()
            for signature in header.signatures:
                if hmac.compare_digest(expected, signature) and matched is None:
                    matched = name
        if matched is None:
            return Refusal.NO_MATCH
        skew_s = now_s - int(header.timestamp)
        if skew_s > TOLERANCE_S:
            return Refusal.TOO_OLD
        return Refusal.TOO_NEW if skew_s < -TOLERANCE_S else Verified(matched, skew_s)


def fingerprint(secret: str) -> str:
    """A short name for a secret that gives nothing of it away: it says which of several is still in use."""
    return hashlib.sha256(b"stripe webhook secret\0" + secret.encode()).hexdigest()[:12]


def sign(body: bytes, secret: str, timestamp_s: int) -> str:
    """The `Stripe-Signature` header Stripe itself would send with `body`; for tests, the demo and replays by hand."""
    signature = hmac.digest(secret.encode(), b"%d.%s" % (timestamp_s, body), "sha256").hex()
    return f"t={timestamp_s},v1={signature}"
