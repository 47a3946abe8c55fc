"""Who is signed in to the pages. A session ends by itself, by signing out, and with whatever opened it.

The cookie's value has 256 random bits and is kept as a digest only; the forms' own tokens are made of it.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from infra.access import Member, member_token_key
from infra.rows import fetch

#: A working day. Nothing prolongs a session.
LASTS = timedelta(hours=12)
_NOTICE_LENGTH_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser."""

    #: What its cookie holds; never logged, never shown.
    value: str = field(repr=False)
    #: A person's mail address, or a partner's member.
    who: str | Member
    opened_at: datetime
    #: To be said once, on the next page.
    notice: str | None

    @property
    def form_token(self) -> str:
        """What every form of this session must bring along."""
        return form_token(self.value)


def form_token(cookie: str) -> str:
    """A form's proof that it was made for the browser with this cookie."""
    return hmac.new(cookie.encode("utf-8", "surrogatepass"), b"form", hashlib.sha256).hexdigest()


def proves(cookie: str, token: str) -> bool:
    """Whether a form that brought `token` was made for the browser with this cookie."""
    return hmac.compare_digest(form_token(cookie).encode(), token.encode("utf-8", "surrogatepass"))


def new_value() -> str:
    """A value for a cookie that nobody can guess."""
    return secrets.token_urlsafe(32)


def open_for_person(connection: Connection, email: str, now: datetime) -> str:
    """Sign a person in; the cookie's value."""
    return _open(connection, now, email=email, token_key=None)


def open_for_member(connection: Connection, token: str, now: datetime) -> str | None:
    """Sign a partner's member in by their token; the cookie's value, None if the token opens nothing."""
    key = member_token_key(connection, token)
    return None if key is None else _open(connection, now, email=None, token_key=key)


def _open(connection: Connection, now: datetime, *, email: str | None, token_key: str | None) -> str:
    connection.execute(text("delete from sessions where expires_at <= :now"), {"now": now})
    value = new_value()
    connection.execute(
        text("""
            insert into sessions (digest, email, token_key, created_at, expires_at)
            values (:digest, :email, :token_key, :now, :until)
        """),
        {"digest": _digest(value), "email": email, "token_key": token_key, "now": now, "until": now + LASTS},
    )
    return value


def session_of(connection: Connection, value: str, now: datetime) -> Session | None:
    """The session of a cookie's value; None where it is over, or what opened it opens nothing any more."""
    found = fetch(
        connection,
        """
        select s.notice, s.created_at, p.email, m.partner_key, m.member_key from sessions s
        left join people p on p.email = s.email and p.disabled_at is null
        left join member_tokens t on t.key = s.token_key and t.revoked_at is null
        left join partner_members m on m.partner_key = t.partner_key and m.member_key = t.member_key
            and m.removed_at is null
        where s.digest = :digest and s.expires_at > :now and (p.email is not null or m.member_key is not null)
        """,
        digest=_digest(value),
        now=now,
    )
    if not found:
        return None
    row = found[0]
    return Session(value, row.email or Member(row.partner_key, row.member_key), row.created_at, row.notice)


def end(connection: Connection, value: str) -> None:
    """Sign out."""
    connection.execute(text("delete from sessions where digest = :digest"), {"digest": _digest(value)})


def end_all_of(connection: Connection, email: str) -> None:
    """Sign a person out everywhere."""
    connection.execute(text("delete from sessions where email = :email"), {"email": email})


def set_notice(connection: Connection, session: Session, notice: str | None) -> None:
    """What the session's next page is to say; None once it has been said."""
    said = notice if notice is None else notice[:_NOTICE_LENGTH_MAX]
    statement = text("update sessions set notice = :notice where digest = :digest")
    connection.execute(statement, {"notice": said, "digest": _digest(session.value)})


def add_notice(connection: Connection, session: Session, notice: str) -> None:
    """What the next page is to say, unless something that was done waits to be said already."""
    statement = text("update sessions set notice = coalesce(notice, :notice) where digest = :digest")
    connection.execute(statement, {"notice": notice, "digest": _digest(session.value)})


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
