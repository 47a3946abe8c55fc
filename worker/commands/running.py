"""`up`, `demo`, `migrate`: what starts things, or makes them ready to start."""

from typing import Annotated

import typer

from infra.database import check_server, migrations_current, upgrade_to_head
from infra.settings import load_settings
from worker.terminal import database, err, out

commands = typer.Typer()


@commands.command()
def up() -> None:
    """Run everything: embedded servers where no URL is set, migrations, receiver, worker, beat. Ctrl-C stops it."""
    from worker.up import run_up

    raise typer.Exit(run_up(load_settings()))


@commands.command()
def demo(
    exit_afterwards: Annotated[bool, typer.Option("--exit", help="Stop everything afterwards.")] = False,
    chaos: Annotated[bool, typer.Option("--chaos", help="Kill every worker and wipe Redis in the middle.")] = False,
) -> None:
    """Play the GigaKick story with real signed Stripe webhooks, and show what came of it."""
    from worker.demo import run_demo

    raise typer.Exit(run_demo(load_settings(), out(), exit_afterwards=exit_afterwards, chaos=chaos))


@commands.command()
def migrate() -> None:
    """Bring the database's schema to the newest version. Does nothing where it is there already."""
    with database(check_schema=False) as engine:
        for warning in check_server(engine):
            err().print(f"warning: {warning}", markup=False)
        already = migrations_current(engine)
        upgrade_to_head(engine)
    out().print("The schema was current already." if already else "The schema is current now.")
