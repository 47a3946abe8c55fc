"""Who may come in, and what they did: keys and tokens by digest only, people, answers kept for repeats, the audit."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from infra.tables.columns import at, metadata

#: Keys of programs that use the management API.
api_keys = Table(
    "api_keys",
    metadata,
    Column("public_key", Text, primary_key=True),
    #: SHA-256 of the secret, which is random and long: nothing slower would make it safer.
    Column("secret_digest", LargeBinary, nullable=False),
    Column("name", Text),
    at("created_at", server_default=func.now()),
    at("revoked_at", nullable=True),
)

#: Bearer tokens of partners' members.
member_tokens = Table(
    "member_tokens",
    metadata,
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("partner_key", Text, nullable=False),
    Column("member_key", Text, nullable=False),
    at("created_at", server_default=func.now()),
    at("revoked_at", nullable=True),
    ForeignKeyConstraint(
        ["partner_key", "member_key"],
        ["partner_members.partner_key", "partner_members.member_key"],
        name="member_tokens_member_fkey",
    ),
    Index("member_tokens_by_member", "partner_key", "member_key"),
)

#: People of the company who sign in to the pages.
people = Table(
    "people",
    metadata,
    #: In lower case.
    Column("email", Text, primary_key=True),
    Column("name", Text),
    #: Argon2id with its salt and parameters.
    Column("password_digest", Text, nullable=False),
    at("created_at", server_default=func.now()),
    at("disabled_at", nullable=True),
)

#: Answers to POSTs that named an Idempotency-Key, written together with what the POST did.
idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    #: What the caller was told; sealed if it holds a secret. Null: it named a person who was erased since.
    Column("answer", LargeBinary),
    at("created_at", server_default=func.now()),
    Index("idempotent_answers_by_age", "created_at"),
)

#: Who changed what; only added to.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    at("at", server_default=func.now()),
    #: `key:<public key>`, `person:<mail>`, `member:<partner>/<member>` or `operator`.
    Column("actor", Text, nullable=False),
    #: `product_book.created`
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default="{}"),
    Column("request_id", Text),
    Index("audit_log_by_subject", "subject", "id"),
)
