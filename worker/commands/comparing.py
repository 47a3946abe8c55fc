"""`reconcile`, `fingerprint`: whether our books are a provider's, and two programs hold the same state."""

import time
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from domain.errors import AttributionError
from infra.clock import system_clock
from infra.fingerprint import Fingerprint, fingerprint
from infra.reconciliation.providers import missing_settings, providers_of
from infra.reconciliation.reconciler import Reconciler
from infra.reconciliation.runs import Phase, list_runs, request
from infra.settings import Settings, SettingsError, load_settings
from infra.unit_of_work import unit_of_work_on
from worker.drain import Drain
from worker.showing import table
from worker.showing_reconciliation import show_reconciliation
from worker.terminal import AsJson, Told, database, moment, out, print_found, progress

commands = typer.Typer()

#: A run that waits for longer than this before it tries again is left to the worker.
_PATIENCE_S = 60
_LOOK_EVERY_S = 0.2


class ProviderName(StrEnum):
    """Whose books."""

    STRIPE = "stripe"
    CHARGEBEE = "chargebee"


@commands.command()
def reconcile(
    provider: Annotated[ProviderName, typer.Argument(help="Whose books to compare with.")],
    since: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="<moment>", help="Look from then on (2026-03-01, 2026-03-01T12:00Z)."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored, and store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fill gaps from a provider's event list, compare what is sold, paid and taken back with ours, and repair ours."""
    settings = load_settings()
    if (missing := missing_settings(settings, provider)) is not None:
        raise SettingsError((f"the books of {provider} cannot be read: set {missing}",))
    if since is not None and since > system_clock():
        raise typer.BadParameter(f"{since:%Y-%m-%d %H:%M} UTC lies in the future", param_hint="--since")
    with database(settings) as engine:
        with unit_of_work_on(engine) as connection:
            run_id = request(connection, provider, system_clock(), requested_by="cli", dry_run=dry_run, since=since)
        with progress(f"Comparing with {provider}") as told:
            found = _seen_through(engine, settings, run_id, told)
    if found["state"] != "finished":
        raise AttributionError(_unfinished(found))
    print_found(found, as_json, lambda: show_reconciliation(out(), found))


def _seen_through(engine: Engine, settings: Settings, run_id: int, told: Told) -> dict[str, Any]:
    """Work on the run and on what it stores, beside any workers, until it is over or must wait for long."""
    name = _read(engine, run_id)["provider"]
    reconciler = Reconciler(engine, settings, {name: providers_of(settings)[name]})
    drain = Drain(engine, settings)
    while True:
        reconciler.work()
        found = _read(engine, run_id)
        told(list(Phase).index(Phase(found["phase"])), len(Phase))
        if found["finished_at"] is not None:
            return found
        if found["next_attempt_at"] / 1000 - time.time() > _PATIENCE_S:
            return found
        if found["phase"] in (Phase.SETTLING, Phase.REPAIRING):
            drain.sweep()
        time.sleep(_LOOK_EVERY_S)


def _read(engine: Engine, run_id: int) -> dict[str, Any]:
    with unit_of_work_on(engine) as connection:
        found: dict[str, Any] = list_runs(connection, run_id=run_id)[0]
        return found


def _unfinished(found: dict[str, Any]) -> str:
    """What became of it, and what to do."""
    if found["state"] == "failed":
        return f"reconciliation {found['id']} failed: {found['reason']}"
    return (
        f"{found['provider']} does not answer: {found['reason']}\n"
        f"Reconciliation {found['id']} goes on by itself where a worker runs; the same command goes on with it at once."
    )


@commands.command("fingerprint")
def print_fingerprint(as_json: AsJson = False) -> None:
    """Print one hash over all that the API shows. Programs that were told the same have the same, in whatever order."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = fingerprint(connection)
    print_found(asdict(found), as_json, lambda: _show_fingerprint(found))


def _show_fingerprint(found: Fingerprint) -> None:
    rows = [(section.name, str(section.count), section.digest[:16]) for section in found.sections]
    table(out(), ("what", "number", "hash"), rows)
    out().print(found.digest)
