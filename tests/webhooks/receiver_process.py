"""A receiver in a process of its own, as it runs in production, and what tests say to it over real sockets."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from infra.providers.stripe.verify import sign

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "whsec_current_current_current"
OLD_SECRET = "whsec_previous_previous_previous"
STRIPE = "/webhooks/stripe"
_STARTS_WITHIN_S = 40


def event_body(key: str, **fields: object) -> bytes:
    """A small event with the id `key`; further keywords replace or add fields."""
    event = {
        "id": key,
        "object": "event",
        "api_version": "2026-03-25.dahlia",
        "created": 1_776_000_000,
        "livemode": False,
        "type": "invoice.paid",
        "data": {"object": {"id": "in_1", "object": "invoice"}},
        **fields,
    }
    return json.dumps(event, indent=2).encode()


def signature(body: bytes, secret: str = SECRET, age_s: int = 0) -> dict[str, str]:
    """The header Stripe would send with `body`."""
    return {"stripe-signature": sign(body, secret, int(time.time()) - age_s)}


class ReceiverProcess:
    """A running `python -m webhooks`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
        self.process = process
        self.port = port
        self.log_path = log_path
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=15)

    def deliver(self, body: bytes, *, secret: str = SECRET, age_s: int = 0, **headers: str) -> httpx.Response:
        """One signed delivery."""
        return self.client.post(STRIPE, content=body, headers={**signature(body, secret, age_s), **headers})

    def socket(self, timeout_s: float = 15) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def talk(self, request: bytes) -> bytes:
        """Send bytes, give everything that comes back until the connection is closed."""
        with self.socket() as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def resident_kb(self) -> int:
        """Memory this process holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series, 0 where it is not there yet."""
        wanted = sorted(f'{key}="{value}"' for key, value in labels.items())
        for line in self.client.get("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            found, _, rest = series.partition("{")
            if found == name and sorted(filter(None, rest.rstrip("}").split(","))) == wanted:
                return float(value)
        return 0.0

    def log(self) -> str:
        """Everything it has logged so far."""
        return self.log_path.read_text()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@contextmanager
def running(folder: Path, *, crashpoint: str | None = None, **settings: str) -> Iterator[ReceiverProcess]:
    """A receiver that answers; stopped afterwards unless it has ended by then."""
    with running_at(free_port(), folder, crashpoint=crashpoint, **settings) as receiver:
        yield receiver


@contextmanager
def running_at(port: int, folder: Path, *, crashpoint: str | None = None, **settings: str) -> Iterator[ReceiverProcess]:
    """The same, at this port. It knows the two secrets, or what a `.env` in `folder` says."""
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "PORT": str(port),
        "DATA_DIR": str(folder),
        **({} if (folder / ".env").exists() else {"STRIPE_WEBHOOK_SECRETS": f"{SECRET},{OLD_SECRET}"}),
        **settings,
        **({"CRASHPOINT": crashpoint} if crashpoint else {}),
    }
    log_path = folder / f"receiver-{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "webhooks"], env=environment, cwd=folder, stderr=log)
    receiver = ReceiverProcess(process, port, log_path)
    try:
        _wait_until_up(receiver)
        yield receiver
    finally:
        receiver.client.close()
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_until_up(receiver: ReceiverProcess) -> None:
    until_s = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until_s:
        assert receiver.process.poll() is None, receiver.log()
        try:
            if receiver.client.get("/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the receiver does not answer: " + receiver.log())


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post_head(length: int | None, headers: Sequence[str] = ()) -> bytes:
    """The head of a POST to Stripe's path, without a signature unless `headers` has one."""
    lines = [f"POST {STRIPE} HTTP/1.1", "Host: localhost", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
