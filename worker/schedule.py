"""Periodic chores, rung by beat. Each is idempotent and does nothing where another worker is at it."""

from typing import Any

from infra.broker import DRAIN_TASK

WATCH_TASK = "worker.tasks.watch_inbox"
RELEASE_TASK = "worker.tasks.release_commissions"
CHECK_TASK = "worker.tasks.check_invariants"
DELIVER_TASK = "worker.tasks.deliver_webhooks"
ERASE_TASK = "worker.tasks.erase_persons"
RECONCILE_TASK = "worker.tasks.reconcile"

#: Two beats ring twice; the second ring finds nothing to do.
SCHEDULE: dict[str, dict[str, Any]] = {
    "sweep": {"task": DRAIN_TASK, "schedule": 5.0, "options": {"expires": 5}},
    "deliver": {"task": DELIVER_TASK, "schedule": 5.0, "options": {"expires": 5}},
    "watch": {"task": WATCH_TASK, "schedule": 60.0, "options": {"expires": 60}},
    # Two looks at an index of what is due.
    "release": {"task": RELEASE_TASK, "schedule": 5.0, "options": {"expires": 5}},
    # A slice each time; a new check begins only once the last one is old enough, see `infra.checks`.
    "check": {"task": CHECK_TASK, "schedule": 60.0, "options": {"expires": 60}},
    # What somebody asked for on a page is under way while they look.
    "erase": {"task": ERASE_TASK, "schedule": 10.0, "options": {"expires": 10}},
    # How often a provider's books are read, the database says: beat forgets when it is restarted.
    "reconcile": {"task": RECONCILE_TASK, "schedule": 60.0, "options": {"expires": 60}},
}
