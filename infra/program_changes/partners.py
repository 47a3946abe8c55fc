"""Partners as a person sets them. Group, tags, country and metadata are versions: rules read them as of then."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from infra import tables
from infra.locks import own_program
from infra.program_changes.rejudging import Rejudge, program_changed
from infra.rows import fetch, insert_rows


def save_partner(
    connection: Connection,
    *,
    partner_key: str,
    name: str | None = None,
    email: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    country: str | None = None,
    joined_at: datetime | None = None,
    effective_from: datetime | None = None,
    metadata: Mapping[str, str] | None = None,
    now: datetime,
) -> None:
    """Add a partner, or give an existing one a new group, tags or country from `effective_from` or now."""
    own_program(connection)
    partner = {"partner_key": partner_key, "name": name, "email": email, "joined_at": joined_at or now}
    insert_rows(connection, tables.partners, [partner])
    known = fetch(
        connection, "select * from partner_versions where partner_key = :key order by version", key=partner_key
    )
    wanted: dict[str, Any] = {
        "group": group,
        "tags": sorted(set(tags)),
        "country": country,
        "metadata": dict(metadata or {}),
    }
    if known and all(getattr(known[-1], column) == value for column, value in wanted.items()):
        return
    since = effective_from or (now if known else None)
    version = len(known) + 1
    row = {"partner_key": partner_key, "version": version, "effective_from": since, **wanted}
    insert_rows(connection, tables.partner_versions, [row])
    program_changed(connection, Rejudge("partner", partner_key, since), f"version {version}", now)
