"""Database roles of their own for receiver and worker, made by the very statements of docs/operations.md."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from infra.database import make_engine
from infra.providers.stripe import example_events as stripe
from infra.settings import load_settings
from tests.conftest import REPOSITORY
from tests.stage import Stage
from tests.webhooks.receiver_process import event_body, running
from worker.drain import Drain

PASSWORD = "p-of-this-test"
_GONE = """
    revoke all on all tables in schema public from R;
    alter default privileges in schema public revoke all on tables from R;
    revoke all on schema public from R;
    drop role R
"""


@pytest.fixture
def roles(database_url: str) -> Iterator[dict[str, str]]:
    """The database's address for each role of the page, which are gone afterwards."""
    page = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sql\n(create role.*?)```", page, flags=re.DOTALL)
    names = sorted(set(re.findall(r"create role (\w+)", block)))
    own = {name: f"{name}_{uuid.uuid4().hex[:8]}" for name in names}
    statements = re.sub(
        "|".join(names), lambda found: own[found[0]], re.sub("password '.*?'", f"password '{PASSWORD}'", block)
    )
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(statements.encode())
        try:
            yield {
                name: make_url(database_url).set(username=role, password=PASSWORD).render_as_string(hide_password=False)
                for name, role in own.items()
            }
        finally:
            for role in own.values():
                owner.execute(_GONE.replace("R", f'"{role}"').encode())


def assert_refused(url: str, *statements: str) -> None:
    """Each by the database, for want of a right."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_receiver_needs_no_more_than_to_insert(
    roles: dict[str, str], database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """With a role that may add events and read their keys it does all it does, and nothing else can be done with it."""
    url = roles["attribution_receiver"]
    with running(tmp_path, DATABASE_URL=url, REDIS_URL=redis_url) as receiver:
        said = [receiver.deliver(event_body("evt_1")).json()["status"] for _ in range(2)]
        assert said == ["accepted", "duplicate"]
        assert receiver.client.get("/readyz").status_code == 200
        assert "InsufficientPrivilege" not in receiver.log()
    assert_refused(
        url,
        "select body from inbox",
        "update inbox set state = 'ignored'",
        "delete from inbox",
        "truncate inbox",
        "select * from customers",
        "insert into commissions default values",
        "select * from api_keys",
        "create table mine (x int)",
        "alter table inbox add column x int",
    )


def test_the_worker_changes_rows_and_no_tables(roles: dict[str, str], database_url: str) -> None:
    """With its role an event is worked as ever; no table can be made, changed, emptied or dropped."""
    url = roles["attribution_worker"]
    owner = make_engine(database_url, application_name="tests", pool_size=2)
    worker = make_engine(url, application_name="tests", pool_size=2)
    try:
        stage = Stage(owner)
        stage.product("Inbox", "prod_inbox")
        stage.store([stripe.customer("cus_1", event_key="evt_1", partner_key="ada")])
        report = Drain(worker, load_settings({}, env_file=None)).sweep()
        assert (report.failed_count, stage.ask("select state from inbox where provider = 'stripe'")) == (
            0, [("processed",)]
        )  # fmt: skip
    finally:
        worker.dispose()
        owner.dispose()
    assert_refused(
        url,
        "create table mine (x int)",
        "alter table inbox add column x int",
        "drop table commissions",
        "truncate commission_entries",
        "alter table commissions disable trigger user",
    )
