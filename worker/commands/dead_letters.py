"""`dead`: events that no retry will help, by what killed them."""

from typing import Annotated

import typer

from infra.inbox import InboxState
from infra.replays import Which, dead_groups
from infra.unit_of_work import unit_of_work_on
from worker import showing_inbox
from worker.replaying import DryRun, Provider, Reason, Since, Type, Until, ignore_events, replay_events
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer(no_args_is_help=True, help="Dead letters: events that no retry will help.")

Fingerprint = Annotated[str | None, typer.Argument(help="A group, as `attribution dead list` calls it.")]


@commands.command("list")
def dead_list(
    provider: Provider = None,
    limit: Annotated[int, typer.Option(min=1, max=250, help="How many groups, the most recent first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters by provider, type and error."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = dead_groups(connection, provider=provider, limit=limit)
    print_found(found, as_json, lambda: showing_inbox.dead(out(), found))


@commands.command("replay")
def replay(
    fingerprint: Fingerprint = None,
    type_: Type = None,
    provider: Provider = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make dead letters due again: a group, what fits, or all of them."""
    with database() as engine:
        which = _which(fingerprint, type_, provider, since, until)
        replay_events(engine, which, dry=dry_run, as_json=as_json)


@commands.command("ignore")
def ignore(
    reason: Reason,
    fingerprint: Fingerprint = None,
    type_: Type = None,
    provider: Provider = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Put dead letters aside: a group, what fits, or all of them."""
    with database() as engine:
        ignore_events(engine, _which(fingerprint, type_, provider, since, until), reason, as_json=as_json)


def _which(fingerprint: Fingerprint, type_: Type, provider: Provider, since: Since, until: Until) -> Which:
    return Which(
        state=InboxState.DEAD,
        fingerprint=fingerprint,
        event_type=type_,
        provider=provider,
        since=since,
        until=until,
    )
