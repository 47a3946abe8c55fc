"""Who is signed in to the pages: a row per browser, found by the digest of what its cookie holds."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text, func

from infra.tables.columns import at, metadata

sessions = Table(
    "sessions",
    metadata,
    #: SHA-256 of the cookie's value, which is random and long.
    Column("digest", LargeBinary, primary_key=True),
    #: Either a person of the company, or a partner's member by the token that opened the session.
    Column("email", Text, ForeignKey("people.email", name="sessions_email_fkey")),
    Column("token_key", Text, ForeignKey("member_tokens.key", name="sessions_token_key_fkey")),
    at("created_at", server_default=func.now()),
    at("expires_at"),
    #: What the next page says once: the outcome of what was just done.
    Column("notice", Text),
    CheckConstraint("(email is null) <> (token_key is null)", name="one_side"),
    Index("sessions_by_expiry", "expires_at"),
)
