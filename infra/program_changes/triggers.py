"""Triggers as a person sets them: each change is a version, nothing is overwritten."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from domain import ids
from domain.errors import Missing
from domain.trigger_warnings import TriggerWarning, warnings_for
from domain.triggers import Trigger, TriggerDraft, change_trigger, in_force, parse_trigger, render_trigger
from infra import tables
from infra.locks import own_program
from infra.program import ProgramReader, trigger_of
from infra.program_changes.rejudging import Rejudge, program_changed
from infra.rows import fetch, insert_rows


def create_trigger(connection: Connection, document: object, now: datetime) -> tuple[Trigger, bool]:
    """A new trigger, and whether it is new: one that says exactly the same is not made twice, for both would pay.

    Takes effect now unless the document says otherwise. Raises RejectedDocument with every mistake.
    """
    own_program(connection)
    draft = parse_trigger(document)
    for key in _keys_for(draft):
        current = _current(connection, key)
        if current is None:
            return _add_version(connection, key, draft, None, now), True
        if _says_the_same(draft, current):
            return current, False
    raise AssertionError("there is always another key")


def change_trigger_by_key(
    connection: Connection, key: str, changes: object, now: datetime
) -> tuple[Trigger, tuple[str, ...]]:
    """The version that changing some fields makes, or the current one, and what is other than it was.

    It holds from now on unless the changes name an `effective_from`. Raises Missing, or RejectedDocument.
    """
    own_program(connection)
    current = _current(connection, key)
    if current is None:
        raise Missing(f"there is no trigger {key}", "key")
    draft = change_trigger(current, changes)
    if _says_the_same(draft, current):
        return current, ()
    saved = _add_version(connection, key, draft, current, now)
    before, after = render_trigger(current), render_trigger(saved)
    return saved, tuple(name for name, value in after.items() if before[name] != value)


def save_trigger(connection: Connection, key: str, document: Mapping[str, Any], now: datetime) -> tuple[Trigger, bool]:
    """Save the next version of the trigger with this key, and whether that changed anything.

    Takes effect now unless the document says otherwise; saying again what is in force makes no version. Raises
    RejectedDocument with every mistake.
    """
    own_program(connection)
    draft = parse_trigger(document)
    current = _current(connection, key)
    if current is not None and _says_the_same(draft, current):
        return current, False
    return _add_version(connection, key, draft, current, now), True


def warnings_about(
    connection: Connection, reader: ProgramReader, saved: Trigger, now: datetime
) -> list[TriggerWarning]:
    """What a program manager should know about a trigger, given everything else that is in force."""
    program = reader.read(connection)
    in_effect = (in_force(versions, now) for versions in program.triggers.values())
    others = [trigger for trigger in in_effect if trigger is not None]
    return warnings_for(saved, others, program.catalogue, program.partners, now, program.zone)


def _keys_for(draft: TriggerDraft) -> Iterator[str]:
    """Keys that a new trigger may get: derived from what it says, and further ones where that was changed since."""
    said = msgspec.json.encode(render_trigger(draft), order="deterministic").decode()
    number = 0
    while True:
        yield ids.derived("trg", said, *([str(number)] if number else []))
        number += 1


def _current(connection: Connection, key: str) -> Trigger | None:
    rows = fetch(connection, "select * from trigger_versions where key = :key order by version desc limit 1", key=key)
    return trigger_of(rows[0]) if rows else None


def _says_the_same(draft: TriggerDraft, current: Trigger) -> bool:
    return draft.as_version(current.key, current.version, current.effective_from) == current


def _add_version(
    connection: Connection, key: str, draft: TriggerDraft, current: Trigger | None, now: datetime
) -> Trigger:
    # Providers tell times in whole seconds: what is paid in the second it is saved in is paid under it.
    saved = draft.as_version(key, 1 if current is None else current.version + 1, now.replace(microsecond=0))
    insert_rows(connection, tables.triggers, [{"key": key}])
    row = {"key": key, "version": saved.version, "effective_from": saved.effective_from}
    insert_rows(connection, tables.trigger_versions, [{**row, "definition": render_trigger(saved)}])
    program_changed(connection, Rejudge("trigger", key, saved.effective_from), f"version {saved.version}", now)
    return saved
