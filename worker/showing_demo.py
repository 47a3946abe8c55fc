"""What the demo tells once the story has been played: products, what the customer owns, commissions, the cancel."""

from collections.abc import Mapping

from rich.console import Console
from sqlalchemy import Engine

from domain.money import format_money
from infra.reports import list_commissions, list_products
from infra.unit_of_work import unit_of_work_on
from worker import story
from worker.showing import moment, table


def tell(out: Console, engine: Engine, answers: Mapping[str, int]) -> None:
    """Print the outcome from the database, as every other reader would see it."""
    with unit_of_work_on(engine) as connection:
        owned = {row["product_key"]: row for row in list_products(connection, story.CUSTOMER)}
        commissions = [row for row in list_commissions(connection) if row["transaction_key"] == story.TRANSACTION]
    told = ", ".join(f"{count} {answer}" for answer, count in sorted(answers.items()))
    out.print(
        f"\nStripe's {len(story.events())} events were posted shuffled, signed, each of them twice:"
        f" {sum(answers.values())} deliveries, {told}.\n"
    )
    out.print("GigaKick sells four products, each with a commission of its own:", style="bold")
    table(
        out,
        ("product", "price", "commission", "acme's status", "since"),
        [
            (
                sold.name,
                format_money(sold.price_minor, "usd"),
                f"{sold.percent} %",
                row["status"].capitalize() if (row := owned.get(sold.product_key)) else "not bought",
                moment(row["history"][-1]["effective_at"]) if row else "",
            )
            for sold in story.PRODUCTS
        ],
    )
    out.print(
        "\nada referred acme, and acme bought Live Chat and Inbox on one subscription.\nada's commissions:",
        style="bold",
    )
    table(
        out,
        ("partner", "product", "commission", "state", "arithmetic"),
        [
            (
                row["partner_key"],
                story.NAMES.get(row["line_key"], str(row["line_key"])),
                format_money(row["amount_minor"], row["currency"]),
                row["state"],
                row["arithmetic"],
            )
            for row in commissions
        ],
    )
    _tell_cancel(out, owned)


def _tell_cancel(out: Console, owned: Mapping[str, dict[str, object]]) -> None:
    cancelled, kept = owned.get(story.LIVE_CHAT.product_key), owned.get(story.INBOX.product_key)
    if cancelled is None or kept is None:
        return
    out.print("\nWhat happens on cancel:", style="bold")
    out.print(
        f"On {story.CANCELLED_AT:%Y-%m-%d} acme cancelled Live Chat: it is {str(cancelled['status']).capitalize()} from"
        f" that moment, Inbox stays {str(kept['status']).capitalize()}.\nThe commission on what had been paid stays;"
        " nothing is taken back, and with no further Live Chat payment nothing new is booked.\n"
    )
