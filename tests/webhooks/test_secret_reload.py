"""A secret that was rolled at the provider: the receiver takes the new one as it runs, and somebody is told."""

import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from infra.providers.chargebee.verify import authorization
from infra.providers.chargebee.verify import fingerprint as fingerprint_of_user
from infra.providers.stripe.verify import fingerprint
from tests.chargebee_bodies import event_body as chargebee_body
from tests.webhooks.conftest import Query
from tests.webhooks.receiver_process import (
    OLD_SECRET,
    SECRET,
    ReceiverProcess,
    event_body,
    post_head,
    running,
    signature,
)
from webhooks.secret_watch import SecretWatch


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """What the receiver of these tests reads its secrets from."""
    file = tmp_path / ".env"
    file.write_text(f"STRIPE_WEBHOOK_SECRETS={OLD_SECRET}\nCHARGEBEE_WEBHOOK_USERS=billing:first-password\n")
    return file


@pytest.fixture
def receiver(env_file: Path, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[ReceiverProcess]:
    """A running receiver that knows the old secrets only."""
    with running(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url) as process:
        yield process


def reload(receiver: ReceiverProcess, event: str) -> dict[str, Any]:
    """SIGHUP, and the log line `event` that comes of it."""
    said = len(receiver.log())
    receiver.process.send_signal(signal.SIGHUP)
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        for line in receiver.log()[said:].splitlines():
            if f'"{event}"' in line:
                found: dict[str, Any] = json.loads(line)
                return found
        time.sleep(0.02)
    raise AssertionError(f"no {event}: {receiver.log()[said:]}")


def deliver_chargebee(receiver: ReceiverProcess, key: str, user: str, password: str) -> int:
    """One delivery of Chargebee's, and its status."""
    headers = {"authorization": authorization(user, password)}
    return receiver.client.post("/webhooks/chargebee", content=chargebee_body(key), headers=headers).status_code


def test_a_retry_lands_once_the_new_secret_is_reloaded(
    receiver: ReceiverProcess, env_file: Path, own_stored: Query
) -> None:
    """Refused with the new secret, the event is accepted after `.env` was changed and SIGHUP; nothing was restarted."""
    body = event_body("evt_rolled")
    assert receiver.deliver(body, secret=SECRET).status_code == 400
    assert deliver_chargebee(receiver, "ev_rolled", "billing-2", "second-password") == 401
    env_file.write_text(f"STRIPE_WEBHOOK_SECRETS={SECRET}\nCHARGEBEE_WEBHOOK_USERS=billing-2:second-password\n")
    accepted = reload(receiver, "secrets.reloaded")["accepted"]
    assert accepted == {"stripe": [fingerprint(SECRET)], "chargebee": [fingerprint_of_user("billing-2")]}
    assert receiver.deliver(body, secret=SECRET).json() == {"status": "accepted"}
    assert deliver_chargebee(receiver, "ev_rolled", "billing-2", "second-password") == 200
    assert receiver.deliver(body, secret=OLD_SECRET).status_code == 400
    assert deliver_chargebee(receiver, "ev_rolled", "billing", "first-password") == 401
    assert receiver.metric("webhook_secret_reloads_total", outcome="applied") == 1
    assert own_stored("select event_key from inbox order by 1") == [("ev_rolled",), ("evt_rolled",)]


def test_a_reload_disturbs_nothing_in_flight(receiver: ReceiverProcess, env_file: Path, own_stored: Query) -> None:
    """A delivery whose body is still coming in is judged by the secret it was signed for; others meanwhile get 200."""
    env_file.write_text(env_file.read_text().replace(OLD_SECRET, f"{SECRET},{OLD_SECRET}"))
    body = event_body("evt_slow")
    statuses: list[int] = []
    over = threading.Event()

    def deliver() -> None:
        while not over.is_set():
            body = event_body(f"evt_{len(statuses)}")
            statuses.append(receiver.deliver(body, secret=OLD_SECRET).status_code)

    sender = threading.Thread(target=deliver)
    sender.start()
    with receiver.socket() as connection:
        head = post_head(len(body), [f"Stripe-Signature: {signature(body, OLD_SECRET)['stripe-signature']}"])
        connection.sendall(head + body[:50])
        time.sleep(0.3)
        for _ in range(5):
            reload(receiver, "secrets.reloaded")
        env_file.write_text(env_file.read_text().replace(f",{OLD_SECRET}", ""))
        over.set()
        sender.join()
        reload(receiver, "secrets.reloaded")
        connection.sendall(body[50:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert set(statuses) == {200}
    assert own_stored("select count(*) from inbox") == [(len(statuses) + 1,)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("STRIPE_WEBHOOK_SECRETS=short\n", "STRIPE_WEBHOOK_SECRETS: secret 1 of 1 is shorter than 16 characters"),
        (f"STRIPE_WEBHOOK_SECRETS={SECRET}\nHOLD_DAYS=soon\n", "HOLD_DAYS: "),
        (f"STRIPE_WEBHOOK_SECRET={SECRET}\n", "STRIPE_WEBHOOK_SECRET is no setting; write STRIPE_WEBHOOK_SECRETS"),
        (f"STRIPE_WEBHOOK_SECRETS={SECRET}\n", "CHARGEBEE_WEBHOOK_USERS: is not set any more"),
        (f"STRIPE_WEBHOOK_SECRETS_FILE=nowhere/{SECRET}\n", "STRIPE_WEBHOOK_SECRETS_FILE: cannot be read"),
    ],
    ids=["too short", "another setting", "a misspelt name", "an endpoint left out", "no such file"],
)
def test_what_is_wrong_is_named_and_the_old_secrets_stay(
    receiver: ReceiverProcess, env_file: Path, content: str, problem: str
) -> None:
    """After a bad change and SIGHUP the log names the setting, never a value; the old secret is believed."""
    env_file.write_text(content)
    line = reload(receiver, "secrets.kept")
    assert any(problem in each for each in line["problems"])
    assert line["level"] == "error"
    assert line["accepted"]["stripe"] == [fingerprint(OLD_SECRET)]
    assert receiver.deliver(event_body("evt_1"), secret=OLD_SECRET).status_code == 200
    assert deliver_chargebee(receiver, "ev_1", "billing", "first-password") == 200
    assert receiver.deliver(event_body("evt_2"), secret=SECRET).status_code == 400
    assert SECRET not in receiver.log()
    assert receiver.metric("webhook_secret_reloads_total", outcome="refused") == 1


def test_a_secret_in_a_file_of_its_own_is_reloaded_too(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """Where `STRIPE_WEBHOOK_SECRETS_FILE` names a mounted file, its new content counts after SIGHUP."""
    (tmp_path / ".env").write_text("")
    mounted = tmp_path / "stripe-secrets"
    mounted.write_text(f"{OLD_SECRET}\n")
    addresses = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with running(tmp_path, STRIPE_WEBHOOK_SECRETS_FILE=str(mounted), **addresses) as receiver:
        assert receiver.deliver(event_body("evt_1"), secret=OLD_SECRET).status_code == 200
        mounted.write_text(f"{SECRET}\n")
        reload(receiver, "secrets.reloaded")
        assert receiver.deliver(event_body("evt_2"), secret=SECRET).status_code == 200


def test_what_a_reload_cannot_change_is_said(own_receiver: ReceiverProcess, tmp_path: Path) -> None:
    """A secret of the process' environment stays, and a setting that takes a restart is named; both in the log."""
    (tmp_path / ".env").write_text("STRIPE_WEBHOOK_SECRETS=whsec_of_the_file_of_settings\nHOLD_DAYS=7\n")
    assert reload(own_receiver, "secrets.fixed")["settings"] == ["STRIPE_WEBHOOK_SECRETS"]
    assert reload(own_receiver, "settings.postponed")["settings"] == ["HOLD_DAYS"]
    assert own_receiver.deliver(event_body("evt_1"), secret=SECRET).status_code == 200


def test_deliveries_that_match_no_secret_are_an_alarm_at_once(receiver: ReceiverProcess) -> None:
    """The third delivery in a row that is signed with an unknown secret is an error in the log, once."""
    for number in range(5):
        assert receiver.deliver(event_body(f"evt_{number}"), secret=SECRET).status_code == 400
        assert deliver_chargebee(receiver, "ev_1", "billing-2", "second-password") == 401
    alarms = [json.loads(line) for line in receiver.log().splitlines() if '"secrets.doubted"' in line]
    said = [(line["provider"], line["level"], line["matched"], line["refused"]) for line in alarms]
    assert sorted(said) == [("chargebee", "error", 0, 3), ("stripe", "error", 0, 3)]


def watched(deliveries_per_s: float, matching_s: float, for_s: float) -> list[float]:
    """When alarms come, in seconds after the secret expired: all matched before, and none since."""
    now_s = [1000.0]
    watch = SecretWatch(lambda: now_s[0])
    alarms = []
    with structlog.testing.capture_logs() as logs:
        for _ in range(round((matching_s + for_s) * deliveries_per_s)):
            now_s[0] += 1 / deliveries_per_s
            watch.judged("stripe", matched=now_s[0] <= 1000 + matching_s)
            alarms += [now_s[0] - 1000 - matching_s] * len(logs)
            logs.clear()
    return alarms


@pytest.mark.parametrize("deliveries_per_s", [0.1, 1, 50])
def test_a_secret_that_expires_is_an_alarm_within_a_minute(deliveries_per_s: float) -> None:
    """However busy the endpoint was before; and again every minute while it lasts."""
    alarms = watched(deliveries_per_s, matching_s=600, for_s=600)
    assert alarms[0] < 60
    assert len(alarms) >= 9
    assert min(later - sooner for sooner, later in itertools.pairwise(alarms)) >= 60


def test_a_quiet_night_after_a_busy_day_is_an_alarm_too() -> None:
    """Thousands that matched before do not outvote the few that come now: six of them are enough."""
    now_s = [0.0]
    watch = SecretWatch(lambda: now_s[0])
    with structlog.testing.capture_logs() as logs:
        for _ in range(5000):
            now_s[0] += 0.005
            watch.judged("stripe", matched=True)
        for _ in range(6):
            now_s[0] += 3600
            watch.judged("stripe", matched=False)
    assert {entry["event"] for entry in logs} == {"secrets.doubted"}


def test_some_forgeries_amid_true_deliveries_are_no_alarm() -> None:
    """A third of all that comes may match nothing without anybody being woken."""
    watch = SecretWatch(lambda: next(seconds) / 10)
    seconds = iter(range(100_000))
    with structlog.testing.capture_logs() as logs:
        for number in range(10_000):
            watch.judged("stripe", matched=number % 3 != 2)
    assert logs == []
