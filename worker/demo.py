"""The GigaKick story, played on the real program: signed webhooks over HTTP, real processes, real servers.

Its events carry fixed ids and times, so that playing it again on the same data must change nothing.
"""

import contextlib
import http.client
import json
import os
import random
import secrets
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
from infra.settings import Settings
from infra.unit_of_work import unit_of_work_on
from worker import showing_demo, story
from worker.processes import process_specs
from worker.supervisor import Supervisor
from worker.up import prepare_database

log = structlog.get_logger()

_READY_WITHIN_S = 60.0
_SETTLED_WITHIN_S = 90.0
_POST_ATTEMPTS_MAX = 40
_POST_PAUSE_S = 0.25


def run_demo(settings: Settings, out: Console, *, exit_afterwards: bool, chaos: bool) -> int:
    """Play the story and show it. Exit code 0 only if every expected commission is there and no other."""
    secret = settings.stripe_webhook_secrets[0] if settings.stripe_webhook_secrets else f"whsec_{secrets.token_hex(24)}"
    port = _free_port(settings.port, out)
    log_path = settings.data_dir / "log" / "demo.log"
    with _stopped_by_signals(), contextlib.ExitStack() as leaving:
        with out.status("Starting PostgreSQL and Redis ..."):
            addresses = leaving.enter_context(
                servers(settings.data_dir, database_url=settings.database_url, redis_url=settings.redis_url)
            )
            prepare_database(addresses)
        engine = make_engine(addresses.database_url, application_name="attribution-demo", pool_size=2)
        leaving.callback(engine.dispose)
        _refuse_foreign(engine)
        overrides = {"STRIPE_WEBHOOK_SECRETS": secret, "PORT": str(port)}
        log_path.parent.mkdir(parents=True, exist_ok=True)
        output = leaving.enter_context(log_path.open("ab", buffering=0))
        supervisor = Supervisor(process_specs(addresses, overrides), output_fd=output.fileno())
        leaving.callback(supervisor.stop)
        supervisor.start()
        demo = _Demo(out, engine, addresses, supervisor, f"127.0.0.1:{port}", secret)
        passed = demo.play(chaos=chaos)
        if not exit_afterwards:
            _stay(out, port, log_path)
    return 0 if passed else 1


@dataclass(frozen=True, slots=True)
class _Demo:
    """One performance on running processes."""

    out: Console
    engine: Engine
    addresses: Addresses
    supervisor: Supervisor
    host: str
    secret: str

    def play(self, *, chaos: bool) -> bool:
        """Whether every expected commission is there afterwards, and no other."""
        before = self._digest()
        with unit_of_work_on(self.engine) as connection:
            story.set_up(connection)
        self._wait_until_ready()
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
        with Progress(console=self.out, transient=True) as progress, ThreadPoolExecutor(4) as senders:
            task = progress.add_task("Posting signed webhooks, shuffled and each twice", total=len(bodies))
            for place, part in enumerate(parts):
                for answer in senders.map(self._post, part):
                    answers[answer] = answers.get(answer, 0) + 1
                    progress.advance(task)
                if chaos and place == 0:
                    self._wreak_havoc()
        return answers

    def _wreak_havoc(self) -> None:
        """SIGKILL the worker with all its processes, and wipe Redis."""
        pid = self.supervisor.pids()["worker"]
        self.out.print(f"Chaos: killing every worker process (group {pid}) and wiping Redis, in the middle of it.")
        os.killpg(pid, signal.SIGKILL)
        with redis.Redis.from_url(self.addresses.redis_url, socket_timeout=5) as client:
            client.flushall()

    def _post(self, content: bytes) -> str:
        """Deliver one event as Stripe does: signed afresh for every try, again until the answer is 200."""
        for _ in range(_POST_ATTEMPTS_MAX):
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = self._request("POST", "/webhooks/stripe", content)
                if status == http.client.OK:
                    return str(json.loads(answer)["status"])
            time.sleep(_POST_PAUSE_S)
        raise TryLater(f"the receiver at {self.host} does not take an event; see the log")

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
        with self.out.status(telling):
            while not condition():
                if time.monotonic() > until_s:
                    raise TryLater(f"{otherwise} after {within_s:.0f} s; see the log in DATA_DIR/log/demo.log")
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
            "select count(*) as n from triggers where not key = any(:keys)",
            keys=[sold.trigger_key for sold in story.PRODUCTS],
        )[0].n
    if foreign:
        raise Rejected(
            f"this database holds a program of its own ({foreign} triggers); the demo would mix with it:"
            " point DATA_DIR or DATABASE_URL elsewhere"
        )


def _free_port(wanted: int, out: Console) -> int:
    """The wanted port, or a free one where something else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", wanted))  # noqa: S104 - where the receiver will listen
        except OSError:
            probe.bind(("0.0.0.0", 0))  # noqa: S104
            port: int = probe.getsockname()[1]
            out.print(f"Port {wanted} is taken; the receiver listens on {port} (set PORT to choose).")
            return port
    return wanted


def _stay(out: Console, port: int, log_path: Path) -> None:
    """Leave everything running until Ctrl-C or SIGTERM."""
    out.print(
        f"\nEverything keeps running. Receiver: http://localhost:{port}/webhooks/stripe"
        f"  (also /readyz, /metrics)\nLogs: {log_path}\nTry, in another terminal:"
        f"\n  .venv/bin/attribution explain {story.TRANSACTION}\n  .venv/bin/attribution events list"
        "\nCtrl-C stops everything."
    )
    while True:
        time.sleep(0.5)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM ends the demo the way Ctrl-C does: through every `finally`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
