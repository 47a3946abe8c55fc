"""How the command line shows what a draft would have paid."""

from rich.console import Console

from domain.money import format_money
from infra.previews import Previewed
from worker.showing import escape, table


def preview(out: Console, found: Previewed) -> None:
    """A row per partner, product and currency; then what a program manager should know of the draft."""
    out.print(f"judged {found.transactions_count} transactions", style="bold")
    if found.rows:
        table(
            out,
            ("partner", "product", "the draft", "times", "all triggers with it", "booked now"),
            [
                (
                    partner,
                    product or "on the whole",
                    format_money(row.draft_minor, currency),
                    str(row.draft_count),
                    format_money(row.total_minor, currency),
                    format_money(row.booked_minor, currency),
                )
                for (partner, product, currency), row in sorted(
                    found.rows.items(), key=lambda each: (each[0][0], each[0][2], each[0][1] or "")
                )
            ],
        )
    else:
        out.print("it would have paid nothing, and nothing is booked")
    for warning in found.warnings:
        out.print(f"[yellow]warning:[/yellow] {escape(warning.field)}: {escape(warning.message)}")
