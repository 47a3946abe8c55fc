"""Let people and programs in: API keys, members and their tokens, people, kept answers, the audit.

Expands only: new tables that older processes know nothing of.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPEND_ONLY = """
create trigger audit_log_append_only before update or delete on audit_log
    for each row execute function refuse_change();
create trigger audit_log_never_emptied before truncate on audit_log
    for each statement execute function refuse_change();
"""


def upgrade() -> None:
    """Make the tables."""
    _limit_waiting()
    op.create_table(
        "api_keys",
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("secret_digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        _created_at(),
        _moment("revoked_at"),
        sa.PrimaryKeyConstraint("public_key", name=op.f("api_keys_pkey")),
    )
    _members()
    op.create_table(
        "people",
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("password_digest", sa.Text(), nullable=False),
        _created_at(),
        _moment("disabled_at"),
        sa.PrimaryKeyConstraint("email", name=op.f("people_pkey")),
    )
    op.create_table(
        "idempotent_answers",
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        _created_at(),
        sa.PrimaryKeyConstraint("actor", "idempotency_key", name=op.f("idempotent_answers_pkey")),
    )
    op.create_index("idempotent_answers_by_age", "idempotent_answers", ["created_at"])
    _audit()


def downgrade() -> None:
    """Take it back."""
    _limit_waiting()
    for table in ("audit_log", "idempotent_answers", "people", "member_tokens", "partner_members", "api_keys"):
        op.drop_table(table)


def _limit_waiting() -> None:
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def _created_at(name: str = "created_at") -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _members() -> None:
    op.create_table(
        "partner_members",
        sa.Column("partner_key", sa.Text(), nullable=False),
        sa.Column("member_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        _created_at(),
        _moment("removed_at"),
        sa.ForeignKeyConstraint(
            ["partner_key"], ["partners.partner_key"], name=op.f("partner_members_partner_key_fkey")
        ),
        sa.PrimaryKeyConstraint("partner_key", "member_key", name=op.f("partner_members_pkey")),
    )
    op.create_table(
        "member_tokens",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("partner_key", sa.Text(), nullable=False),
        sa.Column("member_key", sa.Text(), nullable=False),
        _created_at(),
        _moment("revoked_at"),
        sa.ForeignKeyConstraint(
            ["partner_key", "member_key"],
            ["partner_members.partner_key", "partner_members.member_key"],
            name="member_tokens_member_fkey",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("member_tokens_pkey")),
        sa.UniqueConstraint("digest", name=op.f("member_tokens_digest_key")),
    )
    op.create_index("member_tokens_by_member", "member_tokens", ["partner_key", "member_key"])


def _audit() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _created_at("at"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_log_pkey")),
    )
    op.create_index("audit_log_by_subject", "audit_log", ["subject", "id"])
    op.execute(APPEND_ONLY)
