"""How the command line shows things to people: tables and indented sentences, values never as markup."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from rich import markup
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from domain.case import Verdict
from domain.customers import Attribution
from domain.explain import Explanation, LineExplanation, OccasionExplanation
from domain.fields import TriggerEvent
from domain.money import format_money
from domain.rules import ConditionTrace, GroupTrace, Trace
from infra.explanations import Explained
from infra.occasion_explanations import ExplainedOccasion

_EVENTS = {
    TriggerEvent.PRODUCT_CREATED: "a product was bought",
    TriggerEvent.PRODUCT_STATUS_CHANGED: "a product changed its status",
    TriggerEvent.CUSTOMER_CREATED: "a customer came to be",
    TriggerEvent.PARTNER_JOINED: "a partner joined",
}
_MARKS = {True: "[green]yes[/green]", False: "[red]no [/red]"}

#: A pipe has no width of its own: wide enough that nothing is broken into lines.
_PIPE_COLUMNS = 10_000


def console(stream: TextIO) -> Console:
    """Where to print for people; markup is ours alone, so values go through `escape` first."""
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, emoji=False)


def waiting(out: Console, telling: str) -> AbstractContextManager[object]:
    """Show on a terminal that something is awaited; anywhere else, nothing."""
    return out.status(telling) if out.is_terminal else nullcontext()


def escape(value: str) -> str:
    """A value as text inside markup, with what cannot be seen made visible."""
    # The blank keeps rich from doubling a backslash at the end; no markup of ours follows a value directly.
    return markup.escape(f"{visible(value)} ")[:-1]


def visible(value: str) -> str:
    """A value on one line, whatever is in it: control characters and the like as `\\x1b`, spaces of all kinds too."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in value)


def table(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table that survives a narrow terminal and a pipe."""
    shown_table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        shown_table.add_column(heading, overflow="fold")
    for row in rows:
        shown_table.add_row(*(escape(cell) for cell in row))
    out.print(shown_table)


def say(out: Console, indent: int, sentence: str, style: str = "") -> None:
    """Print markup with every line of it indented, those too that a narrow terminal makes."""
    out.print(Padding(sentence, (0, 0, 0, indent), style=style, expand=False))


def moment(epoch_ms: int) -> str:
    """`2026-03-02 10:00:01` in UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def explanation(out: Console, explained: Explained | ExplainedOccasion) -> None:
    """A transaction with its lines, or another occasion, and what every trigger says of each."""
    if isinstance(explained, Explained):
        _heading(out, explained, explained.explanation)
        for line in explained.explanation.lines:
            _line(out, line, explained.explanation.transaction.currency)
        _verdicts(out, explained.explanation.verdicts, "the whole payment")
    else:
        _occasion(out, explained, explained.explanation)
        _verdicts(out, explained.explanation.verdicts, _EVENTS[explained.explanation.event])
    _booked(out, explained.commissions)


def _verdicts(out: Console, verdicts: Sequence[Verdict], whole: str) -> None:
    by_trigger: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_trigger.setdefault(verdict.trigger.key, []).append(verdict)
    for said in by_trigger.values():
        trigger = said[0].trigger
        out.print(
            f'\ntrigger "{escape(trigger.name)}" ({escape(trigger.key)}, version {trigger.version})', style="bold"
        )
        for verdict in said:
            _verdict(out, verdict, whole)
    if not by_trigger:
        out.print("\nno trigger was in force at that time")


def _heading(out: Console, explained: Explained, found: Explanation) -> None:
    paid = found.transaction
    when = f"{paid.occurred_at:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"{escape(paid.key)}  {format_money(paid.net_minor, paid.currency)}  paid {when}", style="bold")
    who = explained.customer_key or f"{paid.provider_customer_key or 'nobody'}, not linked to a customer of ours"
    out.print(f"customer {escape(who)}, {escape(_whose(found.attribution))}\n")


def _whose(attribution: Attribution | None) -> str:
    if attribution is None:
        return "attributed to nobody at the time"
    return f"partner {attribution.partner_key} since {attribution.effective_from:%Y-%m-%d}"


def _occasion(out: Console, explained: ExplainedOccasion, found: OccasionExplanation) -> None:
    if found.occasion is None:
        out.print(f"{escape(found.key)}  {_EVENTS[found.event]}", style="bold")
        out.print("by what is known today, this did not happen")
        return
    when = f"{found.occasion.at:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"{escape(found.key)}  {_EVENTS[found.event]}  {when}", style="bold")
    if explained.customer_key is not None:
        out.print(f"customer {escape(explained.customer_key)}, {escape(_whose(found.attribution))}")
    if found.product_name is not None:
        out.print(f"{escape(found.product_name)} ({escape(found.product_status or 'unknown')})")


def _line(out: Console, found: LineExplanation, currency: str) -> None:
    product = found.product_name or "no product"
    state = f" ({found.product_status})" if found.product_status else ""
    amount = format_money(found.line.net_minor, currency)
    say(out, 2, f"line {escape(found.line.key)}  {amount}  {escape(product)}{state}")
    if found.reason:
        say(out, 7, escape(found.reason), "bold")


def _verdict(out: Console, verdict: Verdict, whole: str) -> None:
    where = f"line {verdict.line_key}" if verdict.line_key else whole
    asked = verdict.desired
    if asked:
        say(out, 2, f"{escape(where)}: [green]fired[/green], {escape(verdict.reason)}")
        say(out, 7, f"{escape(asked.arithmetic)} for {escape(asked.claimant.partner_key)}")
    else:
        say(out, 2, f"{escape(where)}: [red]did not fire[/red], {escape(verdict.reason)}")
    if verdict.trace is not None:
        _trace(out, verdict.trace, 7)


def _trace(out: Console, trace: Trace, indent: int) -> None:
    match trace:
        case GroupTrace(word, held, _, parts):
            if word == "always":
                say(out, indent, f"{_MARKS[True]} it has no rules")
                return
            say(out, indent, f"{_MARKS[held]} {word} of:")
            if trace.note:
                say(out, indent + 4, escape(trace.note), "bold")
            for part in parts:
                _trace(out, part, indent + 4)
        case ConditionTrace():
            expected = "" if trace.expected is None else f" {_value(trace.expected)}"
            asked = f"{trace.field} {trace.operator}{expected}: it is {_value(trace.actual)}"
            say(out, indent, f"{_MARKS[trace.held]} {escape(asked)}")
            if trace.note:
                say(out, indent + 4, escape(trace.note), "bold")
            if trace.where:
                say(out, indent + 4, "where")
                _trace(out, trace.where, indent + 8)


def _value(value: object) -> str:
    match value:
        case None:
            return "not set"
        case str():
            return f'"{value}"'
        case list() | tuple():
            return "[" + ", ".join(_value(each) for each in value) + "]"
        case set() | frozenset():
            return _value(sorted(map(str, value)))
        case timedelta():
            return f"{value.days} days"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S %Z}"
        case bool():
            return str(value).lower()
    return str(value)


def _booked(out: Console, commissions: Sequence[Any]) -> None:
    if not commissions:
        out.print("\nnothing is booked on it")
        return
    out.print("\nbooked", style="bold")
    for row in commissions:
        money = format_money(row.amount_minor, row.currency)
        say(out, 2, f"{row.key}  {money}  {row.state}  {escape(row.partner_key)}  {escape(row.arithmetic)}")
