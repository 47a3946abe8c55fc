"""The GigaKick story, played on the real program: signed webhooks over HTTP, real processes, real servers.

Its events carry fixed ids and times, so that playing it again on the same data must change nothing.
"""

import contextlib
import http.client
import json
import os
import random
import secrets
import shlex
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import redis
import structlog
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine

from domain.errors import Rejected, TryLater
from infra.clock import system_clock
from infra.database import make_engine
from infra.embedded import Addresses, servers
from infra.inbox import due_count
from infra.providers.stripe.example_events import body
from infra.providers.stripe.verify import sign
from infra.rows import fetch
from infra.settings import Settings, default_data_dir
from infra.unit_of_work import unit_of_work_on
from worker import demo_guests, showing_demo, story
from worker.processes import process_specs
from worker.showing import waiting
from worker.supervisor import Supervisor
from worker.up import prepare_database

log = structlog.get_logger()

_READY_WITHIN_S = 60.0
_SETTLED_WITHIN_S = 90.0
_POST_ATTEMPTS_MAX = 40
_POST_PAUSE_S = 0.25


#: The story is told under settings of its own: what the company's say about real events is not for these.
_STORY_SETTINGS = {
    "STRIPE_API_KEY": "",
    "STRIPE_MODE": "any",
    "COMMISSION_BASIS": "net",
    "ATTRIBUTION_LOOKBACK_DAYS": "30",
}


def run_demo(settings: Settings, out: Console, *, exit_afterwards: bool, chaos: bool) -> int:
    """Play the story and show it. Exit code 0 only if every expected commission is there and no other."""
    out.print("The GigaKick story, on the real program: receiver, pages, worker, beat, PostgreSQL and Redis.")
    with _stopped_by_signals(), contextlib.ExitStack() as leaving:
        with waiting(out, "Starting PostgreSQL and Redis (a first start takes some seconds) ..."):
            addresses = leaving.enter_context(
                servers(settings.data_dir, database_url=settings.database_url, redis_url=settings.redis_url)
            )
            prepare_database(addresses)
        engine = make_engine(addresses.database_url, application_name="attribution-demo", pool_size=2)
        leaving.callback(engine.dispose)
        _refuse_foreign(engine)
        demo = leaving.enter_context(_on_stage(settings, out, engine, addresses))
        passed = demo.play(chaos=chaos)
        if not exit_afterwards:
            _stay(demo, settings)
        with waiting(out, "Stopping everything ..."):
            leaving.close()
    out.print(f"Everything is stopped; what happened is kept in {settings.data_dir}.", markup=False)
    return 0 if passed else 1


@contextlib.contextmanager
def _on_stage(settings: Settings, out: Console, engine: Engine, addresses: Addresses) -> "Iterator[_Demo]":
    """Start every process, and end them on leaving."""
    given = settings.stripe_webhook_secrets
    secret = given[0] if given else f"whsec_{secrets.token_hex(24)}"
    port = _free_port("PORT", settings.port, "the receiver", out)
    dashboard_port = _free_port("DASHBOARD_PORT", settings.dashboard_port, "the dashboard", out)
    ports = {"PORT": str(port), "DASHBOARD_PORT": str(dashboard_port)}
    overrides = {**_STORY_SETTINGS, "STRIPE_WEBHOOK_SECRETS": secret, **ports}
    log_path = settings.data_dir / "log" / "demo.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab", buffering=0) as output:
        supervisor = Supervisor(process_specs(addresses, overrides), output_fd=output.fileno())
        supervisor.start()
        try:
            own_redis_url = addresses.redis_url if settings.redis_url is None else None
            yield _Demo(out, engine, own_redis_url, supervisor, f"127.0.0.1:{port}", dashboard_port, secret, log_path)
        finally:
            supervisor.stop()


