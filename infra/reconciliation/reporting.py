"""A report as a document: what both sides have, what was missing, what was repaired, and where the money stands."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from domain.differences import Comparison, Difference, Kind
from domain.reconcile import Bucket, Repair, Repaired, Report, Total, repairs
from domain.windows import epoch_ms
from infra.reconciliation.runs import Run

#: A report names so many keys of a kind; the numbers count all.
KEYS_MAX: Final = 100
#: What a report calls each kind, in this order.
SECTIONS: Final = {
    Kind.SUBSCRIPTION: "subscriptions",
    Kind.INVOICE: "invoices",
    Kind.REFUND: "refunds",
    Kind.CREDIT_NOTE: "credit_notes",
    Kind.DISPUTE: "disputes",
}


def events_report(run: Run) -> dict[str, Any]:
    """Of the events alone."""
    progress, lost_since = run.progress, run.progress.events_lost_since
    return {
        "window": {"since": _ms(run.events_since), "until": _ms(run.until)},
        "events": {
            "listed": progress.events_listed,
            "missing": sum(progress.events_missing.values()),
            "missing_by_type": progress.events_missing,
            "keys": progress.event_keys,
            #: Events of this stretch can no longer be listed: of what happened in it only the outcome is known.
            "lost": None if lost_since is None else {"since": _ms(lost_since), "until": _ms(run.events_since)},
        },
        "refused": progress.refused,
    }


def whole_report(run: Run, before: Report, after: tuple[Report, Repaired] | None) -> dict[str, Any]:
    """Of events, objects and money. `after` None: nothing was repaired, this says what would be."""
    now, outcome = after if after is not None else (before, Repaired((), repairs(before)))
    done, left = set(outcome.done), set(outcome.left)
    return {
        **events_report(run),
        "objects_window": {"since": _ms(run.since), "until": _ms(run.until)},
        **{name: _compared(kind, before.of(kind), now.of(kind), done, left) for kind, name in SECTIONS.items()},
        "unreadable": dict(sorted(run.progress.unreadable.items())[:KEYS_MAX]),
        "money": [_money(total) for total in now.money],
        "ties_out": ties_out(now) and not run.progress.unreadable,
    }


def ties_out(report: Report) -> bool:
    """Whether every line of every paid invoice is commissioned, excluded or waiting for a reason, to the cent."""
    unsettled = (Bucket.MISSING, Bucket.UNEXPLAINED)
    return all(
        total.ties_out and not any(tally.bucket in unsettled for tally in total.tallies) for total in report.money
    )


def _compared(
    kind: Kind, before: Comparison, now: Comparison, done: Iterable[Repair], left: Iterable[Repair]
) -> dict[str, Any]:
    mended = sorted(repair.key for repair in done if repair.kind is kind)
    unexplained = sorted(repair.key for repair in left if repair.kind is kind)
    return {
        "provider": now.provider_count,
        "ours": now.ours_count,
        "missing": len(before.missing),
        "extra": len(before.extra),
        "different": len({difference.key for difference in before.different}),
        "waiting": len(now.waiting),
        "repaired": len(mended),
        "unexplained": len(unexplained),
        "keys": {
            "missing": _first(before.missing),
            "extra": _first(before.extra),
            "waiting": _first(now.waiting),
            "repaired": _first(mended),
            "unexplained": _first(unexplained),
        },
        "differences": [_difference(each) for each in before.different[:KEYS_MAX]],
    }


def _difference(found: Difference) -> dict[str, Any]:
    return {"key": found.key, "field": found.field, "provider": found.provider, "ours": found.ours}


def _money(total: Total) -> dict[str, Any]:
    return {
        "currency": total.currency,
        "provider": total.provider_minor,
        "ours": total.ours_minor,
        "ties_out": total.ties_out,
        "buckets": [
            {"bucket": each.bucket, "reason": each.reason, "lines": each.lines_count, "amount": each.amount_minor}
            for each in total.tallies
        ],
    }


def _first(keys: Sequence[str]) -> list[str]:
    return list(keys[:KEYS_MAX])


def _ms(at: Any) -> int | None:
    return None if at is None else epoch_ms(at)
