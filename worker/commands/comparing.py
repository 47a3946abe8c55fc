"""`fingerprint`: whether two programs hold the same state."""

from dataclasses import asdict

import typer

from infra.fingerprint import Fingerprint, fingerprint
from infra.unit_of_work import unit_of_work_on
from worker.showing import table
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer()


@commands.command("fingerprint")
def print_fingerprint(as_json: AsJson = False) -> None:
    """Print one hash over all that the API shows. Programs that were told the same have the same, in whatever order."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = fingerprint(connection)
    print_found(asdict(found), as_json, lambda: _show(found))


def _show(found: Fingerprint) -> None:
    rows = [(section.name, str(section.count), section.digest[:16]) for section in found.sections]
    table(out(), ("what", "number", "hash"), rows)
    out().print(found.digest)
