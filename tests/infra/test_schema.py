"""The schema comes to be by migrations alone, and the database itself refuses what must never be in the books."""

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DatabaseError

from infra.database import make_engine, migrations_config, upgrade_to_head
from infra.retries import sqlstate_of
from infra.tables import metadata
from tests.builders import item, line, stripe_events
from tests.stage import Stage

CHECK_VIOLATION, UNIQUE_VIOLATION, RESTRICT_VIOLATION, FOREIGN_KEY_VIOLATION = "23514", "23505", "23001", "23503"

ENVELOPE = """
    insert into inbox (provider, event_key, event_type, occurred_at, body_codec, body_bytes, state, next_attempt_at)
    values ('stripe', 'evt_1', 'invoice.paid', now(), 0, 0, {state}, {due})
"""


def copied(
    key: str = "cmsn_other", *, line_key: str = "line_key", amount_minor: int = 0, part: int = 0, adjusts: str = "null"
) -> str:
    """SQL for a commission like the one that is there, but for what is said."""
    return f"""
        insert into commissions (key, trigger_key, trigger_version, occasion_key, transaction_key, line_key,
            partner_key, customer, state, amount_minor, currency, arithmetic, earned_at, part, adjusts)
        select '{key}', trigger_key, trigger_version, occasion_key, transaction_key, {line_key}, partner_key, customer,
            'pending', {amount_minor}, currency, arithmetic, earned_at, {part}, {adjusts} from commissions limit 1
    """


@pytest.fixture
def books(engine: Engine) -> Stage:
    """A database with one commission of 4.90 USD, earned by ada on one payment."""
    stage = Stage(engine)
    stage.product("Live Chat", "prod_chat")
    stage.partner("ada")
    stage.trigger("trg_chat", "10")
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", partner_key="ada"),
            stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_chat", amount=4900)]),
            stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_chat", 4900)]),
        ]
    )
    assert [row[4] for row in stage.commissions()] == [490]
    return stage


@pytest.fixture
def empty_engine(empty_database_url: str) -> Iterator[Engine]:
    """An engine on a database without a schema."""
    engine = make_engine(empty_database_url, application_name="tests")
    yield engine
    engine.dispose()


def execute(engine: Engine, *statements: str) -> None:
    """Run statements in one transaction."""
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def refusal(engine: Engine, *statements: str) -> tuple[str | None, str]:
    """How the database refuses a transaction of these statements: its code and message. Fails if it does not."""
    with pytest.raises(DatabaseError) as caught:
        execute(engine, *statements)
    return sqlstate_of(caught.value), str(caught.value.orig)


def objects(engine: Engine) -> list[tuple[str, str]]:
    """Everything in the schema by kind and name, functions and triggers included."""
    query = """
        select 'relation', c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace
        union select 'function', p.proname::text from pg_proc p where p.pronamespace = 'public'::regnamespace
        union select 'constraint', c.conname::text from pg_constraint c where c.connamespace = 'public'::regnamespace
        union select 'trigger', t.tgname::text from pg_trigger t where not t.tgisinternal
        order by 1, 2
    """
    with engine.connect() as connection:
        return [(str(kind), str(name)) for kind, name in connection.execute(text(query))]


def connected(engine: Engine, what: str) -> None:
    """Run `alembic downgrade base` or `alembic upgrade head`, as an operator's alembic would."""
    config: Config = migrations_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base") if what == "down" else command.upgrade(config, "head")


