"""Triggers as a person sets them: each change is a version, nothing is overwritten."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.trigger_warnings import TriggerWarning, warnings_for
from domain.triggers import Trigger, in_force, parse_trigger, render_trigger
from infra import tables
from infra.locks import own_program
from infra.program import ProgramReader, trigger_of
from infra.program_changes.rejudging import Rejudge, program_changed
from infra.rows import fetch, insert_rows


def warnings_about(
    connection: Connection, reader: ProgramReader, saved: Trigger, now: datetime
) -> list[TriggerWarning]:
    """What a program manager should know about a trigger, given everything else that is in force."""
    program = reader.read(connection)
    in_effect = (in_force(versions, now) for versions in program.triggers.values())
    others = [trigger for trigger in in_effect if trigger is not None]
    return warnings_for(saved, others, program.catalogue, program.partners, now, program.zone)


def save_trigger(connection: Connection, key: str, document: Mapping[str, Any], now: datetime) -> tuple[Trigger, bool]:
    """Save a trigger's next version, and whether that changed anything. Raises Rejected with every mistake.

    Takes effect now unless the document says otherwise; saying again what is in force makes no version.
    """
    own_program(connection)
    draft = parse_trigger(document)
    rows = fetch(connection, "select * from trigger_versions where key = :key order by version", key=key)
    if rows:
        current = trigger_of(rows[-1])
        repeated = draft.as_version(key, current.version, current.effective_from)
        if repeated == current:
            return current, False
    saved = draft.as_version(key, len(rows) + 1, now)
    insert_rows(connection, tables.triggers, [{"key": key}])
    insert_rows(
        connection,
        tables.trigger_versions,
        [
            {
                "key": key,
                "version": saved.version,
                "effective_from": saved.effective_from,
                "definition": render_trigger(saved),
            }
        ],
    )
    program_changed(connection, Rejudge("trigger", key, saved.effective_from), f"version {saved.version}", now)
    return saved, True
