"""A long queue: what arrives behind it does not wait for all of it, and its length does not make claims slow."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from infra.inbox import CLAIM_OLDEST, InboxState, Mark, claim_newest, claim_on, mark
from infra.providers.stripe import example_events as stripe
from infra.unit_of_work import unit_of_work
from tests.stage import LONG_AGO, Stage


def test_one_customers_flood_keeps_no_newcomer_waiting(engine: Engine) -> None:
    """Behind 700 payments of one customer, another's payment is booked long before they are (F45, F50)."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play([stripe.customer(f"cus_{n}", event_key=f"evt_c{n}", partner_key="ada", at=LONG_AGO) for n in (1, 2)])
    stage.store(_payment(number, 1) for number in range(700))
    with engine.begin() as connection:
        connection.execute(
            text("update inbox set next_attempt_at = now() - interval '1 minute' where state = 'received'")
        )
    stage.store([_payment(9999, 2)])
    stage.drainer.run(slice_s=0)  # one batch of the backlog, and what follows it
    assert stage.ask("select state from inbox where event_key = 'evt_i9999'") == [("processed",)]
    assert stage.ask("select count(*) > 100 from inbox where state = 'received'") == [(True,)]
    stage.drainer.run(slice_s=60)
    assert stage.ask("select count(*), sum(amount_minor) from commission_entries") == [(701, 70_100)]


def _payment(number: int, customer: int) -> dict[str, Any]:
    return stripe.invoice_paid(
        f"in_{number}",
        event_key=f"evt_i{number}",
        customer=f"cus_{customer}",
        subscription=f"sub_{customer}",
        lines=[stripe.line("prod_inbox", 1000)],
    )


def test_a_backlog_is_gone_through_from_where_it_was_left(engine: Engine) -> None:
    """Claim after claim begins where the last one ended; what came due behind that is found from the front again."""
    stage = _stored(engine, 5)
    _spread(stage)
    with stage.engine.connect() as connection:
        first, since = claim_on(connection, 2, None)
        with engine.begin() as other:
            other.execute(text("""
                update inbox set next_attempt_at = now() - interval '1 hour' where event_key = 'evt_4'
            """))  # fmt: skip
        connection.commit()
        second, since = claim_on(connection, 2, since)
        rest, since_rest = claim_on(connection, 2, since)
        behind, _ = claim_on(connection, 2, None)
    assert [[e.event_key for e in each] for each in (first, second, rest, behind)] == [
        ["evt_0", "evt_1"], ["evt_2", "evt_3"], [], ["evt_4"],
    ]  # fmt: skip
    assert since_rest is None


def test_what_has_just_come_due_is_taken_newest_first(engine: Engine) -> None:
    """The newest of the last seconds, and nothing older, however much of that is due."""
    stage = _stored(engine, 6)
    _spread(stage, "4 seconds")
    with stage.engine.connect() as connection:
        newest = claim_newest(connection, 2)
        others = claim_newest(connection, 10)
    assert [envelope.event_key for envelope in newest] == ["evt_4", "evt_5"]
    assert [envelope.event_key for envelope in others] == ["evt_3"]


def _spread(stage: Stage, step: str = "1 minute") -> None:
    """Due one after the other, the last one just now."""
    with stage.engine.begin() as connection:
        connection.execute(
            text("""
                update inbox set next_attempt_at = now() - cast(:step as interval) * (
                    (select count(*) from inbox) - 1 - cast(substr(event_key, 5) as int))
            """),
            {"step": step},
        )


def test_a_long_transaction_makes_claims_of_a_backlog_no_slower(engine: Engine) -> None:
    """While nothing can be vacuumed, a claim in a backlog reads what is due, not all that was done before it (F48)."""
    with engine.begin() as connection:
        connection.execute(_MANY)
    with engine.connect() as forgotten, engine.connect() as working:
        forgotten.execute(text("set transaction isolation level repeatable read"))
        forgotten.execute(text("select count(*) from inbox"))
        since = None
        for _ in range(40):
            with unit_of_work(working):
                claimed, since = claim_on(working, 200, since)
            with unit_of_work(working):
                mark(working, [Mark(each.id, each.attempts, InboxState.PROCESSED) for each in claimed])
        assert since is not None
        from_there, from_the_front = (_pages_read(working, each) for each in (since, None))
    assert from_there < 200
    assert from_the_front > 5 * from_there


_MANY = text("""
    insert into inbox (provider, event_key, event_type, occurred_at, body_codec, body_bytes, body, next_attempt_at)
    select 'stripe', 'evt_' || n, 'none', now(), 0, 1, 'x', now() - interval '1 hour' + n * interval '1 ms'
    from generate_series(1, 9000) n
""")


def _pages_read(connection: Connection, since: datetime | None) -> int:
    """How many pages the search of a claim touches."""
    query = CLAIM_OLDEST.split("with due as (")[1].split(")\nupdate")[0].replace("for update skip locked", "")
    plan = connection.scalar(
        text(f"explain (analyze, buffers, format json) {query}"), {"since": since, "count": 200}
    )  # fmt: skip
    connection.rollback()
    assert "inbox_due" in str(plan)
    top = plan[0]["Plan"]
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])


def _stored(engine: Engine, count: int) -> Stage:
    stage = Stage(engine)
    stage.store(stripe.customer(f"cus_{number}", event_key=f"evt_{number}") for number in range(count))
    return stage
