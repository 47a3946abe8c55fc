"""How the command line shows things to people: tables and indented sentences, values never as markup."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from domain.explain import Explanation, LineExplanation
from domain.judge import Verdict
from domain.money import Money, format_money
from domain.rules import ConditionTrace, GroupTrace, Trace
from infra.explanations import Explained, shown

_MARKS = {True: "[green]yes[/green]", False: "[red]no [/red]"}


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
    table(
        out,
        ("id", "received", "provider", "event", "type", "state", "attempts", "reason or outcome"),
        [
            (
                str(row["id"]),
                moment(row["received_at"]),
                row["provider"],
                row["event_key"],
                row["event_type"],
                row["state"],
                str(row["attempts"]),
                row["reason"] or _outcome(row["outcome"]),
            )
            for row in found
        ],
    )


def _outcome(outcome: Mapping[str, Sequence[str]] | None) -> str:
    return "; ".join(f"{what}: {', '.join(keys)}" for what, keys in (outcome or {}).items())


def table(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table that survives a narrow terminal and a pipe."""
    shown_table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        shown_table.add_column(heading, overflow="fold")
    for row in rows:
        shown_table.add_row(*(escape(cell) for cell in row))
    out.print(shown_table, soft_wrap=False)


def moment(epoch_ms: int) -> str:
    """`2026-03-02 10:00:01` in UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def explanation(out: Console, explained: Explained) -> None:
    """A transaction, its lines, and what every trigger says of each."""
    found = explained.explanation
    _heading(out, explained, found)
    for line in found.lines:
        _line(out, line, found.transaction.currency)
    by_trigger: dict[str, list[Verdict]] = {}
    for verdict in found.verdicts:
        by_trigger.setdefault(verdict.trigger.key, []).append(verdict)
    for verdicts in by_trigger.values():
        trigger = verdicts[0].trigger
        out.print(
            f'\ntrigger "{escape(trigger.name)}" ({escape(trigger.key)}, version {trigger.version})', style="bold"
        )
        for verdict in verdicts:
            _verdict(out, verdict)
    if not by_trigger:
        out.print("\nno trigger was in force at that time")
    _booked(out, explained)


def _heading(out: Console, explained: Explained, found: Explanation) -> None:
    paid = found.transaction
    when = f"{paid.occurred_at:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"{escape(paid.key)}  {format_money(paid.net_minor, paid.currency)}  paid {when}", style="bold")
    who = explained.customer_key or f"{paid.provider_customer_key or 'nobody'}, not linked to a customer of ours"
    whose = "attributed to nobody at the time"
    if found.attribution:
        whose = f"partner {found.attribution.partner_key} since {found.attribution.effective_from:%Y-%m-%d}"
    out.print(f"customer {escape(who)}, {escape(whose)}\n")


def _line(out: Console, found: LineExplanation, currency: str) -> None:
    product = found.product_name or "no product"
    state = f" ({found.product_status})" if found.product_status else ""
    amount = format_money(found.line.net_minor, currency)
    out.print(f"  line {escape(found.line.key)}  {amount}  {escape(product)}{state}")
    if found.reason:
        out.print(f"       {escape(found.reason)}", style="yellow")


def _verdict(out: Console, verdict: Verdict) -> None:
    where = f"line {verdict.line_key}" if verdict.line_key else "the whole payment"
    asked = verdict.desired
    if asked:
        out.print(f"  {escape(where)}: [green]fired[/green], {escape(verdict.reason)}")
        out.print(f"       {escape(asked.arithmetic)} for {escape(asked.claimant.partner_key)}")
    else:
        out.print(f"  {escape(where)}: [red]did not fire[/red], {escape(verdict.reason)}")
    if verdict.trace is not None:
        _trace(out, verdict.trace, 7)


def _trace(out: Console, trace: Trace, indent: int) -> None:
    space = " " * indent
    match trace:
        case GroupTrace(word, held, _, parts):
            if word == "always":
                out.print(f"{space}{_MARKS[True]} it has no rules")
                return
            out.print(f"{space}{_MARKS[held]} {word} of:")
            for part in parts:
                _trace(out, part, indent + 4)
        case ConditionTrace():
            expected = "" if trace.expected is None else f" {_value(trace.expected)}"
            actual = _value(shown(trace.actual)) if not isinstance(trace.actual, Money) else str(trace.actual)
            out.print(
                f"{space}{_MARKS[trace.held]} {trace.field} {trace.operator}{escape(expected)}: it is {escape(actual)}"
            )
            if trace.note:
                out.print(f"{space}    {escape(trace.note)}", style="yellow")
            if trace.where:
                out.print(f"{space}    where")
                _trace(out, trace.where, indent + 8)


def _value(value: object) -> str:
    match value:
        case None:
            return "not set"
        case str():
            return f'"{value}"'
        case list() | tuple():
            return "[" + ", ".join(_value(each) for each in value) + "]"
        case timedelta():
            return f"{value.days} days"
    return str(value)


def _booked(out: Console, explained: Explained) -> None:
    if not explained.commissions:
        out.print("\nnothing is booked on it")
        return
    out.print("\nbooked", style="bold")
    for row in explained.commissions:
        money = format_money(row.amount_minor, row.currency)
        out.print(f"  {row.key}  {money}  {row.state}  {escape(row.partner_key)}  {escape(row.arithmetic)}")
