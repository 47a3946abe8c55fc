"""`attribution`: the command line. Exit codes: 0 done, 1 the work failed, 2 wrong usage."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, NoReturn

import typer
from alembic.util import CommandError
from rich.console import Console
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from domain.errors import AttributionError, Rejected
from infra.database import check_server, make_engine, migrations_current, upgrade_to_head
from infra.embedded import servers
from infra.explanations import document, explain_by_name
from infra.inbox import InboxState, counts
from infra.log import configure_logging
from infra.reports import list_events
from infra.settings import Settings, SettingsError, load_settings
from infra.unit_of_work import unit_of_work_on
from worker import showing

FAILED, WRONG_USAGE = 1, 2

#: `up` is there to be watched; the demo tells what happens itself; the others print what they found.
_LOG_LEVELS = {"up": logging.INFO, "demo": logging.ERROR}

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Partner commissions per product, from billing webhooks.",
)
events = typer.Typer(no_args_is_help=True, help="The inbox: what came in and what became of it.")
cli.add_typer(events, name="events")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _out() -> Console:
    """What is printed for people; on a terminal with colours."""
    return showing.console(sys.stdout)


def _err() -> Console:
    return showing.console(sys.stderr)


@cli.command()
def up() -> None:
    """Run everything: embedded servers where no URL is set, migrations, receiver, worker, beat. Ctrl-C stops it."""
    from worker.up import run_up

    raise typer.Exit(run_up(load_settings()))


@cli.command()
def demo(
    exit_afterwards: Annotated[bool, typer.Option("--exit", help="Stop everything afterwards.")] = False,
    chaos: Annotated[bool, typer.Option("--chaos", help="Kill every worker and wipe Redis in the middle.")] = False,
) -> None:
    """Play the GigaKick story with real signed Stripe webhooks, and show what came of it."""
    from worker.demo import run_demo

    raise typer.Exit(run_demo(load_settings(), _out(), exit_afterwards=exit_afterwards, chaos=chaos))


@cli.command()
def migrate() -> None:
    """Bring the database's schema to the newest version. Does nothing where it is there already."""
    with _database(check_schema=False) as engine:
        for warning in check_server(engine):
            _err().print(f"warning: {warning}", markup=False)
        already = migrations_current(engine)
        upgrade_to_head(engine)
    _out().print("The schema was current already." if already else "The schema is current now.")


@cli.command()
def status(as_json: AsJson = False) -> None:
    """How the inbox stands: rows per state, and for how long the oldest due row has been due."""
    with _database() as engine, unit_of_work_on(engine) as connection:
        found = counts(connection)
    _print(found, as_json, lambda: showing.status(_out(), found))


@cli.command()
def explain(
    name: Annotated[str, typer.Argument(help="A transaction (stripe:in_... or in_...) or a commission (cmsn_...).")],
    as_json: AsJson = False,
) -> None:
    """Say for every trigger why it fired on a transaction or not: each condition, expected and actual."""
    settings = load_settings()
    with _database(settings) as engine, unit_of_work_on(engine) as connection:
        explained = explain_by_name(connection, name, settings)
    _print(document(explained), as_json, lambda: showing.explanation(_out(), explained))


@events.command("list")
def events_list(
    state: Annotated[InboxState | None, typer.Option(help="Only events in this state.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=250, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what came in, newest first, and what became of it."""
    with _database() as engine, unit_of_work_on(engine) as connection:
        found = list_events(connection, state=state, event_type=type_, limit=limit)
    _print(found, as_json, lambda: showing.events(_out(), found))


@contextmanager
def _database(settings: Settings | None = None, *, check_schema: bool = True) -> Iterator[Engine]:
    """The database of the settings, or of DATA_DIR: running already, or started for as long as this command takes."""
    settings = settings or load_settings()
    with ExitStack() as leaving:
        with showing.waiting(_err(), "Looking for the database ..."):
            addresses = leaving.enter_context(
                servers(settings.data_dir, database_url=settings.database_url, redis_url="unused")
            )
        engine = make_engine(addresses.database_url, application_name="attribution-cli", pool_size=2)
        try:
            if check_schema and not migrations_current(engine):
                raise Rejected("the database's schema is not current; run `attribution migrate`")
            yield engine
        finally:
            engine.dispose()


def _print(found: Any, as_json: bool, show: Callable[[], None]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(found, default=str) + "\n")
    else:
        show()


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Every error names what was wrong and what to do, without a stack."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = arguments[0] if arguments else ""
    configure_logging("cli", level=_LOG_LEVELS.get(command, logging.WARNING))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # whatever the terminal's encoding
    try:
        cli(arguments)
    except SettingsError as error:
        _end(str(error), WRONG_USAGE)
    except AttributionError as error:
        _end(str(error), FAILED)
    except OperationalError as error:
        _end(f"the database does not answer: {error.orig}\nCheck that it runs and that DATABASE_URL names it.", FAILED)
    except DBAPIError as error:
        _end(f"the database refuses: {error.orig}\nCheck what its user may do there.", FAILED)
    except CommandError as error:
        _end(f"the schema is of another version of this program: {error}", FAILED)
    except OSError as error:
        _end(f"{error.strerror or error}: {error.filename or 'no file'}", FAILED)


def _end(message: str, code: int) -> NoReturn:
    """Say what was wrong, line by line, whatever is in it."""
    for line in message.splitlines():
        _err().print(showing.visible(line.expandtabs(2)), markup=False, style="red")
    raise SystemExit(code)
