"""People of the company who sign in to the pages: passwords as Argon2id digests, never anything else."""

import functools
import secrets
import threading

import argon2
from sqlalchemy import Connection, text

from domain.errors import Conflict, Rejected
from domain.problems import is_storable
from infra.rows import fetch

PASSWORD_LENGTH_MIN = 12
_PASSWORD_LENGTH_MAX = 1_000
_EMAIL_LENGTH_MAX = 320
#: Passwords checked at once: each takes 64 MiB and a whole core for its time.
_CHECKS = threading.Semaphore(2)


def create_person(connection: Connection, email: str, password: str, name: str | None = None) -> str:
    """Add somebody; their mail address as it is kept, in lower case. Raises Rejected, or Conflict if they are there."""
    address = email.strip().lower()
    user, at, host = address.partition("@")
    if not (user and at and host) or len(address) > _EMAIL_LENGTH_MAX or not is_storable(address) or " " in address:
        raise Rejected("must be an e-mail address, such as ada@example.com", "email")
    if not PASSWORD_LENGTH_MIN <= len(password) <= _PASSWORD_LENGTH_MAX:
        raise Rejected(f"must have {PASSWORD_LENGTH_MIN} to {_PASSWORD_LENGTH_MAX} characters", "password")
    if name is not None and not is_storable(name):
        raise Rejected("must be plain text", "name")
    if fetch(connection, "select 1 from people where email = :email", email=address):
        raise Conflict(f"{address} is a user already", "email")
    digest = argon2.PasswordHasher().hash(password)
    statement = "insert into people (email, name, password_digest) values (:email, :name, :digest)"
    connection.execute(text(statement), {"email": address, "name": name, "digest": digest})
    return address


def person_of(connection: Connection, email: str, password: str) -> str | None:
    """The mail address of whoever signs in so; None if that is nobody. An unknown one costs as much as a wrong one."""
    address = email.strip().lower()
    asked = is_storable(address) and len(address) <= _EMAIL_LENGTH_MAX and len(password) <= _PASSWORD_LENGTH_MAX
    statement = "select password_digest from people where email = :email and disabled_at is null"
    found = fetch(connection, statement, email=address) if asked else []
    with _CHECKS:
        fits = _fits(found[0].password_digest if found else _nobodys_digest(), password[:_PASSWORD_LENGTH_MAX])
    return address if found and fits else None


def _fits(digest: str, password: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(digest, password.encode("utf-8", "surrogatepass"))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


@functools.cache
def _nobodys_digest() -> str:
    return argon2.PasswordHasher().hash(secrets.token_hex())
