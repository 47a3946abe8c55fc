"""Who is told by webhook: addresses of the company's own systems, each with the events it asked for and a secret.

The secret is signed with, and a digest would not do. It is sealed where there is a key, and shown once, when made.
While another takes its place both sign: a receiver that has either verifies what it gets.
"""

import base64
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import Conflict, Missing, Rejected
from domain.problems import Problems, quoted
from domain.windows import epoch_ms
from infra.outgoing.deliveries import bury_undeliverable
from infra.outgoing.seals import Seal
from infra.outgoing.targets import Network, check_target
from infra.rows import fetch, run

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
#: How long an earlier secret may go on signing.
OVERLAP_MAX = timedelta(days=30)
#: So many earlier secrets sign at a time: each adds a signature to the header.
EARLIER_SECRETS_MAX = 4

#: What `document` takes.
ENDPOINTS = """
    select e.*, (select max(signs_until) from webhook_earlier_secrets
        where endpoint_key = e.key and signs_until > now()) as earlier_secret_until
    from webhook_endpoints e where deleted_at is null
"""


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
    secret = _new_secret()
    row = fetch(
        connection,
        """
        insert into webhook_endpoints (key, url, event_types, active, secret)
        values ('whep_' || replace(gen_random_uuid()::text, '-', ''), :url, :event_types, :active, :secret)
        returning key
        """,
        url=url,
        event_types=chosen,
        active=active,
        secret=seal.close(secret),
    )[0]
    return {**find_endpoint(connection, row.key), "secret": secret}


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
    run(
        connection,
        """
        update webhook_endpoints set url = :url, event_types = :event_types, active = coalesce(:active, active),
            stopped_reason = case when coalesce(:active, active) then null else stopped_reason end
        where key = :key
        """,
        key=key,
        url=url,
        event_types=chosen,
        active=active,
    )
    return find_endpoint(connection, key)


def rotate_secret(connection: Connection, key: str, *, overlap: timedelta, seal: Seal) -> dict[str, Any]:
    """Give an endpoint another secret; as a document, with its `secret`, which is not shown again.

    What it had before signs beside it for the length of `overlap`, those of earlier rotations for as long as was said
    then; without an overlap none of them signs any more, and all are erased. Raises Missing, and Conflict where too
    many still sign.
    """
    known = _row(connection, key, to_change=True)
    forget_earlier_secrets(connection)
    if not overlap:
        _forget_secrets_of(connection, key)
    else:
        _keep_signing(connection, key, known.secret, overlap)
    secret = _new_secret()
    run(
        connection, "update webhook_endpoints set secret = :secret where key = :key", key=key, secret=seal.close(secret)
    )
    return {**find_endpoint(connection, key), "secret": secret}


def _keep_signing(connection: Connection, key: str, stored: str, overlap: timedelta) -> None:
    earlier = fetch(
        connection,
        "select count(*) as n, min(signs_until) as first from webhook_earlier_secrets where endpoint_key = :key",
        key=key,
    )[0]
    if earlier.n >= EARLIER_SECRETS_MAX:
        raise Conflict(
            f"{EARLIER_SECRETS_MAX} earlier secrets still sign, the first until {earlier.first:%Y-%m-%d %H:%M} UTC; "
            "wait for that, or say that none of them shall sign any more",
            "overlap_hours",
        )
    run(
        connection,
        """
        insert into webhook_earlier_secrets (endpoint_key, secret, signs_until) values (:key, :stored, now() + :overlap)
        """,
        key=key,
        stored=stored,
        overlap=overlap,
    )


def forget_earlier_secrets(connection: Connection) -> int:
    """Erase the earlier secrets that sign no more; how many."""
    return run(connection, "delete from webhook_earlier_secrets where signs_until <= now()")


def _forget_secrets_of(connection: Connection, key: str) -> None:
    run(connection, "delete from webhook_earlier_secrets where endpoint_key = :key", key=key)


def delete_endpoint(connection: Connection, key: str) -> None:
    """Forget an endpoint and its secrets. What waits for it is dead; the history of its deliveries stays.

    Raises Missing for a key nobody knows.
    """
    _row(connection, key, to_change=True)
    connection.execute(
        text("update webhook_endpoints set active = false, secret = null, deleted_at = now() where key = :key"),
        {"key": key},
    )
    _forget_secrets_of(connection, key)
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
        "earlier_secret_until": None if row.earlier_secret_until is None else epoch_ms(row.earlier_secret_until),
    }


def _row(connection: Connection, key: str, *, to_change: bool = False) -> Any:
    # A stronger lock would wait for every transaction that has just written a delivery.
    lock = "for no key update" if to_change else ""
    found = fetch(connection, f"{ENDPOINTS} and key = :key {lock}", key=key)
    if not found:
        raise Missing(f"no webhook endpoint is called {quoted(key)}", "key")
    return found[0]


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


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
