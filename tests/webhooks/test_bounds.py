"""What a hostile or broken sender can take up: bounded in time, bytes and places."""

import asyncio
import socket
import time
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.webhooks.receiver_process import STRIPE, ReceiverProcess, event_body, post_head, signature
from tests.webhooks.test_answers import new_key
from webhooks.doors import TurnedAway
from webhooks.reading import InFlight, read_body

SIGNED_BY_NOBODY = "Stripe-Signature: t=1,v1=" + "0" * 64
MIB = 1024 * 1024


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes, or cuts."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def pour(connection: socket.socket, piece: bytes, bytes_max: int) -> int:
    """Send until refused; gives the bytes that went."""
    sent = 0
    try:
        while sent < bytes_max:
            connection.sendall(piece)
            sent += len(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


def test_a_slow_body_is_cut_after_five_seconds_and_hinders_nobody(receiver: ReceiverProcess) -> None:
    """100 half-sent bodies are answered 408 at 5 s; meanwhile a good delivery takes no time."""
    began_s = time.monotonic()
    slow = [receiver.socket() for _ in range(100)]
    for connection in slow:
        connection.sendall(post_head(100, [SIGNED_BY_NOBODY]) + b"half a body")
    quick_s = time.monotonic()
    assert receiver.deliver(event_body(new_key())).status_code == 200
    assert time.monotonic() - quick_s < 1
    answers = [read_all(connection) for connection in slow]
    took_s = time.monotonic() - began_s
    for connection in slow:
        connection.close()
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}
    assert 4.5 < took_s < 8
    assert receiver.metric("webhook_in_flight") == 0
    assert receiver.metric("webhook_in_flight_bytes") == 0


@pytest.mark.parametrize(("stands_still_s", "answer"), [(0.0, (408, "body_too_slow")), (0.8, (503, "stalled"))])
def test_a_sender_is_not_blamed_for_our_own_standing_still(stands_still_s: float, answer: tuple[int, str]) -> None:
    """A body that is not there in time is 408; one that we did not look for in time, being stopped, is 503."""

    async def receive() -> MutableMapping[str, Any]:
        time.sleep(stands_still_s)  # the whole loop, as SIGSTOP does
        await asyncio.sleep(10)
        raise AssertionError("nobody waits that long")

    in_flight = InFlight()
    turned_away = asyncio.run(read_body(receive, in_flight, within_s=0.2))
    assert isinstance(turned_away, TurnedAway)
    assert (turned_away.status, turned_away.reason) == answer
    assert in_flight.bytes_held == 0


def test_a_declared_giant_is_refused_unread(receiver: ReceiverProcess) -> None:
    """413 for more than 1 MiB by the header alone."""
    with receiver.socket() as connection:
        connection.sendall(post_head(MIB + 1, [SIGNED_BY_NOBODY]))
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_an_undeclared_giant_is_refused_while_reading_with_flat_memory(receiver: ReceiverProcess) -> None:
    """100 MB in chunks get 413 after little more than 1 MiB, and the process does not grow."""
    before_kb = receiver.resident_kb()
    with receiver.socket() as connection:
        connection.sendall(post_head(None, [SIGNED_BY_NOBODY, "Transfer-Encoding: chunked"]))
        sent = pour(connection, b"10000\r\n" + b"a" * 65536 + b"\r\n", 100 * MIB)
        assert b"HTTP/1.1 413" in read_all(connection)
    assert sent < 20 * MIB
    assert receiver.resident_kb() - before_kb < 16 * 1024


def test_one_mebibyte_exactly_is_let_in(receiver: ReceiverProcess) -> None:
    """The largest body allowed is stored."""
    body = event_body(new_key(), padding="")
    body = body.replace(b'"padding": ""', b'"padding": "' + b"a" * (MIB - len(body)) + b'"')
    assert len(body) == MIB
    assert receiver.deliver(body).status_code == 200
    assert receiver.deliver(body + b" ").status_code == 413


@pytest.mark.parametrize("header", [b"X-A: " + b"a" * 100_000, b"\r\n".join(b"X-%d: b" % i for i in range(5000))])
def test_oversized_headers_are_refused(receiver: ReceiverProcess, header: bytes) -> None:
    """One long header, or very many, get 431 and a closed connection."""
    answer = receiver.talk(b"POST " + STRIPE.encode() + b" HTTP/1.1\r\n" + header + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")


def test_an_endless_header_is_cut_with_flat_memory(receiver: ReceiverProcess) -> None:
    """A header that never ends is cut within the first megabytes."""
    before_kb = receiver.resident_kb()
    with receiver.socket() as connection:
        connection.sendall(b"POST " + STRIPE.encode() + b" HTTP/1.1\r\nX-A: ")
        assert pour(connection, b"a" * 65536, 100 * MIB) < 20 * MIB
    assert receiver.resident_kb() - before_kb < 8 * 1024


def test_clients_that_leave_early_leave_nothing_behind(receiver: ReceiverProcess) -> None:
    """Hundreds of senders that close right after, or in the middle of, their body hold no place afterwards."""
    body = event_body(new_key())
    head = post_head(len(body), [f"Stripe-Signature: {signature(body)['stripe-signature']}"])

    def leave(number: int) -> None:
        with receiver.socket() as connection:
            connection.sendall(head + (body if number % 2 else body[:20]))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(leave, range(300)))
    until_s = time.monotonic() + 8
    while receiver.metric("webhook_in_flight") and time.monotonic() < until_s:
        time.sleep(0.1)
    assert receiver.metric("webhook_in_flight") == 0
    assert receiver.deliver(body).status_code == 200


def test_too_many_at_once_are_turned_away_before_their_body(receiver: ReceiverProcess) -> None:
    """With 512 deliveries in flight the next gets 503 and a time to come back, and when they are gone it is let in."""
    body = event_body(new_key())
    slow = [receiver.socket() for _ in range(512)]
    for connection in slow:
        connection.sendall(post_head(100, [SIGNED_BY_NOBODY]) + b"half")
    until_s = time.monotonic() + 4
    while receiver.metric("webhook_in_flight") < 512 and time.monotonic() < until_s:
        time.sleep(0.05)
    answer = receiver.deliver(body)
    for connection in slow:
        connection.close()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    until_s = time.monotonic() + 8
    while receiver.metric("webhook_in_flight") and time.monotonic() < until_s:
        time.sleep(0.1)
    assert receiver.deliver(body).status_code == 200
