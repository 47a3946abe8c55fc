"""Who is told by webhook: addresses of the company's own systems, each with the events it asked for and a secret.

The secret is signed with, and a digest would not do. It is sealed where there is a key, and shown once, when made.
"""

import base64
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import Conflict, Missing, Rejected
from domain.problems import Problems, quoted
from domain.windows import epoch_ms
from infra.outgoing.deliveries import bury_undeliverable
from infra.outgoing.seals import Seal
from infra.outgoing.targets import Network, check_target
from infra.rows import fetch

EVENT_TYPES = (
    "commission.created",
    "commission.paid",
    "commission.reversed",
    "commission.updated",
    "product.created",
    "product.deleted",
    "product.updated",
)
#: As many bytes as the signature has.
_SECRET_BYTES = 32
#: Every change is written once per endpoint.
ENDPOINTS_MAX = 20


def add_endpoint(
    connection: Connection,
    *,
    url: str,
    event_types: Sequence[str],
    active: bool = True,
    allowed: Sequence[Network],
    seal: Seal,
) -> dict[str, Any]:
    """Register an endpoint; as a document, with its `secret`, which is not shown again.

    Looks the host up. Raises RejectedDocument with every mistake.
    """
    url, chosen = _checked(url, event_types, allowed)
    count = fetch(connection, "select count(*) as n from webhook_endpoints where deleted_at is null")[0].n
    if count >= ENDPOINTS_MAX:
        raise Conflict(f"there are {ENDPOINTS_MAX} endpoints already; delete one that is not used", "url")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    row = fetch(
        connection,
        """
        insert into webhook_endpoints (key, url, event_types, active, secret)
        values ('whep_' || replace(gen_random_uuid()::text, '-', ''), :url, :event_types, :active, :secret)
        returning *
        """,
        url=url,
        event_types=chosen,
        active=active,
        secret=seal.close(secret),
    )[0]
    return {**document(row), "secret": secret}


def change_endpoint(
    connection: Connection,
    key: str,
    *,
    url: str | None = None,
    event_types: Sequence[str] | None = None,
    active: bool | None = None,
    allowed: Sequence[Network],
) -> dict[str, Any]:
    """Change what is given; as a document. What waits for an endpoint goes to its new address.

    Raises Missing for a key nobody knows, RejectedDocument with every mistake.
    """
    known = _row(connection, key, to_change=True)
    url, chosen = _checked(
        known.url if url is None else url, known.event_types if event_types is None else event_types, allowed
    )
    row = fetch(
        connection,
        """
        update webhook_endpoints set url = :url, event_types = :event_types, active = coalesce(:active, active),
            stopped_reason = case when coalesce(:active, active) then null else stopped_reason end
        where key = :key returning *
        """,
        key=key,
        url=url,
        event_types=chosen,
        active=active,
    )[0]
    return document(row)


def delete_endpoint(connection: Connection, key: str) -> None:
    """Forget an endpoint and its secret. What waits for it is dead; the history of its deliveries stays.

    Raises Missing for a key nobody knows.
    """
    _row(connection, key, to_change=True)
    connection.execute(
        text("update webhook_endpoints set active = false, secret = null, deleted_at = now() where key = :key"),
        {"key": key},
    )
    bury_undeliverable(connection)


def stop_endpoint(connection: Connection, key: str, reason: str) -> None:
    """Stop sending to an endpoint that asked for it; what waits for it goes on when somebody activates it again."""
    connection.execute(
        text("update webhook_endpoints set active = false, stopped_reason = :reason where key = :key and active"),
        {"key": key, "reason": reason},
    )


def find_endpoint(connection: Connection, key: str) -> dict[str, Any]:
    """One endpoint as a document. Raises Missing for a key nobody knows."""
    return document(_row(connection, key))


def document(row: Any) -> dict[str, Any]:
    """An endpoint as people see it; times in milliseconds, no secret."""
    return {
        "key": row.key,
        "url": row.url,
        "event_types": list(row.event_types),
        "active": row.active,
        "stopped_reason": row.stopped_reason,
        "created_at": epoch_ms(row.created_at),
    }


def _row(connection: Connection, key: str, *, to_change: bool = False) -> Any:
    # A stronger lock would wait for every transaction that has just written a delivery.
    lock = "for no key update" if to_change else ""
    found = fetch(
        connection, f"select * from webhook_endpoints where key = :key and deleted_at is null {lock}", key=key
    )
    if not found:
        raise Missing(f"no webhook endpoint is called {quoted(key)}", "key")
    return found[0]


def _checked(url: str, event_types: Sequence[str], allowed: Sequence[Network]) -> tuple[str, list[str]]:
    problems = Problems()
    try:
        url = check_target(url, allowed)
    except Rejected as error:
        problems.add("url", str(error))
    if not event_types:
        problems.add("event_types", f"names none; {_choice()}")
    for unknown in sorted(set(event_types) - set(EVENT_TYPES)):
        problems.add("event_types", f"there is no {quoted(unknown)}; {_choice()}")
    problems.raise_any()
    return url, sorted(set(event_types))


def _choice() -> str:
    return f"choose from {', '.join(EVENT_TYPES)}"
