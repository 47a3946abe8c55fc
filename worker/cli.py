"""`attribution`: the command line. Exit codes: 0 done, 1 the work failed, 2 wrong usage."""

import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, OperationalError

from domain.errors import AttributionError
from infra.log import configure_logging
from infra.settings import SettingsError
from worker import showing
from worker.commands import (
    comparing,
    customers,
    dead_letters,
    events,
    exchanging,
    explaining,
    keys,
    previewing,
    running,
    standing,
    users,
    webhooks,
)
from worker.terminal import FAILED, WRONG_USAGE, err

#: Groups of commands: under a name of their own, or at the top.
GROUPS: tuple[tuple[str | None, typer.Typer], ...] = (
    (None, running.commands),
    (None, standing.commands),
    (None, explaining.commands),
    (None, comparing.commands),
    (None, exchanging.commands),
    (None, previewing.commands),
    ("events", events.commands),
    ("dead", dead_letters.commands),
    ("customers", customers.commands),
    ("keys", keys.commands),
    ("users", users.commands),
    ("webhooks", webhooks.commands),
)

#: `up` is there to be watched; the demo tells what happens itself; the others print what they found.
_LOG_LEVELS = {"up": logging.INFO, "demo": logging.ERROR}

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Partner commissions per product, from billing webhooks.",
)
for _name, _commands in GROUPS:
    cli.add_typer(_commands, name=_name)


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
        err().print(showing.visible(line.expandtabs(2)), markup=False, style="red")
    raise SystemExit(code)
