"""The audit: who changed what, written in the transaction that changes it."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, text

#: Whoever runs the command line.
OPERATOR = "operator"

_INSERT = """
    insert into audit_log (actor, action, subject, details, request_id)
    values (:actor, :action, :subject, cast(:details as jsonb), :request_id)
"""


def record_change(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    details: Mapping[str, object] | None = None,
    request_id: str | None = None,
) -> None:
    """One row. `details` names fields, never a mail, a name or a secret that is in them."""
    row = {"actor": actor, "action": action, "subject": subject, "request_id": request_id}
    connection.execute(text(_INSERT), {**row, "details": msgspec.json.encode(dict(details or {})).decode()})
