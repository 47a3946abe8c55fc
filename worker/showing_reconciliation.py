"""How the command line shows a reconciliation: what both sides have, what was done about it, where the money stands."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from domain.money import format_money
from infra.reconciliation.reporting import SECTIONS
from worker.showing import escape, say, table

_NUMBERS = ("provider", "ours", "missing", "extra", "different", "waiting", "repaired", "unexplained")


def show_reconciliation(out: Console, found: Mapping[str, Any]) -> None:
    """A finished run and its report."""
    report = found["report"]
    for sentence in _about_events(report["events"], dry_run=found["dry_run"]):
        out.print(escape(sentence))
    rows = [
        (kind.replace("_", " "), *(str(report[kind][number]) for number in _NUMBERS))
        for kind in SECTIONS.values()
        if kind in report
    ]
    if rows:
        table(out, ("", *_NUMBERS), rows)
        _keys(out, report, dry_run=found["dry_run"])
        _money(out, report)
    for what, reason in report["refused"].items():
        say(out, 0, escape(f"{what} could not be listed: {reason}"), "yellow")


def _about_events(events: Mapping[str, Any], *, dry_run: bool) -> Iterator[str]:
    verb = "would be stored" if dry_run else "were missing and are stored"
    yield f"{events['listed']} events listed, {events['missing']} {verb}"
    for event_type, number in events["missing_by_type"].items():
        yield f"  {number} {event_type}"
    if events["lost"] is not None:
        yield "The provider no longer lists all events since the last run: of some changes only the outcome is known."


def _keys(out: Console, report: Mapping[str, Any], *, dry_run: bool) -> None:
    """What is wrong, by key: an operator looks there."""
    words = {"unexplained": "to repair" if dry_run else "not repaired", "waiting": "waiting"}
    for kind in SECTIONS.values():
        if kind not in report:
            continue
        for what, word in words.items():
            if keys := report[kind]["keys"][what]:
                say(out, 0, escape(f"{kind.replace('_', ' ')} {word}: {', '.join(keys)}"), "yellow")
        for each in report[kind]["differences"]:
            say(out, 2, escape(f"{each['key']} {each['field']}: provider {each['provider']}, ours {each['ours']}"))


def _money(out: Console, report: Mapping[str, Any]) -> None:
    rows = [
        (
            bucket["bucket"],
            bucket["reason"] or "",
            str(bucket["lines"]),
            format_money(bucket["amount"], total["currency"]),
        )
        for total in report["money"]
        for bucket in total["buckets"]
    ]
    if rows:
        table(out, ("paid lines", "because", "lines", "amount"), rows)
    for total in report["money"]:
        provider, ours = (format_money(total[side], total["currency"]) for side in ("provider", "ours"))
        out.print(f"{provider} paid at the provider, {ours} here")
    out.print("Every paid line is accounted for." if report["ties_out"] else "Not every paid line is accounted for.")
