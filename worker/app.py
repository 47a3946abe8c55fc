"""The Celery application of worker and beat: `celery -A worker.app worker|beat`.

A message is only a doorbell. Each pool process has one desk that drains when rung, and sweeps by itself when not.
"""

import logging
import os
import sys
import time
import warnings
from typing import Any

import structlog
from celery import Celery
from celery.beat import SchedulingError
from celery.platforms import SecurityWarning
from celery.signals import beat_init, setup_logging, worker_init, worker_process_init, worker_process_shutdown

from infra.broker import make_celery
from infra.embedded.parent_watch import exit_with_supervisor
from infra.log import configure_logging
from infra.long_lived import spare_what_is_loaded
from infra.settings import Settings, SettingsError, load_settings
from worker import tasks
from worker.desk import FAILED_EXIT_CODE, Desk
from worker.schedule import SCHEDULE

log = structlog.get_logger()

#: Celery replaces a pool process at once; one that cannot begin must not be replaced all the time.
_PAUSE_BEFORE_EXIT_S = 1.0
#: They tell of every ring; what came of it says the batch's own line.
_TALKATIVE = ("celery.app.trace", "celery.beat", "celery.worker.strategy")


def _without_stack(record: logging.LogRecord) -> bool:
    """A broker that does not answer every five seconds is a line each time, not a page."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, SchedulingError):
        cause = error.__cause__ or error.__context__ or error
        record.msg, record.args = "a ring could not be sent, sweeps do without: %s", (type(cause).__name__,)
        record.exc_info = record.exc_text = None
    return True


def _settings() -> Settings:
    settings = load_settings()
    missing = [name for name in ("database_url", "redis_url") if getattr(settings, name) is None]
    if missing:
        raise SettingsError(
            tuple(f"{name.upper()}: is missing; set it, or let `attribution up` start a server" for name in missing)
        )
    return settings


def make_app(settings: Settings) -> Celery:
    """The application with its tasks and chores; connects on first use."""
    assert settings.redis_url is not None  # `_settings` saw to it
    # It is about messages of pickle, which root would run: these are JSON without arguments.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = make_celery(settings.redis_url)
    app.conf.beat_schedule = SCHEDULE
    tasks.register(app)
    return app


def _start() -> Celery:
    """Read the settings and connect the signals: what `celery -A worker.app` finds as `app`."""
    try:
        settings = _settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    _connect_signals(settings)
    return make_app(settings)


def _connect_signals(settings: Settings) -> None:
    def set_up_logging(**_: Any) -> None:
        configure_logging("beat" if "beat" in sys.argv else "worker", log_format=settings.log_format)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)

        logging.getLogger("celery.beat").addFilter(_without_stack)

    def watch_supervisor(**_: Any) -> None:
        exit_with_supervisor()

    def open_desk(**_: Any) -> None:
        # After the fork: a connection opened before it would be shared between processes.
        try:
            desk = Desk(settings)
            spare_what_is_loaded()
            tasks.open_desk(desk)
        except Exception:
            # Celery would log it and go on, with a process that does nothing.
            log.critical("worker.failed", exc_info=True)
            time.sleep(_PAUSE_BEFORE_EXIT_S)
            os._exit(FAILED_EXIT_CODE)

    def close_desk(**_: Any) -> None:
        tasks.close_desk()

    setup_logging.connect(set_up_logging, weak=False)
    for starting in (worker_init, beat_init):
        starting.connect(watch_supervisor, weak=False)
    worker_process_init.connect(open_desk, weak=False)
    worker_process_shutdown.connect(close_desk, weak=False)


app = _start()
