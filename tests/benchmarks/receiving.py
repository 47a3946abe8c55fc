"""How many deliveries a second the receiver answers 200, each in a committed row, and what it does with too many."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.results import Result, cpu_s_of
from tests.webhooks.receiver_process import SECRET, STRIPE, ReceiverProcess, running

CONNECTIONS = 64
TARGET_PER_S = 5_000
TARGET_P99_MS = 100


def measure(database_url: str, redis_url: str, folder: Path, seconds: float) -> list[Result]:
    """Send from 64 connections, then from three times as many; the load generator is a process of its own."""
    with running(folder, DATABASE_URL=database_url, REDIS_URL=redis_url) as receiver:
        _load(receiver, CONNECTIONS, 1)
        used_s = cpu_s_of(receiver.process.pid)
        said = _load(receiver, CONNECTIONS, seconds)
        used_s = cpu_s_of(receiver.process.pid) - used_s
        before_mb = receiver.resident_kb() / 1024
        flood = _load(receiver, 3 * CONNECTIONS, seconds)
        after_mb = receiver.resident_kb() / 1024
    assert set(said["answers"]) <= {"200", "503"}
    middle = f"p50 {said['p50_ms']} ms; CPU per answer: receiver {used_s / said['answers']['200'] * 1e6:.0f} us"
    grown = f"memory {before_mb:.0f} to {after_mb:.0f} MB; answers {flood['answers']}"
    return [
        Result("receive, 64 connections", said["accepted_per_s"], "200s/s", TARGET_PER_S, note=middle),
        Result("  p99", said["p99_ms"], "ms", TARGET_P99_MS, more=False),
        Result("  with 192 connections", flood["accepted_per_s"], "200s/s", note=grown),
    ]


def _load(receiver: ReceiverProcess, connections: int, seconds: float) -> dict[str, Any]:
    url = f"http://127.0.0.1:{receiver.port}{STRIPE}"
    options = ("--connections", str(connections), "--seconds", str(seconds))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load", url, SECRET, *options], capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found
