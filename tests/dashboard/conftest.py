"""A running management API over real HTTP, and callers with credentials. `api` has a fresh program per test.

One process serves the whole session: its database is emptied between tests, which costs far less than a process each.
"""

from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import Engine, text

from infra.access import create_api_key, create_member_token
from infra.database import make_engine
from infra.embedded import Addresses
from infra.program_changes import create_partner
from infra.tables import metadata
from infra.unit_of_work import unit_of_work_on
from tests.builders import item, line, stripe_events
from tests.conftest import new_database
from tests.dashboard.running import Api, DashboardProcess, running
from tests.infra.told import SEALING_KEY
from tests.stage import LONG_AGO, Stage


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
        SEALING_KEYS=SEALING_KEY,
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
    with Api(dashboard.url, (key.public_key, key.secret_key)) as caller:
        yield caller


@pytest.fixture
def member(dashboard: DashboardProcess, dashboard_engine: Engine) -> Iterator[Api]:
    """bob of the partner ada, with a token."""
    with unit_of_work_on(dashboard_engine) as connection:
        create_partner(connection, "ada", {"members": [{"member_key": "bob"}]}, LONG_AGO)
        _, token = create_member_token(connection, "ada", "bob")
    with Api(dashboard.url, token=token) as caller:
        yield caller


@pytest.fixture
def nobody(dashboard: DashboardProcess) -> Iterator[Api]:
    """A caller without credentials."""
    with Api(dashboard.url) as caller:
        yield caller


@pytest.fixture
def played(stage: Stage) -> Stage:
    """ada's customer paid 49.00 for Live Chat and 99.00 for Inbox, under 10 % and 20 %."""
    stage.product("Live Chat", "prod_chat")
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    for key, percent, name in (("trg_chat", "10", "Live Chat"), ("trg_inbox", "20", "Inbox")):
        stage.trigger(key, percent, rules={"field": "product.name", "op": "is_any_of", "value": [name]})
    paid = [line("prod_chat", 4900), line("prod_inbox", 9900)]
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", partner_key="ada"),
            stripe_events.subscription(
                "sub_1", customer="cus_1", items=[item("prod_chat", amount=4900), item("prod_inbox", amount=9900)]
            ),
            stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=paid),
        ]
    )
    assert sorted(row[4] for row in stage.commissions()) == [490, 1980]
    return stage
