"""How the command line shows what an erasure takes out of the books, and what stays."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from worker.showing import escape, say


def plan(out: Console, found: Mapping[str, Any]) -> None:
    """Before it is done."""
    out.print(f"erasing {escape(found['customer'])} would take out; nothing was changed yet", style="bold")
    _shown(out, found)


def done(out: Console, found: Mapping[str, Any]) -> None:
    """After it was done."""
    out.print(f"{escape(found['customer'])} is erased", style="bold")
    _shown(out, found)


def _shown(out: Console, found: Mapping[str, Any]) -> None:
    say(out, 2, f"bodies of events: {found['events']}; these events stay, and cannot be replayed")
    if found["put_aside"]:
        say(out, 2, f"of these waiting or dead, and ignored now: {found['put_aside']}")
    say(out, 2, f"descriptions (name, address, country, metadata): {found['descriptions']}")
    say(out, 2, f"metadata of payments: {found['payments']}")
    say(
        out, 2, f"copies in webhooks of ours, and in answers kept for a day: {found['webhooks']} and {found['answers']}"
    )
    if found["kept"]:
        say(out, 2, escape(f"kept, because rules read it: {', '.join(found['kept'])}"))
    if "@" in (found["customer_key"] or ""):
        say(out, 2, "kept: the company's own id for this customer, which looks like an address", style="yellow")
