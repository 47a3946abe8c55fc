"""Idempotency-Key: the same key and request, the same answer, whatever happened to the first one on its way back.

An answer is kept in the transaction that did the work, for a day, and only where the work was done: a request that
was refused changed nothing and is judged anew. Whoever sends a key that is being worked on waits for its answer.
An answer with a secret is sealed with what only the caller has: whoever reads the database reads nothing in it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from cryptography.fernet import Fernet
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import Conflict, Rejected
from infra.retries import LOCK_NOT_AVAILABLE, sqlstate_of
from infra.rows import fetch

KEPT_FOR = timedelta(hours=24)
KEY_LENGTH_MAX = 255
REPLAYED = "idempotent-replayed"
#: How what is sealed begins; no JSON does.
_SEALED = b"gAAAA"
#: Old answers that one request clears away: more than it adds.
_CLEARED_COUNT = 20


@dataclass(frozen=True, slots=True)
class Repeatable:
    """One request that may come again."""

    actor: str
    key: str
    digest: bytes
    #: What the caller has and we do not keep: the secret of an API key, the cookie of a session.
    credential: str = field(repr=False)
    #: Of the bytes as they came: what was kept by versions before this one.
    digest_of_bytes: bytes = b""


def repeatable(request: Request, body: bytes, actor: str) -> Repeatable | None:
    """The request if it is a POST that names a key. Raises Rejected for an unusable one."""
    key = request.headers.get("idempotency-key")
    if request.method != "POST" or key is None:
        return None
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise Rejected(f"must be 1 to {KEY_LENGTH_MAX} printable ASCII characters", "idempotency-key")
    place = f"POST {request.url.path}?{request.url.query}\n".encode("utf-8", "surrogateescape")
    meant, spelt = (hashlib.sha256(place + said).digest() for said in (_meant(body), body))
    credential = request.headers.get("authorization", "").partition(" ")[2].strip()
    return Repeatable(actor, key, meant, credential, spelt)


def _meant(body: bytes) -> bytes:
    """The same for every spelling of one JSON document; what is none is as it came."""
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return body


def lock_of(actor: str, key: str) -> int:
    """What one transaction holds while it does what this caller asks with this key."""
    return int.from_bytes(hashlib.sha256(f"{actor}\n{key}".encode()).digest()[:8], "big", signed=True)


def earlier_answer(connection: Connection, asked: Repeatable, now: datetime) -> Response | None:
    """The answer the same request got before. Waits for one that is under way. Raises Conflict for another request."""
    lock = {"lock": lock_of(asked.actor, asked.key)}
    try:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), lock)
    except OperationalError as error:
        if sqlstate_of(error) != LOCK_NOT_AVAILABLE:
            raise
        raise Conflict("a request with this Idempotency-Key is still being worked on; send it again later") from None
    found = fetch(
        connection,
        "select * from idempotent_answers where actor = :actor and idempotency_key = :key and created_at > :since",
        actor=asked.actor,
        key=asked.key,
        since=now - KEPT_FOR,
    )
    if not found:
        return None
    if bytes(found[0].request_digest) not in (asked.digest, asked.digest_of_bytes):
        raise Conflict("this Idempotency-Key was used for another request; use a new one", "idempotency-key")
    if found[0].answer is None:
        raise Conflict("this request was done, and its answer is not kept any more; read what it made")
    said = bytes(found[0].answer)
    said = _seal(asked).decrypt(said) if said.startswith(_SEALED) else said
    return Response(said, found[0].status, {REPLAYED: "true"}, "application/json")


def keep_answer(connection: Connection, asked: Repeatable, answer: Response, *, is_secret: bool, now: datetime) -> None:
    """Keep what is about to be answered, and clear some of what is too old."""
    connection.execute(
        text("""
            with cleared as (
                delete from idempotent_answers where (actor, idempotency_key) in (
                    select actor, idempotency_key from idempotent_answers where created_at <= :until
                    and (actor, idempotency_key) <> (:actor, :key)
                    order by created_at limit :count for update skip locked
                )
            )
            insert into idempotent_answers (actor, idempotency_key, request_digest, status, answer, created_at)
            values (:actor, :key, :digest, :status, :answer, :now)
            on conflict (actor, idempotency_key) do update set request_digest = excluded.request_digest,
                status = excluded.status, answer = excluded.answer, created_at = excluded.created_at
        """),
        {
            "actor": asked.actor,
            "key": asked.key,
            "digest": asked.digest,
            "status": answer.status_code,
            "answer": _seal(asked).encrypt(bytes(answer.body)) if is_secret else bytes(answer.body),
            "until": now - KEPT_FOR,
            "count": _CLEARED_COUNT,
            "now": now,
        },
    )


def _seal(asked: Repeatable) -> Fernet:
    key = hmac.new(asked.credential.encode("utf-8", "surrogateescape"), b"kept answers", hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(key))
