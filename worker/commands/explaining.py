"""`explain`: why a payment earned what it did."""

from typing import Annotated

import typer

from infra.explanations import document, explain_by_name
from infra.settings import load_settings
from infra.unit_of_work import unit_of_work_on
from worker import showing
from worker.terminal import AsJson, database, out, print_found

commands = typer.Typer()


@commands.command()
def explain(
    name: Annotated[str, typer.Argument(help="A transaction (stripe:in_... or in_...) or a commission (cmsn_...).")],
    as_json: AsJson = False,
) -> None:
    """Say for every trigger why it fired on a transaction or not: each condition, expected and actual."""
    settings = load_settings()
    with database(settings) as engine, unit_of_work_on(engine) as connection:
        explained = explain_by_name(connection, name, settings)
    print_found(document(explained), as_json, lambda: showing.explanation(out(), explained))
