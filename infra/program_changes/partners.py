"""Partners and their members as a person sets them.

Group, tags, country and metadata are versions: rules read them as of a moment. A member that was removed stays on
record, for commissions name it, and its tokens open nothing any more.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import Conflict, Missing, Rejected
from infra import tables
from infra.locks import own_program
from infra.program_changes.rejudging import Rejudge, program_changed
from infra.rows import as_json, fetch, insert_rows

#: What a person may set: `name`, `email`, `group`, `tags`, `country`, `joined_at`, `members`, `metadata`.
Fields = Mapping[str, Any]

_VERSIONED = ("group", "tags", "country", "metadata")
_OWN = ("name", "email", "joined_at")


def create_partner(connection: Connection, partner_key: str, fields: Fields, now: datetime) -> bool:
    """Add a partner, joined now unless it says otherwise; False if there is one that says the same already.

    What is said first holds from the beginning of time. Raises Conflict where the one that is there says otherwise.
    """
    own_program(connection)
    known = _partner(connection, partner_key)
    if known is not None:
        if different := _differing(known, fields):
            raise Conflict(f"partner {partner_key} is there with another {different[0]}; use PATCH", different[0])
        return False
    insert_rows(
        connection, tables.partners, [{"partner_key": partner_key, "joined_at": fields.get("joined_at") or now}]
    )
    fresh = _partner(connection, partner_key)
    assert fresh is not None, "just inserted"
    _set_own(connection, fresh, fields)
    _set_members(connection, partner_key, fields.get("members", []), now)
    _add_version(connection, fresh, fields, None, now)
    return True


def change_partner(
    connection: Connection, partner_key: str, fields: Fields, now: datetime, effective_from: datetime | None = None
) -> tuple[str, ...]:
    """Set fields of a partner; the names of those that are other than they were. What changes nothing makes no version.

    Group, tags, country and metadata hold from `effective_from` or now. Raises Missing.
    """
    own_program(connection)
    known = _partner(connection, partner_key)
    if known is None:
        raise Missing(f"there is no partner {partner_key}", "key")
    changed = _differing(known, fields)
    wanted = {name: fields[name] for name in changed}
    _set_own(connection, known, wanted)
    if "members" in wanted:
        _set_members(connection, partner_key, wanted["members"], now)
    if set(_VERSIONED) & set(changed):
        _add_version(connection, known, wanted, effective_from or now, now)
    if "joined_at" in changed:
        cause = f"joined at {wanted['joined_at'].isoformat()}"
        program_changed(connection, Rejudge("partner", partner_key), cause, now)
    return changed


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
    """Add a partner, or give an existing one a new group, tags, country and metadata from `effective_from` or now."""
    own_program(connection)
    said = {"group": group, "tags": list(tags), "country": country, "metadata": dict(metadata or {})}
    if _partner(connection, partner_key) is None:
        create_partner(connection, partner_key, {"name": name, "email": email, "joined_at": joined_at, **said}, now)
    else:
        change_partner(connection, partner_key, said, now, effective_from)


def _partner(connection: Connection, partner_key: str) -> dict[str, Any] | None:
    found = fetch(
        connection,
        """
        select p.partner_key, p.name, p.email, p.joined_at, v.version, v."group", coalesce(v.tags, '{}') as tags,
            v.country, coalesce(v.metadata, '{}') as metadata
        from partners p left join lateral (
            select * from partner_versions v where v.partner_key = p.partner_key order by version desc limit 1
        ) v on true where p.partner_key = :key
        """,
        key=partner_key,
    )
    if not found:
        return None
    members = fetch(
        connection,
        """
        select member_key, name, email from partner_members where partner_key = :key and removed_at is null order by 1
        """,
        key=partner_key,
    )
    return {**found[0]._mapping, "members": [dict(row._mapping) for row in members]}


def _differing(known: Mapping[str, Any], fields: Fields) -> tuple[str, ...]:
    wanted = dict(fields)
    if "tags" in wanted:
        wanted["tags"] = sorted(set(wanted["tags"]))
    if "members" in wanted:
        wanted["members"] = _in_order(wanted["members"])
    if wanted.get("joined_at") is None:
        wanted.pop("joined_at", None)
    return tuple(name for name, value in wanted.items() if known[name] != value)


def _in_order(members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Members by key, every field of them there. Raises Rejected for one that is named twice."""
    seen: set[str] = set()
    for place, member in enumerate(members):
        if member["member_key"] in seen:
            raise Rejected("is there twice; a member has one entry", f"members[{place}].member_key")
        seen.add(member["member_key"])
    whole = [{"name": None, "email": None, **member} for member in members]
    return sorted(whole, key=lambda member: str(member["member_key"]))


def _set_own(connection: Connection, known: Mapping[str, Any], fields: Fields) -> None:
    wanted = {name: fields.get(name, known[name]) for name in _OWN}
    wanted["joined_at"] = wanted["joined_at"] or known["joined_at"]
    if all(known[name] == value for name, value in wanted.items()):
        return
    connection.execute(
        text("update partners set name = :name, email = :email, joined_at = :joined_at where partner_key = :key"),
        {**wanted, "key": known["partner_key"]},
    )


def _set_members(connection: Connection, partner_key: str, members: Sequence[Mapping[str, Any]], now: datetime) -> None:
    rows = [{"partner_key": partner_key, "removed_at": None, **member} for member in _in_order(members)]
    insert_rows(connection, tables.partner_members, rows, replace=True)
    gone = {"partner_key": partner_key, "kept": as_json(row["member_key"] for row in rows), "now": now}
    connection.execute(
        text("""
            with gone as (
                update partner_members set removed_at = :now where partner_key = :partner_key and removed_at is null
                    and member_key not in (select json_array_elements_text(cast(:kept as json)))
                returning member_key
            )
            update member_tokens set revoked_at = :now where partner_key = :partner_key and revoked_at is null
                and member_key in (select member_key from gone)
        """),
        gone,
    )


def _add_version(
    connection: Connection, known: Mapping[str, Any], fields: Fields, since: datetime | None, now: datetime
) -> None:
    said = {name: fields.get(name, known[name]) for name in _VERSIONED}
    partner_key, version = known["partner_key"], (known["version"] or 0) + 1
    row = {"partner_key": partner_key, "version": version, "effective_from": since}
    insert_rows(connection, tables.partner_versions, [{**row, **said, "tags": sorted(set(said["tags"]))}])
    program_changed(connection, Rejudge("partner", partner_key, since), f"version {version}", now)
