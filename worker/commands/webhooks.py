"""`webhooks`: the secrets that sign what others are told, at rest."""

import sys

import typer

from domain.errors import Rejected
from infra.audit import OPERATOR, record_change
from infra.outgoing.seals import Seal, new_key, seal_all
from infra.settings import load_settings
from infra.unit_of_work import unit_of_work_on
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer(no_args_is_help=True, help="Secrets of webhooks to others, at rest.")


@commands.command("new-key")
def make_key() -> None:
    """Print a new key for SEALING_KEYS. Keep it outside the database, and not only here."""
    sys.stdout.write(f"{new_key()}\n")


@commands.command("seal")
def seal(as_json: AsJson = False) -> None:
    """Seal all secrets with the first of SEALING_KEYS: those that lie open, and those that an older key sealed."""
    settings = load_settings()
    if not settings.sealing_keys:
        raise Rejected("SEALING_KEYS is not set; `attribution webhooks new-key` prints a key for it")
    with database(settings) as engine, unit_of_work_on(engine) as connection:
        count = seal_all(connection, Seal(settings.sealing_keys))
        record_change(
            connection,
            actor=OPERATOR,
            action="webhook_endpoints.sealed",
            subject="webhook_endpoints",
            details={"count": count},
        )
    words = "1 secret is" if count == 1 else f"{count} secrets are"
    print_found({"count": count}, as_json, lambda: out().print(f"{words} sealed with the first key."))