@dataclass(frozen=True, slots=True)
class _Demo:
    """One performance on running processes."""

    out: Console
    engine: Engine
    #: None where the Redis is not ours to wipe.
    own_redis_url: str | None
    supervisor: Supervisor
    host: str
    dashboard_port: int
    secret: str
    log_path: Path

    def play(self, *, chaos: bool) -> bool:
        """Whether every expected commission is there afterwards, and no other."""
        before = self._digest()
        with unit_of_work_on(self.engine) as connection:
            story.set_up(connection)
        self._wait_until_ready()
        if chaos:
            # So that there is a worker to be killed in the middle of its work.
            self._wait_until_settled()
        answers = self._deliver(chaos=chaos)
        self._wait_until_settled()
        after = self._digest()
        showing_demo.tell(self.out, self.engine, answers)
        booked = frozenset((line, amount) for line, amount, _ in self._booked())
        if booked != story.EXPECTED:
            self.out.print(f"Expected {sorted(story.EXPECTED)}, but booked is {sorted(booked)}.", style="red")
            return False
        if before == after:
            self.out.print("The story had been played on this data before: playing it again changed nothing.")
        return True

    def _deliver(self, *, chaos: bool) -> dict[str, int]:
        """Post every event twice, all of them shuffled; how often each answer came."""
        bodies = [body(event) for event in story.events()] * 2
        random.shuffle(bodies)
        answers: dict[str, int] = {}
        half = len(bodies) // 2 if chaos else len(bodies)
        parts = [bodies[:half], bodies[half:]]
        quiet = not self.out.is_terminal
        with Progress(console=self.out, transient=True, disable=quiet) as progress, ThreadPoolExecutor(4) as senders:
            task = progress.add_task("Posting signed webhooks, shuffled and each twice", total=len(bodies))
            for place, part in enumerate(parts):
                for answer in senders.map(self._post, part):
                    answers[answer] = answers.get(answer, 0) + 1
                    progress.advance(task)
                if chaos and place == 0:
                    self._wreak_havoc()
        return answers

    def _wreak_havoc(self) -> None:
        """SIGKILL the worker with all its processes, and wipe Redis where it is ours."""
        pid = self.supervisor.pids()["worker"]
        self.out.print(f"Chaos: killing every worker process (group {pid}), in the middle of it.")
        os.killpg(pid, signal.SIGKILL)
        if self.own_redis_url is None:
            self.out.print("Redis is the one of REDIS_URL, and is left alone.")
            return
        self.out.print("Chaos: wiping Redis.")
        with redis.Redis.from_url(self.own_redis_url, socket_timeout=5) as client:
            client.flushall()

    def _post(self, content: bytes) -> str:
        """Deliver one event as Stripe does: signed afresh for every try, again until the answer is 200."""
        for _ in range(_POST_ATTEMPTS_MAX):
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = self._request("POST", "/webhooks/stripe", content)
                if status == http.client.OK:
                    return str(json.loads(answer)["status"])
            time.sleep(_POST_PAUSE_S)
        raise TryLater(f"the receiver at {self.host} does not take an event; {self.log_path} says why")

    def _request(self, method: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        if content is not None:
            headers["Stripe-Signature"] = sign(content, self.secret, int(system_clock().timestamp()))
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _wait_until_ready(self) -> None:
        def ready() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._request("GET", "/readyz")[0] == http.client.OK
            return False

        self._wait(ready, _READY_WITHIN_S, "Starting receiver, worker and beat ...", "the receiver does not start")

    def _wait_until_settled(self) -> None:
        def settled() -> bool:
            with unit_of_work_on(self.engine) as connection:
                return due_count(connection) == 0

        self._wait(settled, _SETTLED_WITHIN_S, "Waiting until every event is worked ...", "events are still due")

    def _wait(self, condition: Callable[[], bool], within_s: float, telling: str, otherwise: str) -> None:
        until_s = time.monotonic() + within_s
        with waiting(self.out, telling):
            while not condition():
                if time.monotonic() > until_s:
                    raise TryLater(f"{otherwise} after {within_s:.0f} s; {self.log_path} says why")
                time.sleep(0.1)

    def _booked(self) -> list[tuple[str, int, str]]:
        with unit_of_work_on(self.engine) as connection:
            rows = fetch(
                connection,
                "select line_key, amount_minor, currency from commissions where transaction_key = :key and amount_minor <> 0",  # noqa: E501
                key=story.TRANSACTION,
            )
            return [(row.line_key, row.amount_minor, row.currency) for row in rows]

    def _digest(self) -> tuple[object, ...]:
        """Everything a second performance must leave as it was."""
        with unit_of_work_on(self.engine) as connection:
            return tuple(
                tuple(fetch(connection, query)[0])
                for query in (
                    "select count(*), md5(coalesce(string_agg(e::text, '' order by commission_key, seq), '')) from commission_entries e",  # noqa: E501
                    "select count(*), md5(coalesce(string_agg(h::text, '' order by h::text), '')) from product_history h",  # noqa: E501
                    "select count(*), md5(coalesce(string_agg(l::text, '' order by l::text), '')) from transaction_lines l",  # noqa: E501
                    "select count(*), max(id) from inbox",
                    "select count(*), max(version) from trigger_versions",
                )
            )


def _refuse_foreign(engine: Engine) -> None:
    """The story is not told on top of somebody's real program."""
    with unit_of_work_on(engine) as connection:
        foreign = fetch(
            connection,
            """
            select (select count(*) from triggers where not key = any(:triggers)) as triggers,
                (select count(*) from partners where partner_key <> :partner) as partners,
                (select count(*) from transactions where key <> :transaction) as transactions
            """,
            triggers=[sold.trigger_key for sold in story.PRODUCTS],
            partner=story.PARTNER,
            transaction=story.TRANSACTION,
        )[0]
    held = [f"{count} {what}" for what, count in foreign._mapping.items() if count]
    if held:
        raise Rejected(
            f"this database holds a program of its own ({', '.join(held)}), and the demo would mix with it;"
            " set DATA_DIR to a new folder, or DATABASE_URL to an empty database"
        )


def _free_port(name: str, wanted: int, what: str, out: Console) -> int:
    """The wanted port, or a free one where something else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", wanted))  # noqa: S104 - where it will listen
        except OSError:
            probe.bind(("0.0.0.0", 0))  # noqa: S104
            port: int = probe.getsockname()[1]
            out.print(f"Port {wanted} is taken; {what} listens on {port} (set {name} to choose).")
            return port
    return wanted


def _stay(demo: _Demo, settings: Settings) -> None:
    """Leave everything running until Ctrl-C or SIGTERM."""
    elsewhere = settings.database_url is None and settings.data_dir != default_data_dir()
    place = f"DATA_DIR={shlex.quote(str(settings.data_dir))} " if elsewhere else ""
    port = demo.host.rpartition(":")[2]
    dashboard = f"http://localhost:{demo.dashboard_port}"
    with unit_of_work_on(demo.engine) as connection:
        guests = demo_guests.let_in(connection)
    demo.out.print("Everything keeps running. Ctrl-C stops it.", style="bold")
    demo.out.print(
        f"  pages     {dashboard}/\n            sign in as {guests.email} with the password {guests.password}\n"
        f"  partner   {dashboard}/partner\n            sign in with the token {guests.token}\n"
        f"  API       {dashboard}/api/docs\n"
        f"  receiver  http://localhost:{port}/webhooks/stripe (also /readyz, /metrics)\n  logs      {demo.log_path}\n"
        f"Try, in another terminal:\n  {place}.venv/bin/attribution keys create    (opens the API)\n"
        f"  {place}.venv/bin/attribution explain {story.TRANSACTION}\n"
        f"  {place}.venv/bin/attribution events list",
        markup=False,
        soft_wrap=True,
    )
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.5)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the demo through every `finally`, also where a script started it deaf to Ctrl-C."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
