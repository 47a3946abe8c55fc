"""`attribution demo`, the first five minutes with the program: what it proves, what it refuses, how it ends."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, text

from infra.embedded import Addresses
from tests.dashboard.pages.browser import Browser
from tests.end_to_end.program import Program, eventually, free_port, inside, is_ready, nothing_left, processes_of, run
from tests.stage import LONG_AGO, Stage

BOOKS = {
    "ledger": "select * from commission_entries order by commission_key, seq",
    "inbox": "select id, event_key, state, attempts, finished_at from inbox order by id",
    "commissions": "select * from commissions order by key",
    "history": "select * from product_history order by 1, 2, 3, 4",
    "triggers": "select * from trigger_versions order by key, version",
}


def books(stage: Stage) -> dict[str, list[tuple[Any, ...]]]:
    """Everything a second performance must leave exactly as it was."""
    return {name: stage.ask(query) for name, query in BOOKS.items()}


@dataclass(frozen=True)
class Told:
    """A first performance that has ended."""

    data_dir: Path
    code: int
    output: str


@pytest.fixture(scope="module")
def told(shared_folder: Path) -> Told:
    """`attribution demo --exit` on a DATA_DIR that was not there before, whatever the company's own settings say."""
    data_dir = shared_folder / "data"
    code, output = run(["demo", "--exit"], shared_folder, settings(data_dir, STRIPE_MODE="live"))
    return Told(data_dir, code, output)


def settings(data_dir: Path, **more: str) -> dict[str, str]:
    """Ports that nobody else uses, and a DATA_DIR."""
    return {"DATA_DIR": str(data_dir), "PORT": str(free_port()), "DASHBOARD_PORT": str(free_port()), **more}


@pytest.fixture
def on_servers(engine: Engine, database_url: str, server_addresses: Addresses, folder: Path) -> dict[str, str]:
    """Settings for a demo on a database of the suite's own servers."""
    return settings(folder / "data", DATABASE_URL=database_url, REDIS_URL=server_addresses.redis_url)


@contextmanager
def listening() -> Iterator[int]:
    """The port of something else that listens."""
    with socket.create_server(("0.0.0.0", 0)) as other:
        yield other.getsockname()[1]


def lines_with(output: str, *words: str) -> list[str]:
    """The lines that hold all the words."""
    return [line for line in output.splitlines() if all(word in line for word in words)]


def assert_pages_show_the_story(output: str) -> None:
    """The pages are where the demo says, and what it prints signs in on both sides."""
    (url,) = re.findall(r"pages +(http://localhost:[0-9]+)/", output)
    (said,) = re.findall(r"sign in as (\S+) with the password (\S+)", output)
    (token,) = re.findall(r"partner +http://localhost:[0-9]+/partner\s+sign in with the token (\S+)", output)
    for path, fields in (
        ("/sign-in", dict(zip(("email", "password"), said, strict=True))),
        ("/partner/sign-in", {"token": token}),
    ):
        browser = Browser(url)
        sheet = browser.press(browser.get(path), "Sign in", **fields)
        commissions = browser.get("/commissions" if path == "/sign-in" else "/partner/commissions").text
        assert "Sign out" in sheet.text
        assert "19.80 USD" in commissions
        assert "4.90 USD" in commissions
        browser.close()


def test_the_demo_tells_the_whole_story_and_succeeds(told: Told) -> None:
    """It shows four products, both commissions with their arithmetic, the cancel, exits 0 and leaves no process."""
    assert told.code == 0, told.output
    for name, price, percent in (
        ("Live Chat", "49.00 USD", "10 %"),
        ("Knowledge Base", "79.00 USD", "15 %"),
        ("Surveys", "39.00 USD", "10 %"),
        ("Inbox", "99.00 USD", "20 %"),
    ):
        assert lines_with(told.output, name, price, percent), name
    assert lines_with(told.output, "ada", "Live Chat", "4.90 USD", "49.00 USD line x 10 % = 4.90 USD")
    assert lines_with(told.output, "ada", "Inbox", "19.80 USD", "99.00 USD line x 20 % = 19.80 USD")
    assert "12 deliveries, 6 accepted, 6 duplicate" in told.output
    assert lines_with(told.output, "cancelled Live Chat", "Churned", "Inbox stays Active")
    assert "changed nothing" not in told.output
    assert "Traceback" not in told.output
    assert nothing_left(told.data_dir) == {}


