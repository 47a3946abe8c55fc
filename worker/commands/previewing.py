"""`preview`: what a draft trigger would have paid, before anyone saves it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from domain.errors import Rejected
from infra.clock import system_clock
from infra.long_lived import spare_what_is_loaded
from infra.previews import document, preview
from infra.settings import load_settings
from infra.unit_of_work import unit_of_work_on
from worker import showing_previews
from worker.terminal import AsJson, database, moment, out, print_found, progress

commands = typer.Typer()


@commands.command("preview")
def preview_draft(
    trigger: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The draft, as the API takes it.")],
    from_: Annotated[
        datetime | None,
        typer.Option(
            "--from", parser=moment, metavar="<moment>", help="Since when (2026-03-01, 2026-03-01T12:00Z); else all."
        ),
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="<moment>", help="Until before when; else now.")
    ] = None,
    replaces: Annotated[str | None, typer.Option(help="A trigger's key, whose place the draft takes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a draft trigger would have paid, per partner and product, beside what was paid. Changes nothing."""
    draft, settings = _read(trigger), load_settings()
    spare_what_is_loaded()
    with database(settings) as engine, unit_of_work_on(engine) as connection, progress("Judging") as told:
        now = system_clock()
        found = preview(connection, draft, from_, to or now, settings, replaces=replaces, now=now, progress=told)
    print_found(document(found), as_json, lambda: showing_previews.preview(out(), found))


def _read(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejected(f"{path} is not JSON: {error}") from None
