"""`status`: how things stand."""

import typer

from infra.inbox import counts
from infra.unit_of_work import unit_of_work_on
from worker import showing_inbox
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer()


@commands.command()
def status(as_json: AsJson = False) -> None:
    """How the inbox stands: rows per state, and for how long the oldest due row has been due."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = counts(connection)
    print_found(found, as_json, lambda: showing_inbox.status(out(), found))
