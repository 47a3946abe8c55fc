"""API keys and members' tokens: made at random, kept as digests only, shown once, revocable.

A secret has 256 random bits, so one SHA-256 protects it as well as any slow hash would.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import Missing, Rejected
from infra.rows import fetch

_SECRET_BYTES = 32
_NOBODY = hashlib.sha256(b"nobody").digest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key as it is shown once."""

    public_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Member:
    """Whom a token speaks for."""

    partner_key: str
    member_key: str


def create_api_key(connection: Connection, name: str | None) -> NewKey:
    """A new key for the management API; the secret is nowhere but in the answer."""
    key = NewKey(f"pub_{secrets.token_hex(12)}", f"sec_{secrets.token_urlsafe(_SECRET_BYTES)}")
    statement = "insert into api_keys (public_key, secret_digest, name) values (:public_key, :digest, :name)"
    connection.execute(text(statement), {"public_key": key.public_key, "digest": _digest(key.secret_key), "name": name})
    return key


def list_api_keys(connection: Connection) -> Sequence[Any]:
    """(public_key, name, created_at, revoked_at) of every key there ever was, newest first."""
    return fetch(
        connection, "select public_key, name, created_at, revoked_at from api_keys order by created_at desc, public_key"
    )


def revoke_api_key(connection: Connection, public_key: str, now: datetime) -> bool:
    """Let the key open nothing from now on; False if it was revoked already. Raises Missing for an unknown one."""
    if not fetch(connection, "select 1 from api_keys where public_key = :key", key=public_key):
        raise Missing(f"there is no API key {public_key}; `attribution keys list` shows those there are", "public_key")
    statement = "update api_keys set revoked_at = :now where public_key = :key and revoked_at is null"
    return connection.execute(text(statement), {"key": public_key, "now": now}).rowcount == 1


def holds_api_key(connection: Connection, public_key: str, secret_key: str) -> bool:
    """Whether the pair opens the management API. An unknown key costs the same work as a wrong secret."""
    statement = "select secret_digest from api_keys where public_key = :key and revoked_at is null"
    found = fetch(connection, statement, key=public_key)
    expected = bytes(found[0].secret_digest) if found else _NOBODY
    return hmac.compare_digest(expected, _digest(secret_key)) and bool(found)


def create_member_token(connection: Connection, partner_key: str, member_key: str) -> tuple[str, str]:
    """(key, token) of a new bearer token of a partner's member. Raises Rejected where there is no such member."""
    members = fetch(
        connection,
        "select 1 from partner_members where partner_key = :partner and member_key = :member and removed_at is null",
        partner=partner_key,
        member=member_key,
    )
    if not members:
        raise Rejected("is no member of this partnership; add it to the partnership's members first", "member_key")
    key, token = f"tok_{secrets.token_hex(12)}", f"mem_{secrets.token_urlsafe(_SECRET_BYTES)}"
    row = {"key": key, "digest": _digest(token), "partner_key": partner_key, "member_key": member_key}
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"insert into member_tokens ({columns}) values ({values})"), row)
    return key, token


def member_of(connection: Connection, token: str) -> Member | None:
    """Whom the token speaks for; None if it is unknown, revoked, or its member was removed."""
    found = _working_token(connection, token)
    return Member(found.partner_key, found.member_key) if found else None


def member_token_key(connection: Connection, token: str) -> str | None:
    """The key of a token that speaks for somebody."""
    found = _working_token(connection, token)
    return str(found.key) if found else None


def _working_token(connection: Connection, token: str) -> Any | None:
    found = fetch(
        connection,
        """
        select t.key, t.partner_key, t.member_key from member_tokens t
        join partner_members m using (partner_key, member_key)
        where t.digest = :digest and t.revoked_at is null and m.removed_at is null
        """,
        digest=_digest(token),
    )
    return found[0] if found else None


def revoke_member_token(connection: Connection, partner_key: str, key: str, now: datetime) -> bool:
    """Let the token open nothing from now on; False if it was revoked already. Raises Missing for an unknown one."""
    owned = {"key": key, "partner": partner_key}
    if not fetch(connection, "select 1 from member_tokens where key = :key and partner_key = :partner", **owned):
        raise Missing(f"partner {partner_key} has no token {key}", "token_key")
    statement = "update member_tokens set revoked_at = :now where key = :key and revoked_at is null"
    return connection.execute(text(statement), {"key": key, "now": now}).rowcount == 1


def revoke_tokens_of_member(connection: Connection, partner_key: str, member_key: str, now: datetime) -> None:
    """Let no token of the member's that there is so far open anything from now on."""
    statement = """
        update member_tokens set revoked_at = :now
        where partner_key = :partner and member_key = :member and revoked_at is null
    """
    connection.execute(text(statement), {"partner": partner_key, "member": member_key, "now": now})


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
