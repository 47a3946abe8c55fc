"""The commands of `attribution`, a module per group; `worker.cli` mounts them.

To add some: a module here with `commands = typer.Typer()` and functions under `@commands.command()`, and a line in
`worker.cli.GROUPS`. `worker.terminal` has the database, `--json` and the bar; raise an AttributionError for what fails
(exit code 1), `typer.BadParameter` for what is typed wrongly (2).
"""
