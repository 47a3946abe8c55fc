"""How the command line shows what a check found."""

from rich.console import Console

from domain import invariants
from domain.invariants import Breach
from infra.checks import Checked, indicated_by
from worker.showing import escape, say

#: Of one invariant; `--json` has all that are kept.
_SHOWN_MAX = 20


def checked(out: Console, found: Checked) -> None:
    """What was looked at; then each invariant that does not hold, what that indicates, and of what it does not."""
    out.print(
        f"{len(invariants.ALL)} invariants, {found.transactions_count} transactions,"
        f" {found.commissions_count} commissions, {found.events_count} events"
    )
    if not found.breaches:
        out.print("everything holds")
        return
    broken: dict[str, list[Breach]] = {}
    for breach in found.breaches:
        broken.setdefault(breach.invariant, []).append(breach)
    for invariant, breaches in broken.items():
        out.print(f"\n[red]broken:[/red] {invariant.replace('_', ' ')}", style="bold")
        say(out, 2, f"this indicates {escape(indicated_by(breaches[0]))}")
        for breach in breaches[:_SHOWN_MAX]:
            say(out, 2, f"{escape(breach.subject)}: {escape(breach.message)}")
        if len(breaches) > _SHOWN_MAX:
            say(out, 2, f"and {len(breaches) - _SHOWN_MAX} more")
    if found.more:
        out.print("\nthere is more than could be kept; mend these first")
