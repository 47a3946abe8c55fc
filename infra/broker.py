"""Celery as a doorbell: the client both processes share, and the receiver's wake.

The broker may lose anything at any time. What it carries says only that there is work; the inbox says which.
"""

import threading
import time
from collections.abc import Callable

import redis
import structlog
from celery import Celery
from kombu.exceptions import KombuError

QUEUE = "attribution"
DRAIN_TASK = "worker.tasks.drain_inbox"

#: Above the longest task; a message whose worker died is handed out again after this long.
VISIBILITY_TIMEOUT_S = 120
#: With this many messages waiting no worker is idle, and one more wake tells nobody anything.
MESSAGES_WAITING_MAX = 4
#: A wake nobody took in this long is worth nothing: the sweep has been by.
WAKE_EXPIRES_S = 30

_PAUSE_S = 0.02
_PAUSE_AFTER_ERROR_S = 0.5
_COMPLAINTS_EVERY_S = 10.0

_log = structlog.get_logger()


def make_celery(redis_url: str, *, socket_timeout_s: float = 30.0, connect_timeout_s: float = 5.0) -> Celery:
    """A Celery app on Redis that keeps no results and takes JSON only; connects on first use.

    A short `socket_timeout_s` suits a publisher; a worker blocks on its queue for longer than a second.
    """
    app = Celery("attribution", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_default_queue=QUEUE,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        # For ever: a worker without a broker still sweeps.
        broker_connection_max_retries=None,
        enable_utc=True,
        timezone="UTC",
        broker_connection_timeout=connect_timeout_s,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "socket_timeout": socket_timeout_s,
            "socket_connect_timeout": connect_timeout_s,
            "retry_on_timeout": False,
            # kombu's own reconnecting, as opposed to Celery's: once, without a pause.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
    )
    return app


class Wake:
    """Rings the workers' doorbell from a thread of its own, any number of rings in 20 ms as one message.

    `ring` never waits and never fails. `on_error` is called in that thread for every wake that could not be sent.
    """

    def __init__(self, redis_url: str, *, timeout_s: float = 1.0, on_error: Callable[[], None] = lambda: None) -> None:
        self._app = make_celery(redis_url, socket_timeout_s=timeout_s, connect_timeout_s=timeout_s)
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None, protocol=2
        )
        self._on_error = on_error
        self._is_rung = False
        self._stirred = threading.Event()
        self._stopping = threading.Event()
        self._complained_s = float("-inf")
        self._failed_count = 0
        self._thread = threading.Thread(target=self._run, name="wake", daemon=True)

    def start(self) -> None:
        """Begin to publish what has been rung."""
        self._thread.start()

    def ring(self) -> None:
        """Say that something was committed; may be called from any thread."""
        self._is_rung = True
        self._stirred.set()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Publish a last ring if there is one, and end the thread; gives up waiting after `timeout_s`."""
        self._stopping.set()
        self._stirred.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._stirred.wait()
            self._stirred.clear()
            stopping = self._stopping.is_set()
            # Cleared before it is acted on: what rings from here on is for the next message.
            is_rung, self._is_rung = self._is_rung, False
            pause_s = self._publish() if is_rung else 0.0
            if stopping:
                return
            self._stopping.wait(pause_s)

    def _publish(self) -> float:
        """Send one wake unless enough are waiting; gives the pause before the next."""
        try:
            if int(self._redis.llen(QUEUE)) < MESSAGES_WAITING_MAX:
                self._app.send_task(DRAIN_TASK, expires=WAKE_EXPIRES_S, ignore_result=True, retry=False)
        except (redis.RedisError, KombuError, OSError) as error:
            self._complain(error)
            return _PAUSE_AFTER_ERROR_S
        return _PAUSE_S

    def _complain(self, error: Exception) -> None:
        self._on_error()
        self._failed_count += 1
        now_s = time.monotonic()
        if now_s - self._complained_s >= _COMPLAINTS_EVERY_S:
            _log.warning("wake.failed", error=type(error).__name__, failed_count=self._failed_count)
            self._complained_s, self._failed_count = now_s, 0
