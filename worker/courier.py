"""Delivers webhooks to others from a thread of its own: when told that something was committed, and by itself.

Apart from the drain, so that an endpoint which hangs never keeps a billing event waiting.
"""

import threading
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from infra.clock import Clock
from infra.outgoing.messenger import Messenger
from infra.settings import Settings


class Courier:
    """One per process; `run` is its thread."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Clock,
        *,
        every_s: float,
        closing: threading.Event,
        complain: Callable[[DBAPIError], None],
    ) -> None:
        self._messenger = Messenger(engine, settings, clock, stopping=closing)
        self._every_s = every_s
        self._closing = closing
        self._complain = complain
        self._told = threading.Event()

    def tell(self) -> None:
        """Say that something may be due; never waits."""
        self._told.set()

    def run(self) -> None:
        """Deliver until the process is to end. A database out of reach is complained of and tried again."""
        while not self._closing.is_set():
            self._told.wait(self._every_s)
            self._told.clear()
            try:
                self._messenger.run()
            except DBAPIError as error:
                self._complain(error)
