"""Logging: one shape for all loggers, nothing secret in it, and a reader that stops never stops the writer."""

import json
import logging
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from infra.log import DroppingSink, configure_logging, redact

REPOSITORY = Path(__file__).resolve().parents[2]
Read = Callable[[], list[dict[str, object]]]


@pytest.fixture
def standard_library_as_it_came() -> Iterator[None]:
    """The root logger back to what pytest set up."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    logging.captureWarnings(False)
    root.handlers[:], logging.raiseExceptions = handlers, raising
    root.setLevel(level)


@pytest.fixture
def logged(standard_library_as_it_came: None) -> Iterator[Read]:
    """Logging configured onto a pipe; call it for the lines so far."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    configure_logging("tests", fd=writer)

    def read() -> list[dict[str, object]]:
        return [json.loads(line) for line in os.read(reader, 1 << 16).splitlines()]

    yield read
    os.close(writer)
    os.close(reader)


def test_a_line_is_json_with_time_level_and_process(logged: Read) -> None:
    """Off a terminal, each event is one JSON object with the UTC time, the level and the process's name."""
    structlog.get_logger().info("event.received", provider="stripe", attempts=2)
    (line,) = logged()
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "provider": "stripe",
        "attempts": 2,
        "event": "event.received",
        "level": "info",
        "process": "tests",
    }


def test_the_standard_library_comes_out_the_same(logged: Read) -> None:
    """A library's record is JSON too, names its logger, and is redacted like our own."""
    logging.getLogger("celery.worker").warning("connecting to %s", "redis://:hunter2@cache:6379/0")
    (line,) = logged()
    assert line["event"] == "connecting to redis://:[redacted]@cache:6379/0"
    assert (line["logger"], line["level"], line["process"]) == ("celery.worker", "warning", "tests")


def test_a_library_with_handlers_of_its_own_writes_once(standard_library_as_it_came: None) -> None:
    """Handlers that a library put on its logger are taken off: its lines come once, through ours."""
    library = logging.getLogger("tests.library")
    library.addHandler(logging.StreamHandler())
    library.propagate = False
    reader, writer = os.pipe()
    configure_logging("tests", fd=writer)
    library.error("server.stopped")
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert stream.read().count("server.stopped") == 1
    assert library.handlers == []


def test_a_broken_format_string_breaks_nobody(logged: Read) -> None:
    """A record whose arguments do not fit its message becomes a line that says so."""
    logging.getLogger("tests").error("%d events", "many")
    (line,) = logged()
    assert line["event"] == "log.record_unreadable"


def test_tracebacks_keep_their_lines_and_lose_their_secrets(logged: Read) -> None:
    """An exception is logged with its traceback, without the password in its message."""
    try:
        raise ConnectionError("postgresql://pa:hunter2@db/pa refused")
    except ConnectionError:
        structlog.get_logger().exception("database.lost")
    (line,) = logged()
    traceback = str(line["exception"])
    assert traceback.count("\n") >= 2
    assert "postgresql://pa:[redacted]@db/pa refused" in traceback


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stripe_webhook_secrets", ["whsec_abc"]),
        ("Authorization", "Basic aG9vazpwdw=="),
        ("api_key", "anything"),
        ("password", 12345678),
        ("note", "the key is sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
        ("note", "rk_test_4eC39HqLyjWDarjtT1zdp7dc"),
        ("note", "header was Bearer abcdef123456"),
        ("note", "live_4eC39HqLyjWDarjtT1zdp7dc4eC39"),
        ("url", "rediss://default:hunter2@cache:6379"),
        ("nested", {"deep": [{"client_secret": "pi_1_secret_2"}]}),
    ],
)
def test_secrets_are_redacted(key: str, value: object) -> None:
    """What looks like a secret, by its name or its shape, at any depth, is not in the line."""
    text = json.dumps(redact(None, "info", {key: value}))
    assert "[redacted]" in text
    for secret in ("whsec_abc", "aG9v", "anything", "12345678", "4eC39", "abcdef123", "hunter2", "pi_1_secret"):
        assert secret not in text


def test_what_only_resembles_a_secret_stays() -> None:
    """Ids, counts, the fingerprint of a secret and plain addresses are what logs are for."""
    event = {"secret_fingerprint": "9f86d081", "tokens_count": 3, "key": "stripe:in_1", "url": "https://h:443/a"}
    assert redact(None, "info", dict(event)) == event


_VALUES = st.lists(
    st.one_of(
        st.sampled_from(
            ["whsec_abc", "SK_live_x", "Basic aG9vazpwdw==", "bas\u0131c aG9vazpwdw==", "a://b:c@d", "in_1", "tést"]
        ),
        st.text(max_size=20),
        st.none() | st.integers() | st.lists(st.text(max_size=9), max_size=2),
        st.just("x" * 1500),
    ),
    min_size=2,
    max_size=5,
)


