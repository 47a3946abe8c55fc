"""Chargebee's deliveries are believed by user and password alone (HTTP Basic): it signs nothing and dates nothing.

Every configured pair is compared, user and password both, whatever matched before: the time taken says nothing of
which part was wrong. What is compared are keyed digests, so that it says nothing of lengths either.
Source: https://www.rfc-editor.org/rfc/rfc7617
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

HEADER_BYTES_MAX = 4096

_BASIC = re.compile(rb"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2}) *")


class Refusal(StrEnum):
    """Why a delivery is not believed. For counters and logs: the sender learns none of it."""

    #: No `Authorization` at all: a scanner, or an endpoint set up without user and password.
    NO_HEADER = "no_header"
    #: Another scheme, not base64, no colon, or too long.
    MALFORMED_HEADER = "malformed_header"
    #: Nobody configured has this user and password.
    NO_MATCH = "no_match"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a well-formed header says, as bytes: a password may hold colons and need not be UTF-8."""

    user: bytes
    password: bytes


def read_header(header: bytes | None) -> Credentials | Refusal:
    """Take an `Authorization` header apart; cheap, and done before the body is read."""
    if not header:
        return Refusal.NO_HEADER
    found = _BASIC.fullmatch(header) if len(header) <= HEADER_BYTES_MAX else None
    if found is None:
        return Refusal.MALFORMED_HEADER
    try:
        user, colon, password = base64.b64decode(found[1], validate=True).partition(b":")
    except binascii.Error:
        return Refusal.MALFORMED_HEADER
    return Credentials(user, password) if colon else Refusal.MALFORMED_HEADER


class ChargebeeVerifier:
    """Believes any of the given (user, password) pairs. Raises `ValueError` when there is none, or a blank part."""

    def __init__(self, users: Iterable[tuple[str, str]]) -> None:
        self._key = secrets.token_bytes(32)
        pairs = tuple(users)
        if not pairs:
            raise ValueError("a verifier needs at least one user and password")
        if any(not user.strip() or not password.strip() for user, password in pairs):
            raise ValueError("an empty user or password would let anybody in")
        self._pairs = tuple(
            (self._digest(user.encode()), self._digest(password.encode()), fingerprint(user))
            for user, password in pairs
        )

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of every pair that is believed."""
        return tuple(name for _, _, name in self._pairs)

    def verify(self, given: Credentials) -> str | Refusal:
        """The fingerprint of the pair that matches, or why none does."""
        user, password = self._digest(given.user), self._digest(given.password)
        matched = None
        for known_user, known_password, name in self._pairs:
            # `&`, not `and`: the second comparison is made whatever the first one says.
            if hmac.compare_digest(user, known_user) & hmac.compare_digest(password, known_password):
                matched = name
        return Refusal.NO_MATCH if matched is None else matched

    def _digest(self, value: bytes) -> bytes:
        return hashlib.blake2b(value, key=self._key).digest()


def fingerprint(user: str) -> str:
    """A short name for a pair, made of its user alone: passwords can be guessed, and this one is in the metrics."""
    return hashlib.sha256(b"chargebee webhook user\0" + user.encode()).hexdigest()[:12]


def authorization(user: str, password: str) -> str:
    """The `Authorization` header Chargebee itself would send; for tests, the demo and replays by hand."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
