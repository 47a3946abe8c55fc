"""What commands share: where they print, how they reach the database, what `--json` means, a bar for what takes long.

Data goes to stdout; what merely tells how the work goes on, to stderr and to a terminal alone.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from domain.errors import Rejected
from infra.database import make_engine, migrations_current
from infra.embedded import servers
from infra.settings import Settings, load_settings
from worker import showing

#: Exit codes; 0 is done.
FAILED, WRONG_USAGE = 1, 2

#: Fewer digits are a day (20260301), or seconds taken for milliseconds.
_MILLISECONDS_LENGTH_MIN = 12

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

#: Told how much is done, and how much there is in all.
Told = Callable[[int, int], None]


def out() -> Console:
    """What is printed for people; on a terminal with colours."""
    return showing.console(sys.stdout)


def err() -> Console:
    """What is said beside it."""
    return showing.console(sys.stderr)


def moment(written: str) -> datetime:
    """As it is typed: a day begins at midnight UTC, a time without a zone is in UTC; or the API's milliseconds."""
    try:
        if len(written) >= _MILLISECONDS_LENGTH_MIN and written.isascii() and written.isdigit():
            return datetime.fromtimestamp(int(written) / 1000, UTC)
        read = datetime.fromisoformat(written)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        forms = "2026-03-01, 2026-03-01T12:00:00Z or 1772366400000"
        raise typer.BadParameter(f'"{written}" is no day, time or number of milliseconds such as {forms}') from None


def print_found(found: Any, as_json: bool, show: Callable[[], None]) -> None:
    """Print what was found as JSON, or call `show` to print it for people."""
    if as_json:
        sys.stdout.write(json.dumps(found, default=str) + "\n")
    else:
        show()


@contextmanager
def database(settings: Settings | None = None, *, check_schema: bool = True) -> Iterator[Engine]:
    """The database of the settings, or of DATA_DIR: running already, or started for as long as this command takes.

    Raises Rejected where its schema is not the one this program was written for.
    """
    settings = settings or load_settings()
    with ExitStack() as leaving:
        with showing.waiting(err(), "Looking for the database ..."):
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


@contextmanager
def progress(telling: str) -> Iterator[Told]:
    """A bar on a terminal, nothing anywhere else: call what is yielded with what is done and what there is in all."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err(),
        disable=not err().is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(telling, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
