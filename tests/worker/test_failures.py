"""What becomes of events that fail, and that no word of a customer gets into reasons, groups or logs."""

import copy
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from domain.errors import CannotProcess, TryLater, Unreadable
from infra.failures import failure_mark, fingerprint_of, reason_of
from infra.inbox import Envelope, InboxState
from infra.log import configure_logging
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from infra.providers.stripe.translate import translate
from infra.retries import ATTEMPTS_MAX
from tests.stage import Stage

NOW = datetime(2026, 4, 1, tzinfo=UTC)
CANARY = "canary.bird@example.com"
NAME = "Canary Bird"


def _envelope(attempts: int = 1, kind: str = "invoice.paid", key: str = "evt_1AbcdEFG") -> Envelope:
    return Envelope(1, "stripe", key, kind, NOW, False, None, attempts, 0, b"", 0)


def _refused(statement: str, engine: Engine) -> DBAPIError:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text(statement))
    return caught.value


# What comes again, and when.


def test_what_may_pass_comes_again_later_each_time_and_ends() -> None:
    """TryLater waits about 2 s, 8 s, 30 s, ... and is dead after the last attempt."""
    waits = []
    for attempts in range(1, ATTEMPTS_MAX):
        mark = failure_mark(_envelope(attempts), TryLater("Stripe is busy"), NOW)
        assert mark.state is InboxState.RECEIVED
        assert mark.next_attempt_at is not None
        waits.append(mark.next_attempt_at - NOW)
    assert timedelta(seconds=1.5) <= waits[0] <= timedelta(seconds=2.5)
    assert timedelta(seconds=6) <= waits[1] <= timedelta(seconds=10)
    assert timedelta(hours=12) < sum(waits, timedelta()) < timedelta(hours=36)
    last = failure_mark(_envelope(ATTEMPTS_MAX), TryLater("Stripe is busy"), NOW)
    assert (last.state, last.next_attempt_at, last.reason) == (InboxState.DEAD, None, "Stripe is busy")


@pytest.mark.parametrize("error", [Unreadable("no - at `$`"), CannotProcess("no"), ValueError("x"), RecursionError()])
def test_what_cannot_pass_is_dead_at_once(error: Exception) -> None:
    """On its first attempt, with a reason and a group."""
    mark = failure_mark(_envelope(), error, NOW)
    assert (mark.state, mark.next_attempt_at) == (InboxState.DEAD, None)
    assert mark.reason
    assert mark.fingerprint == fingerprint_of(_envelope(), error)


@pytest.mark.parametrize(
    ("sqlstate", "passes"),
    [
        ("40001", True),
        ("40P01", True),
        ("57014", True),
        ("55P03", True),
        ("23505", True),
        ("53200", True),
        ("22003", False),
    ],
)
def test_the_databases_refusals_pass_or_do_not(sqlstate: str, passes: bool) -> None:
    """Deadlocks, time limits and lost races come again; an impossible value never does."""
    error = DBAPIError("insert", {}, psycopg.errors.lookup(sqlstate)(f"value {CANARY}"))
    mark = failure_mark(_envelope(), error, NOW)
    assert mark.state is (InboxState.RECEIVED if passes else InboxState.DEAD)
    assert sqlstate in str(mark.reason)
    assert CANARY not in f"{mark}"


# What is said about it.


def test_an_unknown_error_shows_where_it_arose_and_no_value() -> None:
    """The operator reads the kind of error and the place; its message, which may hold a payload, stays out."""

    def stumble() -> None:
        raise KeyError(CANARY)

    with pytest.raises(KeyError) as caught:
        stumble()
    reason = reason_of(caught.value)
    assert reason.startswith("KeyError in stumble, line ")
    assert CANARY not in reason + fingerprint_of(_envelope(), caught.value)


def test_what_the_database_refused_is_named_by_its_constraint(engine: Engine) -> None:
    """A code, a constraint; never the row that PostgreSQL quotes in its own message."""
    columns = "key, provider, currency, occurred_at, source_version, source_at, source_rank, source_event"
    values = f"'{CANARY}', 'stripe', 'USD', now(), 0, now(), 0, 'evt'"
    error = _refused(f"insert into transactions ({columns}) values ({values})", engine)
    assert CANARY in str(error.orig)
    assert reason_of(error) == "the database refused it: CheckViolation 23514 transactions_currency_check"
    assert fingerprint_of(_envelope(), error).endswith("23514 transactions_currency_check")


