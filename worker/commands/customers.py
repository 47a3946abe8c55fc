"""`customers`: what only an operator does to them."""

import sys
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from domain.errors import Rejected
from infra.audit import OPERATOR
from infra.erasure import Person, erase_found, mentioned, note_erased, person_called
from infra.replays import Which
from infra.rows import fetch
from infra.settings import Settings, load_settings
from infra.unit_of_work import unit_of_work_on
from worker import showing_erasure
from worker.replaying import DryRun, replay_events
from worker.terminal import AsJson, database, out, print_found, progress

commands = typer.Typer(no_args_is_help=True, help="Customers, as far as it takes an operator.")


@commands.command("link")
def link(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Link those known before MATCH_CUSTOMERS_BY_EMAIL was turned on, by replaying the events that describe them."""
    settings = load_settings()
    if not settings.match_customers_by_email:
        raise Rejected("MATCH_CUSTOMERS_BY_EMAIL is not true, so that no address links anybody; set it first")
    with database(settings) as engine:
        replay_events(engine, Which(linkable=True), dry=dry_run, as_json=as_json)


@commands.command("erase")
def erase_customer(
    key: Annotated[str, typer.Argument(help="Its key, the company's own id for it, or stripe:cus_... of nobody's.")],
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where there is no terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person's details: names, addresses, metadata, bodies of events. Commissions stay. Cannot be undone."""
    settings = load_settings()
    with database(settings) as engine:
        with unit_of_work_on(engine) as connection:
            person = person_called(connection, key)
        events, last = _search(engine, person)
        if dry_run or not yes:
            found = _try(engine, settings, person, events, last)
            print_found(found, as_json, lambda: showing_erasure.plan(out(), found))
        if dry_run:
            return
        if not yes:
            _confirm()
        found = _do(engine, settings, person, events, last)
    print_found(found, as_json, lambda: showing_erasure.done(out(), found))


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise Rejected("it cannot be undone; nothing was erased: look at it with --dry-run, then say --yes")
    typer.confirm("Erase all this? It cannot be undone.", abort=True)


def _search(engine: Engine, person: Person) -> tuple[set[int], int]:
    """The events that concern the person, and the last that was read."""
    events: set[int] = set()
    count, after = 0, 0
    with progress("Reading events") as told:
        with unit_of_work_on(engine) as connection:
            total = int(fetch(connection, "select coalesce(max(id), 0) as n from inbox")[0].n)
        while True:
            with unit_of_work_on(engine) as connection:
                portion = mentioned(connection, person, after)
            events |= set(portion.events)
            count += portion.count
            told(count, max(count, total))
            if portion.after is None:
                return events, total
            after = portion.after


def _try(engine: Engine, settings: Settings, person: Person, events: set[int], last: int) -> dict[str, Any]:
    """What erasing would do: it is done, and taken back."""
    with unit_of_work_on(engine) as connection:
        trial = connection.begin_nested()
        try:
            return erase_found(connection, settings, person, events, last)
        finally:
            trial.rollback()


def _do(engine: Engine, settings: Settings, person: Person, events: set[int], last: int) -> dict[str, Any]:
    with unit_of_work_on(engine) as connection:
        found = erase_found(connection, settings, person, events, last)
        note_erased(connection, OPERATOR, found)
    return found
