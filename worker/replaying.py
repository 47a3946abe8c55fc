"""Replay and ignore from the command line: what the options mean, portion after portion, and what is printed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Engine

from domain.errors import Missing
from infra.audit import record_change
from infra.clock import system_clock
from infra.dry_runs import dry_run, merged
from infra.replays import Audit, Changed, Which, checked_reason, erased, ignore, matching, replay
from infra.reports import event_named
from infra.settings import load_settings
from infra.unit_of_work import unit_of_work_on
from worker import showing_inbox
from worker.terminal import moment, out, print_found, progress

Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
Provider = Annotated[str | None, typer.Option(help="Only events of this provider.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="<moment>", help="Received then or later (2026-03-01, 2026-03-01T12:00Z)."),
]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="<moment>", help="Received before then.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the event.")]

#: One portion: of a connection, from when on nothing counts that came later, after which event.
_Portion = Callable[[Connection, datetime, int], Changed]


def number_of(engine: Engine, name: str | None) -> int | None:
    """The number of an event by it or by its provider's id. Raises Missing for a name that nothing has."""
    if name is None:
        return None
    with unit_of_work_on(engine) as connection:
        found = event_named(connection, name)
    if found is None:
        raise Missing(f'no event is called "{name}"; `attribution events list` shows those there are')
    return int(found["id"])


def replay_events(engine: Engine, which: Which, *, dry: bool, as_json: bool) -> None:
    """Make them due again, or say what that would change."""
    if dry:
        found = _try(engine, which)
        print_found(found, as_json, lambda: showing_inbox.dry_run(out(), found))
        return
    _in_portions(
        engine,
        which,
        lambda connection, begun_at, after: replay(connection, which, begun_at, _audit(connection), after=after),
        "due again",
        as_json=as_json,
        passed_over=erased,
    )


def _try(engine: Engine, which: Which) -> dict[str, Any]:
    """A dry run of however many events, portion after portion, each taken back before the next."""
    settings, after = load_settings(), 0
    whole: dict[str, Any] | None = None
    with progress("Trying events") as told:
        while True:
            with unit_of_work_on(engine) as connection:
                found = dry_run(connection, which, settings, system_clock(), after=after)
            whole = found if whole is None else merged(whole, found)
            told(whole["tried"] + whole["busy"], whole["matching"])
            if found["after"] is None:
                return whole
            after = found["after"]


def ignore_events(engine: Engine, which: Which, reason: str, *, as_json: bool) -> None:
    """Put them aside."""
    why = checked_reason(reason)
    _in_portions(
        engine,
        which,
        lambda connection, begun_at, after: ignore(connection, which, why, begun_at, _audit(connection), after=after),
        "ignored",
        as_json=as_json,
    )


def _in_portions(
    engine: Engine,
    which: Which,
    portion: _Portion,
    done: str,
    *,
    as_json: bool,
    passed_over: Callable[[Connection, Which], int] | None = None,
) -> None:
    begun_at = system_clock()
    count, after = 0, 0
    with progress("Changing events") as told:
        with unit_of_work_on(engine) as connection:
            total = matching(connection, which)
        while True:
            with unit_of_work_on(engine) as connection:
                changed = portion(connection, begun_at, after)
            count += changed.count
            told(count, max(count, total))
            if changed.after is None:
                break
            after = changed.after
    found = {"count": count}
    words = f"{'1 event is' if count == 1 else f'{count} events are'} {done}."
    if passed_over is not None:
        with unit_of_work_on(engine) as connection:
            if left := passed_over(connection, which):
                found["erased"] = left
                words += f" {left} cannot be replayed: their bodies were erased."
    print_found(found, as_json, lambda: out().print(words))


def _audit(connection: Connection) -> Audit:
    def write(action: str, subject: str, details: Mapping[str, object]) -> None:
        record_change(connection, actor="operator", action=action, subject=subject, details=details)

    return write
