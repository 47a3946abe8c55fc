"""`users`: people of the company who sign in to the pages. A password is never an argument: others could read it."""

import sys
from typing import Annotated

import typer

from infra.audit import OPERATOR, record_change
from infra.people import PASSWORD_LENGTH_MIN, create_person
from infra.unit_of_work import unit_of_work_on
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer(no_args_is_help=True, help="People who sign in to the pages.")


@commands.callback()
def _group() -> None:
    """Keeps `create` a command of its own while it is the only one."""


@commands.command()
def create(
    email: Annotated[str, typer.Argument(help="With what they sign in.")],
    name: Annotated[str | None, typer.Option(help="What they are called.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add somebody. Asks for the password; where there is no terminal, reads it as the first line of standard input."""
    password = _ask() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    with database() as engine, unit_of_work_on(engine) as connection:
        address = create_person(connection, email, password, name)
        record_change(connection, actor=OPERATOR, action="person.created", subject=f"person:{address}")
    print_found({"email": address}, as_json, lambda: out().print(f"{address} can sign in now.", markup=False))


def _ask() -> str:
    hint = f"Password ({PASSWORD_LENGTH_MIN} characters or more)"
    return str(typer.prompt(hint, hide_input=True, confirmation_prompt=True, err=True))
