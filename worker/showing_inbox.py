"""How the command line shows the inbox: tables where there is room, otherwise a few lines per event."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from worker.showing import escape, moment, say, table

#: From this width on the inbox fits on one line per event.
_WIDE_COLUMNS = 160


def status(out: Console, found: Mapping[str, int]) -> None:
    """Rows of the inbox per state."""
    rows = [(name, str(number)) for name, number in found.items() if name != "oldest_due_s"]
    table(out, ("inbox", "events"), rows)
    due_s = found["oldest_due_s"]
    out.print(f"oldest due: {due_s} s" if due_s else "nothing is overdue")


def events(out: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """The inbox as a table."""
    if not found:
        out.print("no events")
        return
    if out.width < _WIDE_COLUMNS:
        for row in found:
            _event(out, row)
        return
    table(
        out,
        ("id", "received", "provider", "event", "type", "state", "attempts", "reason or outcome"),
        [(*_cells(row)[:3], row["event_key"], *_cells(row)[3:], str(row["attempts"]), _became(row)) for row in found],
    )


def _event(out: Console, row: Mapping[str, Any]) -> None:
    """One event on a narrow terminal: what it is, and below it what became of it."""
    number, received, *cells = map(escape, _cells(row))
    out.print(f"[bold]{number}[/bold]  {received}  {'  '.join(cells)}")
    tries = "" if row["attempts"] == 1 else f", {row['attempts']} attempts"
    say(out, 4, escape(f"{row['event_key']}{tries}"))
    if became := _became(row):
        say(out, 4, escape(became))


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return str(row["id"]), moment(row["received_at"]), row["provider"], row["event_type"], row["state"]


def _became(row: Mapping[str, Any]) -> str:
    return row["reason"] or _outcome(row["outcome"])


def _outcome(outcome: Mapping[str, Sequence[str]] | None) -> str:
    return "; ".join(f"{what}: {', '.join(keys)}" for what, keys in (outcome or {}).items() if keys)
