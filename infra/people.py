"""People of the company who sign in to the pages: passwords as Argon2id digests, never anything else."""

import functools
import secrets
import threading
from datetime import datetime

import argon2
from sqlalchemy import Connection, text

from domain.errors import Conflict, Missing, Rejected, TryLater
from domain.problems import is_storable
from infra.rows import fetch
from infra.sessions import end_all_of

PASSWORD_LENGTH_MIN = 12
_PASSWORD_LENGTH_MAX = 1_000
_EMAIL_LENGTH_MAX = 320
#: Passwords checked at once: each takes 64 MiB and a whole core for its time.
_CHECKS = threading.Semaphore(2)
#: How long a check waits for its turn.
_TURN_WITHIN_S = 2.0


def create_person(connection: Connection, email: str, password: str, name: str | None = None) -> str:
    """Add somebody; their mail address as it is kept, in lower case. Raises Rejected, or Conflict if they are there."""
    address = email.strip().lower()
    user, at, host = address.partition("@")
    if not (user and at and host) or len(address) > _EMAIL_LENGTH_MAX or not is_storable(address) or " " in address:
        raise Rejected("must be an e-mail address, such as ada@example.com", "email")
    digest = _digest_of(password)
    if name is not None and not is_storable(name):
        raise Rejected("must be plain text", "name")
    if _is_there(connection, address):
        raise Conflict(f"{address} is a user already", "email")
    statement = "insert into people (email, name, password_digest) values (:email, :name, :digest)"
    connection.execute(text(statement), {"email": address, "name": name, "digest": digest})
    return address


def change_password(connection: Connection, email: str, password: str) -> str:
    """Let somebody sign in with this password alone, also if they were shut out. Raises Rejected, or Missing.

    Wherever they are signed in, they are signed out.
    """
    digest = _digest_of(password)
    address = _known(connection, email)
    statement = "update people set password_digest = :digest, disabled_at = null where email = :email"
    connection.execute(text(statement), {"email": address, "digest": digest})
    end_all_of(connection, address)
    return address


def shut_out(connection: Connection, email: str, now: datetime) -> str:
    """Let somebody in no more, and sign them out. Raises Missing."""
    address = _known(connection, email)
    statement = "update people set disabled_at = coalesce(disabled_at, :now) where email = :email"
    connection.execute(text(statement), {"email": address, "now": now})
    end_all_of(connection, address)
    return address


def _known(connection: Connection, email: str) -> str:
    address = email.strip().lower()
    if not (is_storable(address) and _is_there(connection, address)):
        raise Missing("nobody signs in with this address; `attribution users create` adds somebody", "email")
    return address


def _is_there(connection: Connection, address: str) -> bool:
    return bool(fetch(connection, "select 1 from people where email = :email", email=address))


def _digest_of(password: str) -> str:
    if not PASSWORD_LENGTH_MIN <= len(password) <= _PASSWORD_LENGTH_MAX:
        raise Rejected(f"must have {PASSWORD_LENGTH_MIN} to {_PASSWORD_LENGTH_MAX} characters", "password")
    return argon2.PasswordHasher().hash(password.encode("utf-8", "surrogatepass"))


def person_of(connection: Connection, email: str, password: str) -> str | None:
    """The mail address of whoever signs in so; None if that is nobody. An unknown one costs as much as a wrong one.

    Raises TryLater while too many passwords are being checked.
    """
    address = email.strip().lower()
    asked = is_storable(address) and len(address) <= _EMAIL_LENGTH_MAX and len(password) <= _PASSWORD_LENGTH_MAX
    statement = "select password_digest from people where email = :email and disabled_at is null"
    found = fetch(connection, statement, email=address) if asked else []
    if not _CHECKS.acquire(timeout=_TURN_WITHIN_S):
        raise TryLater("too many people are signing in")
    try:
        fits = _fits(found[0].password_digest if found else _nobodys_digest(), password[:_PASSWORD_LENGTH_MAX])
    finally:
        _CHECKS.release()
    return address if found and fits else None


def _fits(digest: str, password: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(digest, password.encode("utf-8", "surrogatepass"))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


@functools.cache
def _nobodys_digest() -> str:
    return argon2.PasswordHasher().hash(secrets.token_hex())
