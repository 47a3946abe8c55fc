"""`events`: the inbox, event by event."""

from typing import Annotated

import typer

from infra.inbox import InboxState
from infra.reports import list_events
from infra.unit_of_work import unit_of_work_on
from worker import showing_inbox
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer(no_args_is_help=True, help="The inbox: what came in and what became of it.")


@commands.command("list")
def events_list(
    state: Annotated[InboxState | None, typer.Option(help="Only events in this state.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=250, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what came in, newest first, and what became of it."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = list_events(connection, state=state, event_type=type_, limit=limit)
    print_found(found, as_json, lambda: showing_inbox.events(out(), found))
