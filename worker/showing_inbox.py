"""How the command line shows the inbox: tables where there is room, otherwise a few lines per event."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from domain.money import format_money
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


def event(out: Console, row: Mapping[str, Any]) -> None:
    """One event with everything that is known of it."""
    out.print(f"event {row['id']}  {escape(row['provider'])} {escape(row['event_type'])}", style="bold")
    say(out, 2, f"called {escape(row['event_key'])}, happened {moment(row['occurred_at'])} UTC")
    say(out, 2, f"received {moment(row['received_at'])} UTC, attempts: {row['attempts']}")
    ended = row["finished_at"] or row["next_attempt_at"]
    when = "" if ended is None else f" {'since' if row['finished_at'] else 'and due at'} {moment(ended)} UTC"
    say(out, 2, f"{row['state']}{when}")
    if row["reason"]:
        say(out, 2, f"because {escape(row['reason'])}")
    if row["erased"]:
        say(out, 2, "its body was erased; it cannot be replayed, and what it caused stays")
    for what, keys in (row["outcome"] or {}).items():
        say(out, 2, escape(f"{what}: {', '.join(keys)}"))


def dead(out: Console, groups: Sequence[Mapping[str, Any]]) -> None:
    """Dead letters by what killed them."""
    if not groups:
        out.print("no dead letters")
        return
    for group in groups:
        out.print(escape(group["fingerprint"]), style="bold")
        since, last = moment(group["first_seen_at"]), moment(group["last_seen_at"])
        number = "1 event" if group["count"] == 1 else f"{group['count']} events"
        say(out, 4, f"{number}, received from {since} to {last} UTC, the last is event {group['example_id']}")
        if group["reason"]:
            say(out, 4, escape(group["reason"]))


def dry_run(out: Console, found: Mapping[str, Any]) -> None:
    """What a replay would make of events, and what it would change."""
    out.print(f"{found['matching']} events are meant, {found['tried']} were tried; nothing was changed", style="bold")
    if found["erased"]:
        say(out, 2, f"{found['erased']} cannot be replayed: their bodies were erased")
    for each in found["events"]:
        if each["state"] != "processed":
            why = f": {each['reason']}" if each["reason"] else ""
            say(out, 2, escape(f"event {each['id']} {each['event_key']} would be {each['state']}{why}"))
    for kind in ("transactions", "products", "commissions"):
        for row in found[kind]:
            say(out, 2, escape(f"{kind[:-1]} {row['key']}: {_side(row['before'])} -> {_side(row['after'])}"))
    if found["more"]:
        say(out, 2, "and more")
    for total in found["totals"]:
        money = format_money(total["amount"], total["currency"])
        out.print(f"{escape(total['partner_key'])} would get {money} more")
    if not any(found[kind] for kind in ("transactions", "products", "commissions")):
        out.print("it would change nothing")


def _side(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not there"
    return " ".join(str(row[name]) for name in ("amount", "status", "reward_status") if row.get(name) is not None)
