"""`keys`: who may use the management API."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from domain.windows import epoch_ms
from infra.access import create_api_key, list_api_keys, revoke_api_key
from infra.audit import OPERATOR, record_change
from infra.clock import system_clock
from infra.unit_of_work import unit_of_work_on
from worker.showing import table
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer(no_args_is_help=True, help="Keys of programs that use the management API.")

_NAME_LENGTH_MAX = 200


@commands.command()
def create(name: Annotated[str | None, typer.Option(help="What it is for.")] = None, as_json: AsJson = False) -> None:
    """Make a key. Its secret is shown now and never again."""
    if name is not None and not 0 < len(name) <= _NAME_LENGTH_MAX:
        raise typer.BadParameter(f"must have 1 to {_NAME_LENGTH_MAX} characters", param_hint="--name")
    with database() as engine, unit_of_work_on(engine) as connection:
        key = create_api_key(connection, name)
        record_change(connection, actor=OPERATOR, action="api_key.created", subject=key.public_key)
    print_found(asdict(key), as_json, lambda: _show_new(key.public_key, key.secret_key))


@commands.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys there are and were, newest first."""
    with database() as engine, unit_of_work_on(engine) as connection:
        found = [dict(row._mapping) for row in list_api_keys(connection)]
    for key in found:
        for moment in ("created_at", "revoked_at"):
            key[moment] = key[moment] and epoch_ms(key[moment])
    print_found(found, as_json, lambda: _show(found))


@commands.command()
def revoke(public_key: Annotated[str, typer.Argument(help="As `keys list` shows it.")]) -> None:
    """Let a key open nothing from now on."""
    with database() as engine, unit_of_work_on(engine) as connection:
        revoked = revoke_api_key(connection, public_key, system_clock())
        if revoked:
            record_change(connection, actor=OPERATOR, action="api_key.revoked", subject=public_key)
    out().print("It opens nothing any more." if revoked else "It was revoked already.")


def _show_new(public_key: str, secret_key: str) -> None:
    table(out(), ("public key", "secret key"), [(public_key, secret_key)])
    out().print("The secret is not shown again: keep it now.")


def _show(found: list[dict[str, Any]]) -> None:
    rows = [(key["public_key"], key["name"] or "", "revoked" if key["revoked_at"] else "") for key in found]
    table(out(), ("public key", "name", ""), rows)
