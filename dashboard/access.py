"""Who calls: a program with an API key (HTTP Basic), a member of a partner with a bearer token, a person on the pages.

Each side's credentials open nothing of the other side; what is wrong with them is never said.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from infra.access import Member, holds_api_key, member_of

#: Longer credentials are nobody's.
_CREDENTIALS_LENGTH_MAX = 512


@dataclass(frozen=True, slots=True)
class Caller:
    """A program of the company."""

    public_key: str

    @property
    def actor(self) -> str:
        """As the audit names it."""
        return f"key:{self.public_key}"


@dataclass(frozen=True, slots=True)
class PartnerMember:
    """Somebody of a partner."""

    partner_key: str
    member_key: str

    @property
    def actor(self) -> str:
        """As the audit names it."""
        return f"member:{self.partner_key}/{self.member_key}"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the company who signed in to the pages."""

    email: str

    @property
    def actor(self) -> str:
        """As the audit names them."""
        return f"person:{self.email}"

    @property
    def logged_as(self) -> str:
        """As the log names them: no address."""
        return f"person:{hashlib.sha256(self.email.encode()).hexdigest()[:12]}"


class Unauthorized(HTTPException):
    """401, the same for every reason."""

    def __init__(self, challenge: str) -> None:
        super().__init__(401, "the credentials are missing or do not open this", {"www-authenticate": challenge})


BASIC_CHALLENGE = 'Basic realm="api", charset="UTF-8"'
BEARER_CHALLENGE = 'Bearer realm="partner"'


def basic_credentials(header: str | None) -> tuple[str, str] | None:
    """(public key, secret key) of an Authorization header; None if there are none."""
    encoded = _after_scheme(header, "basic")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if user and colon and password and user.isprintable() else None


def bearer_token(header: str | None) -> str | None:
    """The token of an Authorization header; None if there is none."""
    return _after_scheme(header, "bearer") or None


def _after_scheme(header: str | None, scheme: str) -> str:
    found, _, rest = (header or "").partition(" ")
    return rest.strip() if found.lower() == scheme and len(rest) <= _CREDENTIALS_LENGTH_MAX else ""


def caller_of(connection: Connection, header: str | None) -> Caller:
    """The program whose key the header holds. Raises Unauthorized."""
    credentials = basic_credentials(header)
    if credentials is None or not holds_api_key(connection, *credentials):
        raise Unauthorized(BASIC_CHALLENGE)
    return Caller(credentials[0])


def partner_member_of(connection: Connection, header: str | None) -> PartnerMember:
    """The member whose token the header holds. Raises Unauthorized."""
    token = bearer_token(header)
    member: Member | None = member_of(connection, token) if token is not None else None
    if member is None:
        raise Unauthorized(BEARER_CHALLENGE)
    return PartnerMember(member.partner_key, member.member_key)
