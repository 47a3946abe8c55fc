"""A release that changes the inbox's own table, while deliveries come in."""

from pathlib import Path

from alembic import command

from infra.database import make_engine, migrations_config, migrations_current, upgrade_to_head
from tests.webhooks.receiver_process import running
from tests.webhooks.test_crashed_servers import Load

#: Later ones add a column to the inbox, and indexes.
_BEFORE = "0007"


def test_a_migration_turns_nobody_away(empty_database_url: str, redis_url: str, tmp_path: Path) -> None:
    """From an older schema to the newest amid deliveries: every one of them is answered with 200 (F79)."""
    engine = make_engine(empty_database_url, application_name="tests", pool_size=2)
    try:
        config = migrations_config()
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, _BEFORE)
        assert not migrations_current(engine)
        with (
            running(tmp_path, DATABASE_URL=empty_database_url, REDIS_URL=redis_url) as receiver,
            Load(receiver) as load,
        ):
            load.wait_for_more(30)
            upgrade_to_head(engine)
            load.wait_for_more(30)
        assert migrations_current(engine)
        assert load.statuses == {200}
    finally:
        engine.dispose()
