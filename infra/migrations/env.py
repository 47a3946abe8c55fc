"""How alembic runs here: on the connection it is handed, each migration in a transaction of its own.

The command line (`alembic check`, `alembic revision`) hands over none; then the settings say where the database is.
"""

from alembic import context
from sqlalchemy import Connection

from infra.database import make_engine
from infra.settings import SettingsError, load_settings
from infra.tables import metadata


def run(connection: Connection) -> None:
    """Run what was asked for, compared with the tables as declared."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_from_command_line() -> None:
    """Run on the database that the settings name."""
    url = load_settings().database_url
    if url is None:
        raise SettingsError(("DATABASE_URL: is not set; alembic's own command line needs a running database",))
    with make_engine(url, application_name="alembic", pool_size=1).connect() as connection:
        run(connection)


handed_over = context.config.attributes.get("connection")
if handed_over is None:
    run_from_command_line()
else:
    run(handed_over)
