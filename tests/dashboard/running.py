"""The management API as it runs in production, in a process of its own, and what tests say to it over real sockets."""

import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import REPOSITORY
from tests.webhooks.receiver_process import free_port

_STARTS_WITHIN_S = 40


class DashboardProcess:
    """A running `python -m dashboard`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = log_path

    def log(self) -> str:
        """Everything it has logged so far."""
        return self.log_path.read_text()


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[DashboardProcess]:
    """A management API that answers; stopped afterwards unless it has ended by then."""
    port = free_port()
    environment = {"PYTHONPATH": str(REPOSITORY), "DASHBOARD_PORT": str(port), "DATA_DIR": str(folder), **settings}
    log_path = folder / f"dashboard-{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "dashboard"], env=environment, cwd=folder, stderr=log)
    dashboard = DashboardProcess(process, port, log_path)
    try:
        _wait_until_up(dashboard)
        yield dashboard
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_until_up(dashboard: DashboardProcess) -> None:
    until_s = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until_s:
        assert dashboard.process.poll() is None, dashboard.log()
        try:
            if httpx.get(f"{dashboard.url}/healthz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the management API does not answer: " + dashboard.log())


class Api:
    """What one caller says to the API; asked-for statuses are checked here."""

    def __init__(self, url: str, credentials: tuple[str, str] | None = None, token: str | None = None) -> None:
        self.headers: dict[str, str] = {}
        if credentials is not None:
            pair = b64encode(":".join(credentials).encode()).decode()
            self.headers = {"Authorization": f"Basic {pair}"}
        elif token is not None:
            self.headers = {"Authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=f"{url}/api/v2", headers=self.headers, timeout=30)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """One request answered with `status`, as its JSON, whose own `status` must say the same."""
        answer = self.client.request(method, path, **options)
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        document = answer.json()
        assert document["status"] == status
        return document

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """`data` of a GET, or the whole refusal."""
        document = self.call("GET", path, status, params=query)
        return document["data"] if status == httpx.codes.OK else document

    def post(self, path: str, body: Any, status: int = 200, idempotency_key: str | None = None) -> Any:
        """`data` of a POST, or the whole refusal."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        document = self.call("POST", path, status, json=body, headers=headers)
        return document["data"] if status == httpx.codes.OK else document

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        """`data` of a PATCH, or the whole refusal."""
        document = self.call("PATCH", path, status, json=body)
        return document["data"] if status == httpx.codes.OK else document
