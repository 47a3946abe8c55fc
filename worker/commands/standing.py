"""`status` and `check`: how things stand, and whether what must hold does."""

import typer

from infra.checks import check_all
from infra.clock import system_clock
from infra.inbox import counts
from infra.unit_of_work import unit_of_work_on
from worker import showing_checks, showing_inbox
from worker.terminal import FAILED, AsJson, database, out, print_found, progress

commands = typer.Typer()


@commands.command()
def status(as_json: AsJson = False) -> None:
    """How the inbox stands: rows per state, and for how long the oldest due row has been due."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = counts(connection)
    print_found(found, as_json, lambda: showing_inbox.status(out(), found))


@commands.command()
def check(as_json: AsJson = False) -> None:
    """Check what must hold of the books at any moment; exit code 1 if something does not, and what that indicates."""
    with database() as engine, progress("Checking transactions") as told:
        checked = check_all(engine, system_clock, told)
    print_found(checked.document(), as_json, lambda: showing_checks.checked(out(), checked))
    if checked.breaches:
        raise typer.Exit(FAILED)
