"""Lines of child processes on their way to a terminal or a log: split, prefixed, and never in the children's way."""

import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence

#: A line longer than this is passed on in pieces.
LINE_BYTES_MAX = 65_536
#: Lines kept for a reader that does not read; beyond that the newest are dropped and counted.
QUEUED_LINES_MAX = 5_000
_CLOSE_TIMEOUT_S = 2.0
_COLOURS = (36, 33, 32, 35, 34, 31)


def prefix(place: int, names: Sequence[str]) -> bytes:
    """The name at `place` in its colour, as wide as the longest of `names`."""
    width = max(map(len, names))
    return f"\x1b[{_COLOURS[place % len(_COLOURS)]}m{names[place]:<{width}} |\x1b[0m ".encode()


class LineSplitter:
    """Makes lines of chunks."""

    def __init__(self) -> None:
        self._begun = b""

    def split(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without their line feeds."""
        *lines, self._begun = (self._begun + chunk).split(b"\n")
        while len(self._begun) > LINE_BYTES_MAX:
            lines.append(self._begun[:LINE_BYTES_MAX])
            self._begun = self._begun[LINE_BYTES_MAX:]
        return lines

    def rest(self) -> list[bytes]:
        """The line that was begun and never ended, if any."""
        begun, self._begun = self._begun, b""
        return [begun] if begun else []


class OutputQueue:
    """Writes lines to a file descriptor from a thread of its own; `put_lines` never waits for the reader."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name="process-output", daemon=True)
        self.dropped_count = 0

    def start(self) -> None:
        """Begin to write. To a descriptor of our own: whatever gets the number of a closed one next is not ours."""
        self._fd = os.dup(self._fd)
        self._thread.start()

    def put_lines(self, line_prefix: bytes, lines: Iterable[bytes]) -> None:
        """Take lines without line feeds; drop those that find the queue full."""
        with self._changed:
            for line in lines:
                if len(self._lines) < QUEUED_LINES_MAX:
                    self._lines.append(line_prefix + line + b"\n")
                else:
                    self.dropped_count += 1
            self._changed.notify()

    def close(self) -> None:
        """Write what is queued, but wait no longer than two seconds for the reader."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _write_all(self) -> None:
        try:
            while batch := self._next_batch():
                if not _write_whole(self._fd, batch):
                    return
        finally:
            os.close(self._fd)

    def _next_batch(self) -> bytes:
        """What is queued, waiting for it; empty when it is closed and all is written."""
        with self._changed:
            while not self._lines and not self._closed:
                self._changed.wait()
            batch = b"".join(self._lines)
            self._lines.clear()
        return batch


def _write_whole(fd: int, content: bytes) -> bool:
    """False where nobody will ever read it."""
    try:
        while content:
            content = content[os.write(fd, content) :]
    except OSError:
        return False
    return True
