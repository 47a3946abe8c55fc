"""How long it takes from a POST until its commission is committed: receiver, broker and worker as they run.

The database says so itself: a trigger of the benchmark's own notifies, and notifications are sent with the commit.
"""

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from sqlalchemy import Engine, make_url, text

from infra.embedded import Addresses
from infra.providers.stripe.example_events import EXAMPLE_AT, body
from infra.providers.stripe.verify import sign
from tests.benchmarks.load import percentile
from tests.benchmarks.results import Result
from tests.benchmarks.shop import customers, open_shop, payment
from tests.stage import Stage
from tests.webhooks.receiver_process import SECRET, free_port
from worker.processes import process_specs
from worker.supervisor import Supervisor

PER_S = 200
#: To tell how long a payment takes from how long it waits for its turn on a machine that is too busy.
PER_S_FEW = 20
TARGET_P50_MS, TARGET_P99_MS = 50, 250
SENDERS = 8
CUSTOMERS = 400
_STARTS_WITHIN_S = 60.0
_SETTLES_WITHIN_S = 30.0

_NOTIFY = """
create function tell_benchmark() returns trigger language plpgsql as $$
begin
    perform pg_notify('booked', new.occasion_key);
    return null;
end $$;
create trigger tell_benchmark after insert on commissions for each row execute function tell_benchmark();
"""


class Listening(threading.Thread):
    """Notes when each payment's first commission was committed."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._connection = psycopg.connect(
            make_url(url).set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
        )
        self._connection.execute("listen booked")
        self.booked_s: dict[str, float] = {}
        self._done = threading.Event()

    def run(self) -> None:
        """Until told to stop."""
        while not self._done.is_set():
            for told in self._connection.notifies(timeout=0.2):
                self.booked_s.setdefault(told.payload, time.perf_counter())
        self._connection.close()

    def stop(self) -> None:
        """Let go of the database."""
        self._done.set()
        self.join()


def measure(engine: Engine, addresses: Addresses, folder: Path, seconds: float) -> list[Result]:
    """Send payments at a steady rate and wait for the last of them; `engine` leads to the same database."""
    stage = Stage(engine)
    open_shop(stage)
    stage.store(customers(CUSTOMERS))
    stage.drainer.run(slice_s=600)
    with engine.begin() as connection:
        connection.execute(text(_NOTIFY))
    listening = Listening(addresses.database_url)
    listening.start()
    port = free_port()
    with (folder / "latency.log").open("wb") as log:
        settings = {"PORT": str(port), "DATA_DIR": str(folder), "STRIPE_WEBHOOK_SECRETS": SECRET, "LOG_FORMAT": "json"}
        specs = process_specs(addresses, settings, only=("web", "worker"))
        supervisor = Supervisor(specs, output_fd=log.fileno())
        supervisor.start()
        try:
            _wait_until_ready(port)
            few_ms, many_ms = (_latencies(port, rate, round(rate * seconds), listening) for rate in (PER_S_FEW, PER_S))
        finally:
            supervisor.stop()
            listening.stop()
    return [
        Result(f"POST to commission, {PER_S}/s, p50", percentile(many_ms, 0.5), "ms", TARGET_P50_MS, more=False),
        Result("  p99", percentile(many_ms, 0.99), "ms", TARGET_P99_MS, more=False, note=f"{len(many_ms)} payments"),
        Result(f"  {PER_S_FEW}/s, p50", percentile(few_ms, 0.5), "ms", more=False),
        Result("  p99", percentile(few_ms, 0.99), "ms", more=False, note=f"{len(few_ms)} payments"),
    ]


def _latencies(port: int, rate: float, count: int, listening: Listening) -> list[float]:
    """Milliseconds of each payment, in order; the first second is to warm up."""
    warm_s = _send(port, f"warm{rate}-", round(rate), rate)
    _wait_until(lambda: warm_s.keys() <= listening.booked_s.keys())
    sent_s = _send(port, f"paid{rate}-", count, rate)
    _wait_until(lambda: sent_s.keys() <= listening.booked_s.keys())
    lost = sent_s.keys() - listening.booked_s.keys()
    assert not lost, f"{len(lost)} payments were not booked"
    return sorted((listening.booked_s[key] - at) * 1000 for key, at in sent_s.items())


def _send(port: int, name: str, count: int, rate: float) -> dict[str, float]:
    """Payments of as many customers as there are, in turn; when each was begun to be sent, by transaction key."""
    sent_s: dict[str, float] = {}
    began_s = time.perf_counter()

    def send_some(first: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            for number in range(first, count, SENDERS):
                time.sleep(max(0.0, began_s + number / rate - time.perf_counter()))
                told = body(payment(f"{name}{number}", number % CUSTOMERS, EXAMPLE_AT))
                headers = {"stripe-signature": sign(told, SECRET, int(time.time()))}
                sent_s[f"stripe:in_{name}{number}"] = time.perf_counter()
                client.post("/webhooks/stripe", content=told, headers=headers).raise_for_status()

    threads = [threading.Thread(target=send_some, args=(first,)) for first in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent_s


def _wait_until(settled: Any) -> None:
    until_s = time.monotonic() + _SETTLES_WITHIN_S
    while not settled() and time.monotonic() < until_s:
        time.sleep(0.1)


def _wait_until_ready(port: int) -> None:
    until_s = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until_s:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError("the receiver does not become ready")
