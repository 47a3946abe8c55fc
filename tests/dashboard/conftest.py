"""A running management API over real HTTP, and callers with credentials. `api` has a fresh program per test.

One process serves the whole session: its database is emptied between tests, which costs far less than a process each.
"""

from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import Engine, text

from infra.access import create_api_key
from infra.database import make_engine
from infra.embedded import Addresses
from infra.tables import metadata
from infra.unit_of_work import unit_of_work_on
from tests.conftest import new_database
from tests.dashboard.running import Api, DashboardProcess, running
from tests.stage import Stage


@pytest.fixture(scope="session")
def dashboard_engine(server_url: str, template_database: str) -> Iterator[Engine]:
    """The shared process's database."""
    with new_database(server_url, template_database) as url:
        engine = make_engine(url, application_name="tests", pool_size=10, statement_timeout_s=60)
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def dashboard_process(
    dashboard_engine: Engine, server_addresses: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DashboardProcess]:
    """The shared process; tests leave it able to work."""
    url = dashboard_engine.url.render_as_string(hide_password=False)
    with running(
        tmp_path_factory.mktemp("dashboard"),
        DATABASE_URL=url,
        REDIS_URL=server_addresses.redis_url,
        API_REQUESTS_PER_MINUTE="1000000",
        WEBHOOK_TARGETS_ALLOWED="127.0.0.0/8",
    ) as process:
        yield process


@pytest.fixture
def dashboard(
    dashboard_process: DashboardProcess, dashboard_engine: Engine, server_addresses: Addresses
) -> DashboardProcess:
    """The shared process with an empty program."""
    empty(dashboard_engine)
    with redis.Redis.from_url(server_addresses.redis_url) as client:
        client.flushdb()
    return dashboard_process


def empty(engine: Engine) -> None:
    """Every table as after the migrations; what is only added to is emptied with its guards asleep."""
    names = [f'"{name}"' for name in metadata.tables]
    with engine.begin() as connection:
        for change in ("disable", "enable"):
            connection.execute(text("; ".join(f"alter table {name} {change} trigger user" for name in names)))
            if change == "disable":
                connection.execute(text(f"truncate {', '.join(names)} restart identity"))
        connection.execute(text("insert into program_revision (revision) values (0)"))


@pytest.fixture
def stage(dashboard: DashboardProcess, dashboard_engine: Engine) -> Stage:
    """The program behind `api`: events can be played on it, and its tables be looked at."""
    return Stage(dashboard_engine)


@pytest.fixture
def api(dashboard: DashboardProcess, dashboard_engine: Engine) -> Iterator[Api]:
    """A program with an API key."""
    with unit_of_work_on(dashboard_engine) as connection:
        key = create_api_key(connection, "tests")
    caller = Api(dashboard.url, (key.public_key, key.secret_key))
    yield caller
    caller.client.close()


@pytest.fixture
def nobody(dashboard: DashboardProcess) -> Iterator[Api]:
    """A caller without credentials."""
    caller = Api(dashboard.url)
    yield caller
    caller.client.close()
