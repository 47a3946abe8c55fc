"""People of the company who sign in to the pages: passwords as Argon2id digests, never anything else."""

import argon2
from sqlalchemy import Connection, text

from domain.errors import Conflict, Rejected
from domain.problems import is_storable
from infra.rows import fetch

PASSWORD_LENGTH_MIN = 12
_PASSWORD_LENGTH_MAX = 1_000
_EMAIL_LENGTH_MAX = 320


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