def test_the_migrations_make_what_the_tables_declare(engine: Engine) -> None:
    """`alembic check` finds no difference between a migrated database and `infra.tables`; every table is there."""
    config = migrations_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.check(config)
    assert set(inspect(engine).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_the_check_is_able_to_fail(engine: Engine) -> None:
    """A column that only the database has is found by the same check."""
    with engine.begin() as connection:
        connection.execute(text("alter table partners add column shoe_size integer"))
    config = migrations_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        with pytest.raises(CommandError, match="shoe_size"):
            command.check(config)


def test_migrations_go_down_and_up_again(empty_engine: Engine) -> None:
    """Downgrading takes everything away, functions included, and upgrading again makes the same schema."""
    upgrade_to_head(empty_engine)
    made = objects(empty_engine)
    connected(empty_engine, "down")
    left = [name for kind, name in objects(empty_engine) if kind != "constraint"]
    assert set(left) == {"alembic_version", "alembic_version_pkc"}
    connected(empty_engine, "up")
    assert objects(empty_engine) == made


def test_books_survive_the_last_migration_both_ways(books: Stage) -> None:
    """Taken back and run again on a database with commissions, the third migration leaves every one as it was."""
    query = "select key, event, occasion_key, transaction_key, subject, due_at, state, amount_minor from commissions"
    before = books.ask(query)
    config: Config = migrations_config()
    with books.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        command.upgrade(config, "0003")
    assert books.ask(query) == before
    assert before[0][1:4] == ("transaction_created", "stripe:in_1", "stripe:in_1")
    assert books.ask("select provider_customer_key, event_key from customer_descriptions") == books.ask(
        "select provider_customer_key, source_event from provider_customers"
    )


def test_bodies_lie_out_of_line_as_they_came(engine: Engine) -> None:
    """The server neither compresses a stored body nor carries it along when its row is claimed or marked."""
    with engine.connect() as connection:
        storage = connection.scalar(
            text("select attstorage from pg_attribute where attrelid = 'inbox'::regclass and attname = 'body'")
        )
        options = connection.scalar(text("select reloptions from pg_class where oid = 'inbox'::regclass"))
    assert storage in ("e", b"e")
    assert "toast_tuple_target=128" in options


@pytest.mark.parametrize(
    "statement",
    [
        "update commission_entries set amount_minor = amount_minor + 1",
        "update commission_entries set cause = 'somebody'",
        "delete from commission_entries",
        "truncate commission_entries",
        "truncate commissions cascade",
        "update trigger_versions set effective_from = effective_from - interval '1 year'",
        "delete from trigger_versions",
    ],
)
def test_history_is_only_added_to(statement: str, books: Stage) -> None:
    """No entry of the ledger and no version of a trigger can be changed, deleted or truncated."""
    before = books.ask("select * from commission_entries") + books.ask("select * from trigger_versions")
    code, message = refusal(books.engine, statement)
    assert code == RESTRICT_VIOLATION
    assert "append-only" in message
    assert books.ask("select * from commission_entries") + books.ask("select * from trigger_versions") == before


@pytest.mark.parametrize(
    "statements",
    [
        ["update commissions set amount_minor = amount_minor + 1"],
        ["insert into commission_entries select commission_key, 2, 5, 495, 'stripe:evt_x' from commission_entries"],
        [copied(part=1, adjusts="key", amount_minor=7)],
    ],
    ids=["amount_alone", "entry_alone", "commission_without_entries"],
)
def test_a_commission_is_the_sum_of_its_entries(statements: list[str], books: Stage) -> None:
    """A transaction that leaves a commission other than its entries' sum cannot commit."""
    code, message = refusal(books.engine, *statements)
    assert code == CHECK_VIOLATION
    assert "its entries add up to" in message
    assert books.ask("select amount_minor from commissions") == [(490,)]


def test_a_commission_and_its_entry_are_written_in_either_order(books: Stage) -> None:
    """Within one transaction the sum may be off for a moment: it is judged at commit."""
    entry = "insert into commission_entries select commission_key, 2, -90, 400, 'stripe:evt_x' from commission_entries"
    with books.engine.begin() as connection:
        connection.execute(text("update commissions set amount_minor = 400"))
        connection.execute(text(entry))
    assert books.ask("select amount_minor from commissions") == [(400,)]


def test_an_entry_of_nothing_says_nothing(books: Stage) -> None:
    """An entry of zero is refused."""
    entry = "insert into commission_entries select commission_key, 2, 0, 490, 'stripe:evt_x' from commission_entries"
    assert refusal(books.engine, entry)[0] == CHECK_VIOLATION


def test_one_cause_has_one_commission(books: Stage) -> None:
    """A second commission for the same trigger, transaction, line, partner and instalment is refused."""
    code, message = refusal(books.engine, copied())
    assert code == UNIQUE_VIOLATION
    assert "commissions_cause_key" in message


def test_one_cause_on_the_whole_payment_has_one_commission(books: Stage) -> None:
    """That there is no line, because the trigger pays once on the whole, does not make two causes of one."""
    code, _ = refusal(books.engine, copied("cmsn_2", line_key="null"), copied("cmsn_3", line_key="null"))
    assert code == UNIQUE_VIOLATION


@pytest.mark.parametrize("state", ["approved", "paid", "declined"])
def test_what_was_settled_stands(state: str, books: Stage) -> None:
    """The amount of an approved, paid or declined commission cannot be edited, not even with an entry for it."""
    reason = "'fraud'" if state == "declined" else "null"
    with books.engine.begin() as connection:
        connection.execute(text(f"update commissions set state = '{state}', decline_reason = {reason}"))
    entry = "insert into commission_entries select commission_key, 2, -90, 400, 'stripe:evt_x' from commission_entries"
    code, message = refusal(books.engine, entry, "update commissions set amount_minor = 400")
    assert code == RESTRICT_VIOLATION
    assert "its amount stands" in message
    assert books.ask("select amount_minor, state from commissions") == [(490, state)]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'spent'", "commissions_state_check"),
        ("state = 'declined'", "commissions_decline_reason_check"),
        ("decline_reason = 'fraud'", "commissions_decline_reason_check"),
        ("state = 'reversed'", "commissions_reversed_is_zero_check"),
        ("part = 1", "commissions_adjusts_check"),
        ("adjusts = key", "commissions_adjusts_check"),
    ],
)
def test_states_of_a_commission_mean_what_they_say(change: str, constraint: str, books: Stage) -> None:
    """Unknown states, a decline without a reason, a reversal that still pays and a loose clawback are refused."""
    code, message = refusal(books.engine, f"update commissions set {change}")
    assert code == CHECK_VIOLATION
    assert constraint in message


