"""The Celery application of worker and beat: `celery -A worker.app worker|beat`.

A message is only a doorbell. Each pool process has one desk that drains when rung, and sweeps by itself when not.
"""

import sys
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from infra.broker import make_celery
from infra.log import configure_logging
from infra.settings import Settings, SettingsError, load_settings
from worker import tasks
from worker.desk import Desk
from worker.schedule import SCHEDULE


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
    def log(**_: Any) -> None:
        configure_logging("beat" if "beat" in sys.argv else "worker")

    def open_desk(**_: Any) -> None:
        # After the fork: a connection opened before it would be shared between processes.
        tasks.open_desk(Desk(settings))

    def close_desk(**_: Any) -> None:
        tasks.close_desk()

    setup_logging.connect(log, weak=False)
    worker_process_init.connect(open_desk, weak=False)
    worker_process_shutdown.connect(close_desk, weak=False)


app = _start()
