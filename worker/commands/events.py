"""`events`: the inbox, event by event."""

from typing import Annotated

import typer

from domain.errors import Missing
from infra.inbox import InboxState
from infra.replays import Which
from infra.reports import event_named, list_events
from infra.unit_of_work import unit_of_work_on
from worker import showing_inbox
from worker.replaying import DryRun, Provider, Reason, Since, Type, Until, ignore_events, number_of, replay_events
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer(no_args_is_help=True, help="The inbox: what came in and what became of it.")

Name = Annotated[str, typer.Argument(help="The event's number here, or its provider's id (evt_...).")]
State = Annotated[InboxState | None, typer.Option(help="Only events in this state.")]


@commands.command("list")
def events_list(
    state: State = None,
    type_: Type = None,
    provider: Provider = None,
    limit: Annotated[int, typer.Option(min=1, max=250, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what came in, newest first, and what became of it."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = list_events(connection, state=state, event_type=type_, provider=provider, limit=limit)
    print_found(found, as_json, lambda: showing_inbox.events(out(), found))


@commands.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one event: what it is, what became of it and why, and what it caused."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = event_named(connection, name)
    if found is None:
        raise Missing(f'no event is called "{name}"; `attribution events list` shows those there are')
    print_found(found, as_json, lambda: showing_inbox.event(out(), found))


@commands.command("replay")
def replay(
    name: Annotated[str | None, typer.Argument(help="One event, by its number or its provider's id.")] = None,
    state: State = None,
    type_: Type = None,
    provider: Provider = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make events due again, with today's code. What is booked already is not booked again."""
    if not any((name, state, type_, provider, since, until)):
        raise typer.BadParameter("names no events; name one, or a state, a type, a provider or a time window")
    with database() as engine:
        which = Which(
            id=number_of(engine, name),
            state=state,
            event_type=type_,
            provider=provider,
            since=since,
            until=until,
        )
        replay_events(engine, which, dry=dry_run, as_json=as_json)


@commands.command("ignore")
def ignore(name: Name, reason: Reason, as_json: AsJson = False) -> None:
    """Put an event aside that is received, waiting or dead."""
    with database() as engine:
        ignore_events(engine, Which(id=number_of(engine, name)), reason, as_json=as_json)
