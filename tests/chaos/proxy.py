"""A TCP proxy that can fail as networks do: cut at once, held half open, or deaf in one direction."""

import socket
import struct
import threading
from collections.abc import Callable
from typing import Literal

#: flowing: all passes. cut: connections are reset, new ones too. held: nothing passes and nothing ends. mute: what
#: clients say arrives, what they are answered does not.
Mode = Literal["flowing", "cut", "held", "mute"]


class Proxy:
    """Listens on a loopback port and leads to whatever `connect` connects to."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._mode: Mode = "flowing"
        self._passing = threading.Event()
        self._passing.set()
        #: Answers were lost since the last heal.
        self._lost = False
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def fail(self, mode: Mode) -> None:
        """Fail in this way from now on."""
        self._mode = mode
        if mode == "held":
            self._passing.clear()
        elif mode == "cut":
            self._passing.set()
            self._reset_all()

    def heal(self) -> None:
        """All passes again. What lost an answer cannot go on: those connections are reset."""
        self._mode = "flowing"
        if self._lost:
            self._lost = False
            self._reset_all()
        self._passing.set()

    def close(self) -> None:
        """End everything."""
        self._mode = "cut"
        self._passing.set()
        self._listener.close()
        self._reset_all()

    def _reset_all(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            _reset(pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed: the end
                return
            try:
                pair = (client, self._connect())
            except OSError:  # the server is not there
                client.close()
                continue
            with self._lock:
                self._pairs.add(pair)
            if self._mode == "cut":
                self._reset_all()
                continue
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket) -> None:
        is_answer = source is pair[1]
        try:
            while chunk := source.recv(65536):
                self._passing.wait()
                if is_answer and self._mode == "mute":
                    self._lost = True
                else:
                    sink.sendall(chunk)
        except OSError:  # reset, by either side or by us
            pass
        self._passing.wait()
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            _shut(end)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended already
        return
    finally:
        end.close()


def _reset(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:  # closed meanwhile
            continue
        _shut(end)
