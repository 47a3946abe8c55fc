"""The Celery application as beat and worker load it: what it needs, and what it says when the broker is away."""

import subprocess
import sys

from tests.conftest import REPOSITORY
from worker.schedule import SCHEDULE

#: One ring of beat, with nothing listening where the broker should be.
_ONE_RING = """
import sys
sys.argv = ["celery", "beat"]
from celery.beat import ScheduleEntry, Scheduler
from celery.signals import setup_logging
from worker.app import app
setup_logging.send(None)
app.conf.broker_transport_options = {**app.conf.broker_transport_options, "max_retries": 0}
Scheduler(app=app).apply_entry(ScheduleEntry(name="sweep", task="worker.tasks.drain_inbox", schedule=5.0, app=app))
"""


def _run(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_ring_that_cannot_be_sent_is_one_line() -> None:
    """Beat goes on, says that sweeps do without it, and prints no stack every five seconds."""
    done = _run(_ONE_RING, DATABASE_URL="postgresql://x@127.0.0.1:1/x", REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 0, done.stderr
    assert "a ring could not be sent, sweeps do without" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_falls_due_is_released_within_seconds() -> None:
    """An instalment that was due when it was earned is shown as pending about as soon as its payment is judged."""
    assert SCHEDULE["release"]["schedule"] <= 5
    assert all(each["options"]["expires"] <= each["schedule"] for each in SCHEDULE.values())


def test_missing_addresses_are_named_at_once() -> None:
    """Without servers there is nothing to start: exit code 2, both settings by name, no stack."""
    done = _run("import worker.app")
    assert done.returncode == 2
    assert "DATABASE_URL: is missing" in done.stderr
    assert "REDIS_URL: is missing" in done.stderr
    assert "Traceback" not in done.stderr
