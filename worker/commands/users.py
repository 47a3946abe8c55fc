"""`users`: people of the company who sign in to the pages. A password is never an argument: others could read it."""

import sys
from typing import Annotated

import typer

from infra.audit import OPERATOR, record_change
from infra.clock import system_clock
from infra.people import PASSWORD_LENGTH_MIN, change_password, create_person, shut_out
from infra.unit_of_work import unit_of_work_on
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer(no_args_is_help=True, help="People who sign in to the pages.")


Email = Annotated[str, typer.Argument(help="With what they sign in.")]


@commands.command()
def create(
    email: Email,
    name: Annotated[str | None, typer.Option(help="What they are called.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add somebody. Asks for the password; where there is no terminal, reads it as the first line of standard input."""
    password = _password()
    with database() as engine, unit_of_work_on(engine) as connection:
        address = create_person(connection, email, password, name)
        record_change(connection, actor=OPERATOR, action="person.created", subject=f"person:{address}")
    print_found({"email": address}, as_json, lambda: out().print(f"{address} can sign in now.", markup=False))


@commands.command()
def password(email: Email) -> None:
    """Give somebody a new password, asked for or read as `create` does it; they are signed out everywhere."""
    chosen = _password()
    with database() as engine, unit_of_work_on(engine) as connection:
        address = change_password(connection, email, chosen)
        record_change(connection, actor=OPERATOR, action="person.password_changed", subject=f"person:{address}")
    out().print(f"{address} can sign in with it now.", markup=False)


@commands.command()
def disable(email: Email) -> None:
    """Let somebody in no more, until they are given a new password; they are signed out everywhere."""
    with database() as engine, unit_of_work_on(engine) as connection:
        address = shut_out(connection, email, system_clock())
        record_change(connection, actor=OPERATOR, action="person.disabled", subject=f"person:{address}")
    out().print(f"{address} cannot sign in any more.", markup=False)


def _password() -> str:
    return _ask() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


def _ask() -> str:
    hint = f"Password ({PASSWORD_LENGTH_MIN} characters or more)"
    return str(typer.prompt(hint, hide_input=True, confirmation_prompt=True, err=True))