@pytest.mark.parametrize(
    ("state", "due"),
    [
        ("'received'", "null"),
        ("'waiting'", "null"),
        ("'processed'", "now()"),
        ("'ignored'", "now()"),
        ("'dead'", "now()"),
    ],
)
def test_an_open_envelope_is_due_and_a_closed_one_is_not(state: str, due: str, engine: Engine) -> None:
    """Nothing is silently stuck: what is open without a due time, or done with one, is refused."""
    code, message = refusal(engine, ENVELOPE.format(state=state, due=due))
    assert code == CHECK_VIOLATION
    assert "inbox_due_while_open_check" in message


def test_an_envelope_has_a_state_we_know(engine: Engine) -> None:
    """There is no `processing` that a crash could leave behind, and nothing else unknown."""
    code, message = refusal(engine, ENVELOPE.format(state="'processing'", due="null"))
    assert code == CHECK_VIOLATION
    assert "inbox_state_check" in message


def test_an_event_is_stored_once(engine: Engine) -> None:
    """A second row for the same provider and event is refused, whatever state the first is in."""
    first = ENVELOPE.format(state="'processed'", due="null")
    assert refusal(engine, first, ENVELOPE.format(state="'received'", due="now()"))[0] == UNIQUE_VIOLATION


@pytest.mark.parametrize(
    "statement",
    [
        "delete from transactions",
        "delete from customers",
        "delete from partners",
        "update commissions set partner_key = 'nobody'",
        "update commissions set trigger_version = 99",
    ],
)
def test_a_commission_keeps_what_it_names(statement: str, books: Stage) -> None:
    """What a commission was earned on, by whom and under which version cannot vanish from under it."""
    assert refusal(books.engine, "delete from transaction_lines", statement)[0] == FOREIGN_KEY_VIOLATION


@pytest.mark.parametrize("currency", ["USD", "us", "dollars"])
def test_a_currency_is_three_small_letters(currency: str, books: Stage) -> None:
    """A transaction in a currency spelt otherwise is refused."""
    assert refusal(books.engine, f"update transactions set currency = '{currency}'")[0] == CHECK_VIOLATION
