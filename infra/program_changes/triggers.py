"""Triggers as a person sets them: each change is a version, nothing is overwritten."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import dropwhile
from typing import Any

import msgspec
from sqlalchemy import Connection

from domain import ids
from domain.errors import Missing
from domain.trigger_warnings import TriggerWarning, warnings_for
from domain.triggers import Trigger, TriggerDraft, change_trigger, held_from, parse_trigger, render_trigger
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
    key = key_of(draft, partial(_versions, connection))
    versions = _versions(connection, key)
    return (versions[-1], False) if versions else (_add_version(connection, key, draft, None, now), True)


def key_of(draft: TriggerDraft, versions_of: Callable[[str], Sequence[Trigger]]) -> str:
    """The key that a new trigger gets, derived from what it says; a further one where that was changed since.

    One that says exactly the same has it already. `versions_of` gives the versions there are, the latest last.
    """
    for key in _keys_for(draft):
        versions = versions_of(key)
        if not versions or _says_the_same(draft, versions[-1]):
            return key
    raise AssertionError("there is always another key")


def change_trigger_by_key(
    connection: Connection, key: str, changes: object, now: datetime
) -> tuple[Trigger, tuple[str, ...]]:
    """The latest version that changing some fields makes, or the current one, and what is other than it was.

    A change that names an `effective_from` is one of the latest version, and holds from then on. Any other holds from
    now on: it changes what is in effect now and, from its own day on, each version that is to take over later. Raises
    Missing, or RejectedDocument.
    """
    own_program(connection)
    versions = _versions(connection, key)
    if not versions:
        raise Missing(f"there is no trigger {key}", "key")
    pairs = list(dropwhile(lambda pair: _says_the_same(pair[1], pair[0]), _drafts(versions, changes, now)))
    saved, changed = versions[-1], dict[str, None]()
    for current, draft in pairs:
        saved = _add_version(connection, key, draft, saved, now)
        before, after = render_trigger(current), render_trigger(saved)
        changed |= dict.fromkeys(name for name, value in after.items() if before[name] != value)
    return saved, tuple(changed)


def _drafts(versions: Sequence[Trigger], changes: object, now: datetime) -> list[tuple[Trigger, TriggerDraft]]:
    """What a change makes of each version that it touches, in the order in which they are to count."""
    latest = change_trigger(versions[-1], changes)
    if latest.effective_from is not None:
        return [(versions[-1], latest)]
    return [
        (version, change_trigger(version, changes, version.effective_from if version.effective_from > now else None))
        for version in held_from(versions, now)
    ]


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
    """What a program manager should know about a trigger, given all others that are in force beside it, or will be."""
    program = reader.read(connection)
    since = max(now, saved.effective_from)
    beside = ([each for each in held_from(versions, since) if each.active] for versions in program.triggers.values())
    others = [active[0] for active in beside if active]
    return warnings_for(saved, others, program.catalogue, program.partners, now, program.zone)


def _keys_for(draft: TriggerDraft) -> Iterator[str]:
    """Keys that a new trigger may get: derived from what it says, and further ones where that was changed since."""
    said = msgspec.json.encode(render_trigger(draft), order="deterministic").decode()
    number = 0
    while True:
        yield ids.derived("trg", said, *([str(number)] if number else []))
        number += 1


def _current(connection: Connection, key: str) -> Trigger | None:
    return next(reversed(_versions(connection, key)), None)


def _versions(connection: Connection, key: str) -> list[Trigger]:
    """All that were saved, the latest last."""
    rows = fetch(connection, "select * from trigger_versions where key = :key order by version", key=key)
    return [trigger_of(row) for row in rows]


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
