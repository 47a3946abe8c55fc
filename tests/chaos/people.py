"""The program manager at work in the middle of it all: changes the program, approves commissions and pays them."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from domain.commissions import CommissionState
from domain.errors import TryLater
from infra.ledger.moves import move_commission, move_seen
from infra.program import ProgramReader
from tests.simulation.world import Change
from tests.stage import Stage

#: Between two looks at what there is to approve.
_LOOKS_EVERY_S = 0.5
_APPROVED_AT_ONCE, _PAID_AT_ONCE = 10, 3


@contextmanager
def managing(stage: Stage, changes: Sequence[Change], duration_s: float) -> Iterator[None]:
    """At it meanwhile; on leaving, every change has been made. What was paid out, later events must adjust."""
    person = _Person(stage, changes, duration_s)
    person.start()
    try:
        yield
    finally:
        person.join()
        if person.failure is not None:
            raise person.failure


class _Person(threading.Thread):
    def __init__(self, stage: Stage, changes: Sequence[Change], duration_s: float) -> None:
        super().__init__(name="person")
        self.failure: BaseException | None = None
        self._stage = stage
        self._changes = list(changes)
        self._duration_s = duration_s
        self._reader = ProgramReader(stage.settings)

    def run(self) -> None:
        """Changes at even distances; each is made once the database has said so, and until then tried again."""
        began_s = time.monotonic()
        pause_s = self._duration_s / (len(self._changes) + 1)
        made_count = 0
        try:
            while (now_s := time.monotonic() - began_s) < self._duration_s or made_count < len(self._changes):
                if made_count < len(self._changes) and now_s >= pause_s * (made_count + 1):
                    made_count += self._change(self._changes[made_count])
                self._look_through()
                time.sleep(_LOOKS_EVERY_S)
        except BaseException as error:  # noqa: BLE001 - raised again where the campaign waits
            self.failure = error

    def _change(self, change: Change) -> bool:
        try:
            change.play(self._stage)
        except (DBAPIError, TryLater):
            return False
        return True

    def _look_through(self) -> None:
        """Approve some of what is pending and pay some of what is approved; what is busy or out of reach, later."""
        try:
            seen = dict(self._stage.ask(_SOME, state="pending", count=_APPROVED_AT_ONCE))
            with self._stage.engine.begin() as connection:
                shown = {str(key): int(amount) for key, amount in seen.items()}
                move_seen(connection, shown, CommissionState.PENDING, CommissionState.APPROVED)
            for key, _ in self._stage.ask(_SOME, state="approved", count=_PAID_AT_ONCE):
                with self._stage.engine.begin() as connection:
                    move_commission(connection, self._reader, str(key), CommissionState.PAID, None, "campaign")
        except (DBAPIError, TryLater):
            return


_SOME = """
    select key, amount_minor from commissions where state = :state and amount_minor <> 0 order by random() limit :count
"""
