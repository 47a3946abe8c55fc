"""`import` and `export`: CSV files in, all of a file or nothing of it, and out."""

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import Rejected
from domain.problems import PROBLEMS_MAX, RejectedDocument
from infra.audit import OPERATOR, record_change
from infra.clock import system_clock
from infra.settings import load_settings
from infra.sheets.exporting import EXPORTS, export
from infra.sheets.importing import Imported, import_file
from infra.sheets.kinds import importable
from infra.sheets.reading import opened
from infra.unit_of_work import unit_of_work_on
from worker.terminal import AsJson, database, out, print_found, progress

commands = typer.Typer()


class _DryRun(Exception):
    """Rolls back what a dry run did."""

    def __init__(self, imported: Imported) -> None:
        super().__init__()
        self.imported = imported


@commands.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help="What its rows are; see docs/spreadsheets.md for the columns.")],
    file: Annotated[Path, typer.Argument(help="A CSV file: UTF-8, commas, a header.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the rows of a CSV file into the program: all of them, or none. The same file again changes nothing."""
    settings = load_settings()
    kinds = importable(settings.program_timezone)
    if kind not in kinds:
        raise typer.BadParameter(f"choose from {', '.join(kinds)}", param_hint="kind")
    with file.open("rb") as counted:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: counted.read(1 << 20), b""))
    try:
        with (
            database(settings) as engine,
            opened(file) as stream,
            progress("Importing lines") as told,
            unit_of_work_on(engine) as connection,
        ):
            now = system_clock()
            imported = import_file(connection, kinds[kind], stream, settings, now, told=lambda line: told(line, lines))
            if dry_run:
                raise _DryRun(imported)
            record_change(
                connection, actor=OPERATOR, action=f"{kind}.imported", subject=file.name, details=asdict(imported)
            )
    except _DryRun as done:
        imported = done.imported
    except RejectedDocument as error:
        raise Rejected(_all_mistakes(error)) from None
    found = {"kind": kind, "dry_run": dry_run, **asdict(imported)}
    print_found(found, as_json, lambda: out().print(_sentence(imported, dry_run=dry_run), markup=False))


def _all_mistakes(error: RejectedDocument) -> str:
    lines = ["nothing was imported; mend this first:", *(f"  {each.field}: {each.message}" for each in error.problems)]
    if len(error.problems) == PROBLEMS_MAX:
        lines.append("  and there may be more")
    return "\n".join(lines)


def _sentence(imported: Imported, *, dry_run: bool) -> str:
    counts = f"{imported.created_count} new, {imported.changed_count} changed, {imported.unchanged_count} unchanged"
    return f"Would be: {counts}. Nothing was done." if dry_run else f"{counts}."


@commands.command("export")
def export_(
    kind: Annotated[str, typer.Argument(help="What to write.")],
    file: Annotated[Path | None, typer.Option("--output", "-o", help="Where to; unset: standard output.")] = None,
) -> None:
    """Write a CSV file: UTF-8, commas, a header. Texts that a spreadsheet would run begin with an apostrophe."""
    if kind not in EXPORTS:
        raise typer.BadParameter(f"choose from {', '.join(EXPORTS)}", param_hint="kind")
    with (
        database() as engine,
        unit_of_work_on(engine) as connection,
        file.open("w", encoding="utf-8", newline="") if file is not None else nullcontext(sys.stdout) as stream,
    ):
        for piece in export(connection, kind):
            stream.write(piece)