def test_a_second_demo_changes_nothing_and_lasts_until_it_is_stopped(told: Told, shared_folder: Path) -> None:
    """Played again on the same data it says that nothing changed, which is so, stays, and ends well on Ctrl-C."""
    with inside(told.data_dir) as stage:
        before = books(stage)
        program = Program(["demo"], shared_folder, settings(told.data_dir))
        assert program.says("Ctrl-C stops it"), program.output
        assert "12 deliveries, 12 duplicate" in program.output
        assert "playing it again changed nothing" in program.output
        assert f"DATA_DIR={told.data_dir} .venv/bin/attribution explain" in program.output
        (port,) = re.findall(r"http://localhost:([0-9]+)/api/docs", program.output)
        assert eventually(lambda: is_ready(int(port))), program.output
        assert_pages_show_the_story(program.output)
        assert program.stop(signal.SIGINT) == 0
        assert books(stage) == before
    assert nothing_left(told.data_dir) == {}


def test_killed_workers_and_a_wiped_redis_lose_nothing(database_url: str, engine: Engine, folder: Path) -> None:
    """With `--chaos` the story ends with the same two commissions, on a port of its own choosing if PORT is taken."""
    chosen = settings(folder / "data", DATABASE_URL=database_url)
    with listening() as taken:
        code, output = run(["demo", "--exit", "--chaos"], folder, {**chosen, "PORT": str(taken)})
    assert code == 0, output
    assert "Chaos: killing every worker process" in output
    assert "Chaos: wiping Redis" in output
    assert f"Port {taken} is taken; the receiver listens on " in output
    assert [row[2:] for row in Stage(engine).commissions()] == [
        ("sub_gigakick_acme/prod_gigakick_inbox", "ada", 1980, "usd"),
        ("sub_gigakick_acme/prod_gigakick_live_chat", "ada", 490, "usd"),
    ]


@pytest.mark.parametrize("held", ["trigger", "partner"])
def test_the_demo_does_not_mix_with_a_real_program(
    held: str, engine: Engine, on_servers: dict[str, str], folder: Path
) -> None:
    """A database with a trigger or partner of its own is refused by name, with the way out, and stays as it is."""
    stage = Stage(engine)
    if held == "trigger":
        stage.trigger("trg_real", "5")
    else:
        stage.partner("grace")
    code, output = run(["demo", "--exit"], folder, on_servers)
    assert code == 1
    assert f"this database holds a program of its own (1 {held}s)" in output
    assert "set DATA_DIR to a new folder" in output
    assert "Traceback" not in output
    assert stage.ask("select count(*) from product_book") == [(0,)]


def test_a_missing_commission_fails_the_demo(
    engine: Engine, on_servers: dict[str, str], redis_url: str, folder: Path
) -> None:
    """Where somebody has claimed the customer, commissions go astray and the exit code says so; REDIS_URL is spared."""
    claim = """
        insert into claims (subject, cause, partner_key, learnt_at, effective_from)
        values ('stripe:subscription:sub_gigakick_acme', 'person:1', 'nobody', :long_ago, :long_ago)
    """
    with engine.begin() as connection:
        connection.execute(text(claim), {"long_ago": LONG_AGO})
    with redis.Redis.from_url(redis_url) as client:
        client.set("somebody", "else's")
        code, output = run(["demo", "--exit", "--chaos"], folder, on_servers)
        assert client.get("somebody") == b"else's"
    assert code == 1
    assert lines_with(output, "Expected", "490", "1980", "booked is []")
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "worker.app -q worker"),
        (signal.SIGTERM, "worker.app -q worker"),
        (signal.SIGTERM, "infra.embedded.guardian"),
    ],
    ids=["ctrl_c_amid_the_story", "sigterm_amid_the_story", "sigterm_amid_the_start"],
)
def test_a_demo_stopped_in_the_middle_leaves_nothing(
    number: signal.Signals, moment: str, database_url: str, folder: Path
) -> None:
    """Ctrl-C and SIGTERM end it without success, a stack or a process left, whatever it was doing.

    Also where a script started it in the background, with SIGINT ignored.
    """
    data_dir = folder / "data"
    program = Program(["demo", "--exit"], folder, settings(data_dir, DATABASE_URL=database_url), deaf=True)
    assert eventually(lambda: any(moment in command for command in processes_of(data_dir).values())), program.output
    assert program.stop(number) != 0
    assert program.traceback() is None
    assert nothing_left(data_dir) == {}
