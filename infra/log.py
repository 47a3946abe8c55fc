"""Logging: structlog and the standard library's loggers through one set of processors to one file descriptor.

Readable lines on a terminal, JSON otherwise, times in UTC. Secrets and control characters are taken out of every
value. With `never_block`, a reader that stops reading costs lines, which are counted, and never the caller's time.
"""

import atexit
import functools
import json
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Mapping
from typing import Literal, Protocol

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

#: Standard error, so that what a command prints on standard output stays clean.
STANDARD_ERROR = 2
#: Lines kept while the reader does not read; beyond that the newest is dropped.
QUEUED_LINES_MAX = 10_000
_FLUSH_AT_EXIT_S = 1.0
_TEXT_LENGTH_MAX = 2_000
_TRACEBACK_LENGTH_MAX = 16_000
_DEPTH_MAX = 6

_SECRET_KEY = re.compile(
    r"(secret|passw|token|authori[sz]ation|api_?key|private_?key|signature|cookie|credential)(?!.*_(fingerprint|count)$)",
    re.IGNORECASE,
)
_SECRET_VALUES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(whsec|(?:sk|rk)_(?:live|test))_\w+"), r"\1_[redacted]"),
    (re.compile(r"\b(live|test)_[A-Za-z0-9]{20,}\b"), r"\1_[redacted]"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), r"\1:[redacted]@"),
    (re.compile(r"\b(Basic|Bearer)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), r"\1 [redacted]"),
)
#: What has none of these, whatever the case, and is printable ASCII, is clear of all of the above and below.
_WORTH_A_LOOK = ("whsec_", "sk_", "rk_", "live_", "test_", "://", "basic", "bearer")
#: Controls, line and paragraph separators, and the marks that reverse the direction of text.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLAIN = (str, int, float, bool, type(None))
_UNPRINTABLE_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Sink(Protocol):
    """Where finished lines go. `dropped_count` is how many were lost since the start."""

    dropped_count: int

    def write(self, line: str) -> None:
        """Take one line without its line feed; never raise."""


class DirectSink:
    """Writes each line at once; the caller waits for a slow reader."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.dropped_count = 0

    def write(self, line: str) -> None:
        """Write, or count the line as dropped where the descriptor is gone."""
        if not _write_whole(self._fd, line):
            self.dropped_count += 1


class DroppingSink:
    """Hands lines to a thread that writes them; with the queue full, drops the newest and counts it."""

    def __init__(self, fd: int, lines_max: int = QUEUED_LINES_MAX) -> None:
        self._fd = fd
        self._lines_max = lines_max
        self.dropped_count = 0
        self._start()
        # A fork takes the queue along but not the thread, and perhaps a lock that is held.
        os.register_at_fork(after_in_child=self._start)
        atexit.register(self.close)

    def _start(self) -> None:
        self._lines: deque[str] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue the line, or drop it; never waits for the reader."""
        with self._ready:
            if len(self._lines) >= self._lines_max:
                self.dropped_count += 1
                return
            self._lines.append(line)
            self._ready.notify()

    def close(self) -> None:
        """Give the reader a moment to take what is queued, then leave the rest behind."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(_FLUSH_AT_EXIT_S)

    def _run(self) -> None:
        reported = self.dropped_count
        while (line := self._take()) is not None:
            if not _write_whole(self._fd, line):
                self.dropped_count += 1
            elif self.dropped_count > reported:
                reported = self.dropped_count
                structlog.get_logger().warning("log.lines_dropped", dropped_count=reported)

    def _take(self) -> str | None:
        with self._ready:
            self._ready.wait_for(lambda: self._lines or self._closing)
            return self._lines.popleft() if self._lines else None


def _write_whole(fd: int, line: str) -> bool:
    rest = memoryview(f"{line}\n".encode(errors="backslashreplace"))
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        return False
    return True


def _is_clear(text: str) -> bool:
    """Whether one look tells that there is nothing to take out; most texts are so."""
    if not (text.isascii() and text.isprintable()):
        return False
    lowered = text.lower()
    for mark in _WORTH_A_LOOK:  # noqa: SIM110 - a generator takes twice as long
        if mark in lowered:
            return False
    return True


def _strip_and_redact(
    text: str, unprintable: re.Pattern[str] = _UNPRINTABLE, length_max: int = _TEXT_LENGTH_MAX
) -> str:
    if len(text) <= length_max and _is_clear(text):
        return text
    # Cut twice: a secret across the first cut would no longer look like one.
    text = unprintable.sub(" ", text[: 2 * length_max])
    for pattern, replacement in _SECRET_VALUES:
        text = pattern.sub(replacement, text)
    return text if len(text) <= length_max else f"{text[:length_max]}..."


@functools.lru_cache(maxsize=4096)
def _clean_key(key: str) -> tuple[str, bool]:
    """The key as it may be written, and whether its name says that the value is secret."""
    return _strip_and_redact(key), _SECRET_KEY.search(key) is not None


def _clean(value: object, depth: int = 0) -> object:
    """The value with secrets and control characters out, of JSON's own types only."""
    if isinstance(value, str):
        return _strip_and_redact(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping) and depth < _DEPTH_MAX:
        return dict(_clean_entry(str(key), entry, depth + 1) for key, entry in value.items())
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEPTH_MAX:
        return [_clean(entry, depth + 1) for entry in value]
    return _strip_and_redact(str(value))


def _clean_entry(key: str, value: object, depth: int = 0) -> tuple[str, object]:
    name, is_secret = _clean_key(key)
    if is_secret and value is not None:
        return name, "[redacted]"
    if key in ("exception", "stack"):
        return name, _strip_and_redact(str(value), _UNPRINTABLE_BUT_LAYOUT, _TRACEBACK_LENGTH_MAX)
    return name, _clean(value, depth)


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Processor: take secrets and control characters out of all values, and out of keys."""
    if _is_harmless(event):
        return event
    # structlog's own entries, which start with an underscore, never reach a line.
    return dict((key, value) if key.startswith("_") else _clean_entry(key, value) for key, value in event.items())


def _is_harmless(event: EventDict) -> bool:
    """One look at all of it clears nearly every line: no key of a secret, and nothing worth a look in any value."""
    texts = [value for value in event.values() if type(value) is str]
    if len(texts) < len(event) and not all(type(value) in _PLAIN for value in event.values()):
        return False
    together = " ".join(texts)
    return len(together) <= _TEXT_LENGTH_MAX and _is_clear(together) and _are_harmless_keys(tuple(event))


@functools.lru_cache(maxsize=1024)
def _are_harmless_keys(keys: tuple[str, ...]) -> bool:
    return all(_clean_key(key) == (key, False) for key in keys)


class _SinkLogger:
    """What structlog calls with a finished line."""

    def __init__(self, sink: Sink) -> None:
        self._write = sink.write

    def msg(self, line: str) -> None:
        self._write(line)

    log = debug = info = warning = error = critical = exception = msg


class _SinkHandler(logging.Handler):
    """The standard library's records, through the same processors to the same sink."""

    def __init__(self, sink: Sink, formatter: logging.Formatter) -> None:
        super().__init__()
        self._sink = sink
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a library's broken format string must not break its caller
            record.msg, record.args, record.exc_info = "log.record_unreadable", None, None
            line = self.format(record)
        self._sink.write(line)


def configure_logging(
    process: str,
    *,
    fd: int = STANDARD_ERROR,
    never_block: bool = False,
    level: int = logging.INFO,
    log_format: Literal["auto", "text", "json"] = "auto",
) -> Sink:
    """Route all logging of this process to `fd`, each line naming `process`; call it once, before anything logs.

    `auto` is text for people on a terminal and JSON otherwise. `never_block` is for the receiver: see `DroppingSink`.
    Libraries that configure logging themselves (Celery, Granian) must be told not to.
    """
    sink: Sink = DroppingSink(fd) if never_block else DirectSink(fd)

    def add_process(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_process,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer = _renderer(log_format == "text" or (log_format == "auto" and os.isatty(fd)))
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _SinkLogger(sink),
        # Not cached: a logger made at import would keep an earlier configuration.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(sink, shared, renderer, level)
    # Every look at the migrations would log two lines.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It tells every address it asks; those that webhooks go to may hold what only their owner should know.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return sink


def _renderer(is_for_people: bool) -> Processor:
    if is_for_people:
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    encoder = json.JSONEncoder(default=str)  # made once: `json.dumps` makes one for every line
    return structlog.processors.JSONRenderer(serializer=lambda event, **_: encoder.encode(event))


def _route_standard_library(sink: Sink, shared: list[Processor], renderer: Processor, level: int) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        # The name is added here: these loggers have one, structlog's here do not.
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    root = logging.getLogger()
    for name in list(root.manager.loggerDict):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    root.handlers[:] = [_SinkHandler(sink, formatter)]
    root.setLevel(level)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
