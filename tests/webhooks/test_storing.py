"""A 200 means a committed row: under parallel deliveries, kills at named lines, and stops."""

import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from infra.crashpoint import KILLED_EXIT_CODE
from tests.webhooks.conftest import Query
from tests.webhooks.receiver_process import REPOSITORY, ReceiverProcess, event_body, post_head, running, signature
from tests.webhooks.test_answers import new_key


def test_fifty_deliveries_of_one_event_make_one_row(receiver: ReceiverProcess, stored: Query) -> None:
    """All of fifty parallel deliveries get 200, exactly one of them `accepted`, none before the row is there."""
    key = new_key()
    body = event_body(key)
    start = threading.Barrier(50)

    def deliver(_: int) -> tuple[int, str, int]:
        start.wait()
        answer = receiver.deliver(body)
        return answer.status_code, answer.json()["status"], len(stored("select 1 from inbox where event_key = %s", key))

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(deliver, range(50)))
    assert {(status, rows) for status, _, rows in answers} == {(200, 1)}
    assert sorted(said for _, said, _ in answers) == ["accepted"] + ["duplicate"] * 49


@pytest.mark.parametrize(("crashpoint", "rows_after"), [("before_commit", 0), ("after_commit", 1)])
def test_a_kill_around_the_commit_costs_nothing(
    database_url: str, redis_url: str, tmp_path: Path, own_stored: Query, crashpoint: str, rows_after: int
) -> None:
    """Killed before or after the commit, the receiver gave no 200; sent again, the event is stored exactly once."""
    body = event_body("evt_crash")
    addresses = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with running(tmp_path, crashpoint=crashpoint, **addresses) as receiver:
        with pytest.raises(httpx.TransportError):
            receiver.deliver(body)
        assert receiver.process.wait(10) == KILLED_EXIT_CODE
    assert own_stored("select count(*) from inbox") == [(rows_after,)]
    with running(tmp_path, **addresses) as receiver:
        assert receiver.deliver(body).json() == {"status": "duplicate" if rows_after else "accepted"}
    assert own_stored("select count(*) from inbox") == [(1,)]


def test_a_kill_under_load_loses_nothing_that_was_acknowledged(
    own_receiver: ReceiverProcess, own_stored: Query
) -> None:
    """Killed without warning amid deliveries, every event that got its 200 is a row."""
    acknowledged: list[str] = []

    def deliver(number: int) -> None:
        key = f"evt_{number}"
        try:
            if own_receiver.deliver(event_body(key)).status_code == 200:
                acknowledged.append(key)
        except httpx.TransportError:
            return
        if len(acknowledged) == 60:
            own_receiver.process.kill()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(deliver, range(200)))
    rows = {key for (key,) in own_stored("select event_key from inbox")}
    assert len(acknowledged) >= 60
    assert set(acknowledged) <= rows


def test_a_stop_finishes_what_is_in_flight(own_receiver: ReceiverProcess, own_stored: Query) -> None:
    """On SIGTERM deliveries under way are committed and answered, and the process ends cleanly and soon."""
    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(own_receiver.deliver, event_body(f"evt_{number}")) for number in range(20)]
        while not own_receiver.metric("webhook_verified_total", provider="stripe"):
            if any(answer.done() for answer in answers):
                break
        began_s = time.monotonic()
        own_receiver.process.send_signal(signal.SIGTERM)
        acknowledged = sum(1 for answer in answers if not answer.exception() and answer.result().status_code == 200)
    assert own_receiver.process.wait(10) == 0
    assert time.monotonic() - began_s < 10
    assert 1 <= acknowledged <= len(own_stored("select 1 from inbox"))
    assert '"receiver.stopped"' in own_receiver.log()


def test_who_has_connected_before_a_stop_is_answered(own_receiver: ReceiverProcess, own_stored: Query) -> None:
    """The request comes a moment after SIGTERM, over a connection made before: it gets 200 and a row (F22)."""
    body = event_body("evt_late")
    head = post_head(len(body), [f"Stripe-Signature: {signature(body)['stripe-signature']}"])
    with own_receiver.socket() as connection:
        time.sleep(0.2)
        own_receiver.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        connection.sendall(head + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert own_stored("select event_key from inbox") == [("evt_late",)]
    assert own_receiver.process.wait(10) == 0


def test_missing_settings_are_named(tmp_path: Path) -> None:
    """Without its servers' addresses the receiver does not start, says which are missing, and exits with 2."""
    ended = subprocess.run(
        [sys.executable, "-m", "webhooks"],
        env={"PYTHONPATH": str(REPOSITORY), "DATA_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "DATABASE_URL" in ended.stderr
    assert "REDIS_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_named(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """A second receiver on the same port does not start beside the first, and says why."""
    with (
        pytest.raises(AssertionError, match=f"PORT: {receiver.port} cannot be used"),
        running(tmp_path, PORT=str(receiver.port), DATABASE_URL="postgresql://nowhere/x", REDIS_URL="redis://nowhere"),
    ):
        pytest.fail("it started")


def test_the_log_has_one_line_per_batch_with_its_events(receiver: ReceiverProcess) -> None:
    """Every stored event is named in exactly one `batch.committed` line, which is JSON."""
    key = new_key()
    receiver.deliver(event_body(key))
    until_s = time.monotonic() + 5
    while key not in receiver.log() and time.monotonic() < until_s:
        time.sleep(0.02)
    [line] = [json.loads(line) for line in receiver.log().splitlines() if key in line]
    assert (line["event"], line["process"], line["duplicates"]) == ("batch.committed", "web", [])
    assert key in line["accepted"]