@pytest.mark.parametrize("character", ["\x00", "\n", "\x1b", "\ud800"])
def test_reasons_hold_nothing_that_cannot_be_written_down(character: str) -> None:
    """NUL, controls and halves of surrogate pairs become question marks: a mark must never fail on its reason."""
    mark = failure_mark(_envelope(), CannotProcess(f"a{character}b"), NOW)
    assert mark.reason == "a?b"
    assert mark.fingerprint is not None
    assert mark.fingerprint.endswith("a?b")
    assert msgspec.json.encode(mark)


def test_reasons_and_groups_have_an_end() -> None:
    """However long an error's message is."""
    mark = failure_mark(_envelope(), CannotProcess("x" * 100_000), NOW)
    assert len(str(mark.reason)) == 500
    assert len(str(mark.fingerprint)) == 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Stripe refused /v1/invoices/in_1AbCdEfGh/lines with status 404",
         "Stripe refused /v1/invoices/in_9ZyXwVuTs/lines with status 404", True),
        ("line 17 of 20", "line 3 of 4", True),
        ("missing field `paid_at` - at `$.data`", "missing field `created` - at `$.data`", False),
        ("missing field `period_start_at`", "missing field `period_end_at`", False),
    ],
)  # fmt: skip
def test_one_fault_is_one_group(one: str, other: str, same: bool) -> None:
    """Provider ids and numbers do not split a group; names of fields do."""
    groups = {fingerprint_of(_envelope(), CannotProcess(message)) for message in (one, other)}
    assert len(groups) == (1 if same else 2)


def test_groups_part_by_type_and_kind_of_error() -> None:
    """The same message on another event type, or of another kind, is another group."""
    groups = {
        fingerprint_of(_envelope(), CannotProcess("no")),
        fingerprint_of(_envelope(kind="customer.created"), CannotProcess("no")),
        fingerprint_of(_envelope(), Unreadable("no")),
    }
    assert len(groups) == 3


# The canary: a customer's mail and name, in every place of every event.


def _events() -> list[dict[str, Any]]:
    return [
        stripe.customer("cus_1", email=CANARY, name=NAME, partner_key="ada"),
        stripe.subscription("sub_1", customer="cus_1", items=[item("prod_a")], metadata={CANARY: NAME}),
        stripe.invoice_paid("in_1", customer="cus_1", lines=[line("prod_a", 4900)], subscription="sub_1"),
    ]


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inside:
        yield from _places(value, (*path, key))


def _spoilt(event: dict[str, Any], path: tuple[Any, ...], value: object) -> bytes:
    changed = copy.deepcopy(event)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(changed).encode()


SPOILERS: tuple[object, ...] = (
    CANARY, {CANARY: CANARY}, [CANARY], {"id": CANARY, "object": CANARY}, [{"id": CANARY, "amount": CANARY}],
)  # fmt: skip


@pytest.mark.parametrize("event", _events(), ids=lambda event: event["type"])
def test_no_fault_of_an_event_shows_what_it_holds(event: dict[str, Any]) -> None:
    """A customer's mail in any place of an event, as any kind of value, gets into no reason and no group."""
    failed = 0
    for path in _places(event["data"]["object"], ("data", "object")):
        for spoiler in SPOILERS:
            error = _error_of(event, _spoilt(event, path, spoiler))
            if error is not None:
                failed += 1
                mark = failure_mark(_envelope(kind=event["type"]), error, NOW)
                assert CANARY not in f"{mark.reason} {mark.fingerprint}", (path, spoiler)
    assert failed > 20


def _error_of(event: dict[str, Any], body: bytes) -> Unreadable | None:
    try:
        translate(event["type"], event["id"], NOW, body)
    except Unreadable as error:
        return error
    return None


@contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """All logging of this process goes to a file meanwhile, and afterwards where it went before."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    written = os.open(path, os.O_CREAT | os.O_WRONLY)
    configure_logging("test", fd=written)
    try:
        yield
    finally:
        # Before it is closed: its number will soon be another file's.
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.raiseExceptions = raising
        logging.captureWarnings(False)
        structlog.reset_defaults()
        os.close(written)


def test_nothing_of_a_payload_gets_into_the_log(engine: Engine, tmp_path: Path) -> None:
    """Good, unreadable and refused events that hold a customer's mail and name leave neither in log or inbox."""
    stage = Stage(engine)
    good, also_good, invoice = _events()
    bad = copy.deepcopy(_events()[2]) | {"id": "evt_bad"}
    bad["data"]["object"]["lines"]["data"][0]["amount"] = CANARY
    huge = stripe.subscription(
        "sub_2", customer="cus_1", items=[item("prod_a", quantity=10**30)], metadata={"x": CANARY}
    )
    with _logged_to(tmp_path / "log"):
        stage.play([good, also_good, invoice, bad, huge])
    logged = (tmp_path / "log").read_text()
    said = json.dumps(stage.ask("select reason, fingerprint, cast(outcome as text) from inbox"))
    assert "batch.processed" in logged
    assert "event.died" in logged
    for secret in (CANARY, NAME, "canary"):
        assert secret not in logged
        assert secret not in said


# Poison: the worst texts and numbers JSON can hold.


POISON: dict[str, str] = {
    "nul": r"\u0000", "half_a_pair": r"\ud800", "wrong_order": r"\udc00\ud800", "escape": r"\u001b[31m",
    "quote": r"'; drop table inbox; --", "not_a_character": r"\uffff", "percent": r"%(id)s %s :id {}",
}  # fmt: skip


def _store_raw(stage: Stage, event: dict[str, Any], body: bytes) -> None:
    """Bytes that no serializer of ours would write."""
    stage.store([event])
    with stage.engine.begin() as connection:
        connection.execute(
            text("update inbox set body = :body, body_codec = 0, body_bytes = :size where event_key = :key"),
            {"body": body, "size": len(body), "key": event["id"]},
        )


def test_poisonous_texts_stop_nobody_else(engine: Engine) -> None:
    """Each ends processed or dead with a reason, and every neighbour in the batch is processed."""
    stage = Stage(engine)
    neighbours = [stripe.customer(f"cus_n{number}", event_key=f"evt_n{number}") for number in range(20)]
    stage.store(neighbours)
    for name, poison in POISON.items():
        described: dict[str, Any] = {"name": "POISON", "metadata": {"a": "POISON", "POISON": "b"}}
        lines = [line("prod_a", 100, description="POISON", price="POISON")]
        for event in (
            stripe.customer(f"cus_{name}", event_key=f"evt_c_{name}", **described),
            stripe.invoice_paid(f"in_{name}", event_key=f"evt_i_{name}", customer="cus_n1", lines=lines),
        ):
            _store_raw(stage, event, json.dumps(event).replace("POISON", poison).encode())
    stage.drainer.sweep()
    states = dict(stage.ask("select event_key, state from inbox"))
    assert {states[event["id"]] for event in neighbours} == {"processed"}
    assert {states[f"evt_c_{name}"] for name in ("nul", "escape", "quote", "percent")} == {"processed"}
    assert set(states.values()) <= {"processed", "dead"}
    assert stage.ask("select count(*) from inbox where (state = 'dead') <> (reason is not null)") == [(0,)]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30, 10**16])
def test_numbers_beyond_reason_are_dead_at_once(engine: Engine, number: int) -> None:
    """No amount, quantity or total overflows on the way: the event is dead, its neighbour processed."""
    stage = Stage(engine)
    stage.play(
        [
            stripe.invoice_paid("in_1", customer="cus_1", lines=[line("prod_a", number)], event_key="evt_amount"),
            stripe.invoice_paid(
                "in_2", customer="cus_1", lines=[line("prod_a", 1, quantity=number)], event_key="evt_2"
            ),
            stripe.subscription("sub_1", customer="cus_1", items=[item("prod_a", amount=number)], event_key="evt_3"),
            stripe.customer("cus_2", event_key="evt_neighbour"),
        ]
    )
    states = dict(stage.ask("select event_key, state from inbox"))
    assert states["evt_neighbour"] == "processed"
    assert states["evt_amount"] == "dead"
    assert set(states.values()) == {"processed", "dead"}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.text(st.characters(categories=None)))
def test_every_failure_can_be_written_down(message: str) -> None:
    """Whatever an error says, its mark encodes as JSON without NUL: what PostgreSQL takes."""
    mark = failure_mark(_envelope(), CannotProcess(message), NOW)
    assert b"\\u0000" not in msgspec.json.encode(mark)