@given(_VALUES, st.sampled_from(["note", "api_key", "no\nte"]))
def test_a_line_is_judged_as_its_entries_are(values: list[object], key: str) -> None:
    """What is taken out of a value does not depend on what else stands on the line."""
    event = {f"{key}{number}": value for number, value in enumerate(values)}
    apart = [redact(None, "info", {name: value, "and": [""]}) for name, value in event.items()]
    assert {**redact(None, "info", dict(event)), "and": [""]} == {k: v for each in apart for k, v in each.items()}


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_value_breaks_a_line_or_moves_a_cursor(before: str, after: str) -> None:
    """Whatever a caller sends, a value has no line break, escape or direction mark left that could forge a line."""
    cleaned = redact(None, "info", {"value": f"{before}\r\n\x1b[2J\u202e\u2028{after}"})["value"]
    assert not any(ord(c) < 32 or 0x7F <= ord(c) <= 0x9F or c in "\u2028\u2029\u202e" for c in cleaned)


def test_values_have_a_longest_length() -> None:
    """An endless value is cut, and a secret that lies across the cut is still redacted."""
    cleaned = redact(None, "info", {"value": "x" * 1990 + " whsec_0123456789abcdef " + "y" * 100_000})["value"]
    assert len(cleaned) < 2100
    assert "0123" not in cleaned


def test_a_terminal_gets_readable_lines(standard_library_as_it_came: None) -> None:
    """On a terminal a line is text for people, not JSON."""
    reader, writer = pty.openpty()
    configure_logging("tests", fd=writer)
    structlog.get_logger().info("demo.started", port=8000)
    line = os.read(reader, 4096).decode()
    os.close(writer)
    os.close(reader)
    assert "demo.started" in line
    assert not line.startswith("{")


def test_no_address_that_is_asked_is_logged(logged: Read) -> None:
    """An HTTP client's line per request, with the whole address in it, is not written; its warnings are."""
    logging.getLogger("httpx").info('HTTP Request: POST %s "HTTP/1.1 200 OK"', "https://example.com/hooks/inner")
    logging.getLogger("httpx").warning("something is odd")
    assert [line["event"] for line in logged()] == ["something is odd"]


def test_a_full_pipe_never_blocks_and_drops_are_counted(standard_library_as_it_came: None) -> None:
    """With nobody reading, writing goes on at once; when the reader is back, a line says how many were lost."""
    reader, writer = os.pipe()
    sink = configure_logging("receiver", fd=writer, never_block=True)
    logger = structlog.get_logger()
    started = time.monotonic()
    for number in range(13_000):
        logger.info("event.received", number=number)
    assert time.monotonic() - started < 30
    assert sink.dropped_count > 0
    received = b""
    while b"log.lines_dropped" not in received:
        received += os.read(reader, 1 << 16)
    os.close(reader)
    assert b'"number": 0,' in received
    assert f'"dropped_count": {sink.dropped_count}'.encode() in received


def test_a_closed_descriptor_costs_lines_only() -> None:
    """A reader that is gone for good makes lines count as dropped and raises nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    sink = DroppingSink(writer)
    sink.write("lost")
    sink.close()
    os.close(writer)
    assert sink.dropped_count == 1


def test_a_fork_writes_too(tmp_path: Path) -> None:
    """A child forked after the configuration has a writer thread of its own, and both flush when they end."""
    script = (
        "import os, structlog\n"
        "from infra.log import configure_logging\n"
        "configure_logging('receiver', fd=1, never_block=True)\n"
        "child = os.fork()\n"
        "structlog.get_logger().info('child.started' if child == 0 else 'parent.started')\n"
        "child and os.waitpid(child, 0)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sorted(json.loads(line)["event"] for line in ran.stdout.splitlines()) == ["child.started", "parent.started"]


def test_an_unread_pipe_does_not_hold_up_the_exit() -> None:
    """A process whose reader never reads still ends by itself within seconds."""
    script = (
        "import structlog\n"
        "from infra.log import configure_logging\n"
        "configure_logging('receiver', fd=1, never_block=True)\n"
        "for number in range(5000): structlog.get_logger().info('event.received', number=number)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(("log_format", "readable"), [("text", True), ("json", False), ("auto", False)])
def test_off_a_terminal_the_format_asked_for_is_written(
    tmp_path: Path, log_format: Literal["text", "json", "auto"], readable: bool
) -> None:
    """A pipe gets JSON, unless lines for people are asked for: `up` on a terminal passes its children's lines on."""
    script = (
        "import sys; from infra.log import configure_logging; import structlog;"
        "configure_logging('web', log_format=sys.argv[1]); structlog.get_logger().info('batch.committed', count=3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, log_format], cwd=REPOSITORY, stderr=subprocess.PIPE, check=True, timeout=30
    )
    assert b"batch.committed" in done.stderr
    assert done.stderr.startswith(b"{") is not readable
