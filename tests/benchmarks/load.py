"""A load client for the receiver: many keep-alive connections, each sending one signed delivery after another.

    python -m tests.benchmarks.load URL SECRET --connections 64 --seconds 10

Prints one JSON object: answers by status, rate of 200s, and latency of the accepted ones in milliseconds.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import uvloop

from infra.providers.stripe.verify import sign
from tests.benchmarks.events import bodies

TEMPLATES = 500
_KEY = b'"id": "evt_'
_KEY_LENGTH = 24


class Load:
    """Counts what comes back until `until_s`."""

    def __init__(self, url: str, secret: str, rate: float | None) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        self._host, self._port, self._path = address.hostname, address.port, address.path or "/"
        self._secret = secret
        self._templates = list(bodies(TEMPLATES, seed=3))
        self._serial = 0
        self._run = f"{time.time_ns():x}"[-10:]
        self._gap_s = 1 / rate if rate else 0.0
        self._next_s = 0.0
        self.answers: Counter[str] = Counter()
        self.latencies_ms: list[float] = []

    async def run(self, connections: int, seconds: float) -> float:
        """Send from all connections; gives the seconds it took."""
        began_s = time.perf_counter()
        self._next_s = began_s
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._connection(began_s + seconds))
        return time.perf_counter() - began_s

    async def _connection(self, until_s: float) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        while time.perf_counter() < until_s:
            await self._pace()
            request = self._request()
            sent_s = time.perf_counter()
            try:
                writer.write(request)
                status = await _answer(reader)
            except (OSError, asyncio.IncompleteReadError):
                self.answers["cut"] += 1
                writer.close()
                reader, writer = await asyncio.open_connection(self._host, self._port)
                continue
            self.answers[status] += 1
            if status == "200":
                self.latencies_ms.append((time.perf_counter() - sent_s) * 1000)
        writer.close()

    async def _pace(self) -> None:
        if not self._gap_s:
            return
        turn_s, self._next_s = self._next_s, self._next_s + self._gap_s
        await asyncio.sleep(max(0.0, turn_s - time.perf_counter()))

    def _request(self) -> bytes:
        self._serial += 1
        template = self._templates[self._serial % TEMPLATES]
        at = template.index(_KEY) + len(_KEY)
        key = f"{self._run}{self._serial:014d}".encode()
        body = template[:at] + key + template[at + _KEY_LENGTH :]
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Stripe-Signature: {sign(body, self._secret, int(time.time()))}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return head[9:12].decode()


def percentile(ordered: list[float], share: float) -> float:
    """The value that `share` of an ordered list does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("secret")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, help="deliveries per second; without it as fast as answers come")
    options = parser.parse_args()
    load = Load(options.url, options.secret, options.rate)
    took_s = uvloop.run(load.run(options.connections, options.seconds))
    ordered = sorted(load.latencies_ms)
    report = {
        "connections": options.connections,
        "seconds": round(took_s, 2),
        "answers": dict(load.answers),
        "accepted_per_s": round(load.answers["200"] / took_s),
        **{f"p{share * 100:g}_ms": round(percentile(ordered, share), 1) for share in (0.5, 0.99, 0.999)},
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
