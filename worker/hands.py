"""Two drains that work as one: while batches are full, the second works on the next one beside the first.

A drain alone takes turns with PostgreSQL: while one computes, the other has nothing to do. The second has a connection,
claims and locks of its own, as if it were another process, and is at rest unless there is a backlog of many customers.
"""

import threading

from sqlalchemy import Engine

from infra.settings import Settings
from worker.drain import Drain, DrainReport


class Hands:
    """Drains one database with up to two connections. One call at a time."""

    def __init__(self, engine: Engine, settings: Settings, *, stopping: threading.Event | None = None) -> None:
        """Once `stopping` is set, no further batch is begun."""
        self._second = Drain(engine, settings, stopping=stopping, gives_way=True)
        self._first = Drain(engine, settings, stopping=stopping, on_full=self._call_second)
        self._helping: _Helping | None = None
        self._slice_s: float | None = None

    @property
    def busy_since_s(self) -> float | None:
        """Monotonic seconds at which the older of the turns at hand began; None where there is none."""
        turns = (self._first.busy_since_s, self._second.busy_since_s)
        return min((since_s for since_s in turns if since_s is not None), default=None)

    def run(self, slice_s: float | None = None) -> DrainReport:
        """Work until nothing is due or the slice is over. Raises only when the database is out of reach."""
        return self._together(slice_s, sweeping=False)

    def sweep(self) -> DrainReport:
        """Free what dead workers held, then drain: with this alone everything gets done."""
        return self._together(None, sweeping=True)

    def _together(self, slice_s: float | None, *, sweeping: bool) -> DrainReport:
        self._slice_s = slice_s
        try:
            report = self._first.sweep() if sweeping else self._first.run(slice_s)
        finally:
            # Whatever became of the first: nobody may think that all is at rest while the second is at work.
            helping, self._helping = self._helping, None
            if helping is not None:
                helping.join()
        if helping is not None:
            report.add(helping.result())
        return report

    def _call_second(self) -> None:
        """In the first's thread, once a slice: more is due than it has at hand."""
        if self._helping is None:
            self._helping = _Helping(self._second, self._slice_s)
            self._helping.start()


class _Helping(threading.Thread):
    """One slice of the second drain."""

    def __init__(self, drain: Drain, slice_s: float | None) -> None:
        super().__init__(name="second-drain", daemon=True)
        self._drain = drain
        self._slice_s = slice_s
        self._report = DrainReport()
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._report = self._drain.run(self._slice_s)
        except Exception as error:  # noqa: BLE001 - raised where the slice was begun
            self._error = error

    def result(self) -> DrainReport:
        """What it did, once it has ended. Raises what ended it."""
        if self._error is not None:
            raise self._error
        return self._report
