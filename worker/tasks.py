"""The Celery tasks. They carry no arguments: what there is to do stands in the inbox."""

from celery import Celery

from infra.broker import DRAIN_TASK
from worker.desk import Desk
from worker.schedule import CHECK_TASK, DELIVER_TASK, ERASE_TASK, RECONCILE_TASK, RELEASE_TASK, WATCH_TASK

_desk: Desk | None = None


def open_desk(desk: Desk) -> None:
    """Give this pool process its desk; called once, after the fork."""
    global _desk  # noqa: PLW0603 - one per process, and Celery's tasks are functions
    _desk = desk
    desk.open()


def close_desk() -> None:
    """Finish the batch at hand and let go of the database."""
    if _desk is not None:
        _desk.close()


def register(app: Celery) -> None:
    """Tell a Celery application about the tasks."""
    app.task(name=DRAIN_TASK, ignore_result=True)(drain_inbox)
    app.task(name=WATCH_TASK, ignore_result=True)(watch_inbox)
    app.task(name=RELEASE_TASK, ignore_result=True)(release_commissions)
    app.task(name=CHECK_TASK, ignore_result=True)(check_invariants)
    app.task(name=DELIVER_TASK, ignore_result=True)(deliver_webhooks)
    app.task(name=ERASE_TASK, ignore_result=True)(erase_persons)
    app.task(name=RECONCILE_TASK, ignore_result=True)(reconcile)


def drain_inbox() -> None:
    """Work until nothing is due. A database out of reach is left to the sweep."""
    _at_desk().drain()


def watch_inbox() -> None:
    """Log how the inbox stands, louder when something in it is dead or late."""
    _at_desk().watch()


def release_commissions() -> None:
    """Move commissions whose day has come."""
    _at_desk().release()


def check_invariants() -> None:
    """Go on checking that the books are right."""
    _at_desk().check()


def erase_persons() -> None:
    """Go on erasing whoever somebody asked for."""
    _at_desk().erase()


def deliver_webhooks() -> None:
    """Have webhooks to others delivered; the outbox says which."""
    _at_desk().deliver()


def reconcile() -> None:
    """Look whether it is time to compare with the providers' books."""
    _at_desk().reconcile()


def _at_desk() -> Desk:
    if _desk is None:
        raise RuntimeError("this process has no desk: tasks run in Celery's prefork pool")
    return _desk
