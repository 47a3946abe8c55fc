"""`explain`: why a payment, or whatever else a commission was earned on, earned what it did."""

from typing import Annotated

import typer

from infra.occasion_explanations import any_document, explain_any
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
    """Say for every trigger why it fired or not: on a transaction, or on what a commission was earned on."""
    settings = load_settings()
    with database(settings) as engine, unit_of_work_on(engine) as connection:
        explained = explain_any(connection, name, settings)
    print_found(any_document(explained), as_json, lambda: showing.explanation(out(), explained))
