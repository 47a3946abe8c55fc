"""The GigaKick story as it is told: what is sold, who referred whom, what Stripe reports, what must come of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from infra.program_changes import save_partner, save_product, save_trigger
from infra.providers.stripe.example_events import Event, customer, invoice_paid, item, line, subscription

PARTNER = "ada"
CUSTOMER = "cus_gigakick_acme"
COMPANY_KEY = "acme"
SUBSCRIPTION = "sub_gigakick_acme"
INVOICE = "in_gigakick_acme_1"
TRANSACTION = f"stripe:{INVOICE}"

#: When the program was set up; everything in the story happens later.
OPENED_AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
REFERRED_AT = datetime(2026, 3, 2, 9, 58, tzinfo=UTC)
BOUGHT_AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PAID_AT = datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC)
ACTIVE_AT = datetime(2026, 3, 2, 10, 0, 2, tzinfo=UTC)
CANCELLED_AT = datetime(2026, 3, 20, 16, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sold:
    """A product, its monthly price, and what a partner earns on it."""

    name: str
    product_key: str
    price_minor: int
    percent: str

    @property
    def trigger_key(self) -> str:
        """The trigger that pays for this product and no other."""
        return f"trg_gigakick_{self.product_key.removeprefix('prod_gigakick_')}"


LIVE_CHAT = Sold("Live Chat", "prod_gigakick_live_chat", 4900, "10")
KNOWLEDGE_BASE = Sold("Knowledge Base", "prod_gigakick_knowledge_base", 7900, "15")
SURVEYS = Sold("Surveys", "prod_gigakick_surveys", 3900, "10")
INBOX = Sold("Inbox", "prod_gigakick_inbox", 9900, "20")
PRODUCTS = (LIVE_CHAT, KNOWLEDGE_BASE, SURVEYS, INBOX)

#: Name of what was sold per line.
NAMES = {f"{SUBSCRIPTION}/{sold.product_key}": sold.name for sold in PRODUCTS}

#: (line, minor units of USD) of every commission the story must end with, and no others.
EXPECTED = frozenset({(f"{SUBSCRIPTION}/{LIVE_CHAT.product_key}", 490), (f"{SUBSCRIPTION}/{INBOX.product_key}", 1980)})


def set_up(connection: Connection) -> None:
    """The program manager's part: product book, partner, one trigger per product. Saying it again changes nothing."""
    for sold in PRODUCTS:
        save_product(connection, name=sold.name, external_key=sold.product_key, now=OPENED_AT)
    save_partner(connection, partner_key=PARTNER, name="Ada's Agency", group="resellers", now=OPENED_AT)
    for sold in PRODUCTS:
        save_trigger(connection, sold.trigger_key, _trigger(sold), OPENED_AT)


def _trigger(sold: Sold) -> dict[str, Any]:
    return {
        "name": f"{sold.percent} % of every {sold.name} payment",
        "event": "transaction_created",
        "rules": {"field": "product.name", "op": "is_any_of", "value": [sold.name]},
        "action": {"type": "percent", "percent": sold.percent},
        "offer": {"description": f"Earn {sold.percent} % on {sold.name}"},
    }


def events() -> list[Event]:
    """What Stripe reports, as it happened: referred, bought, paid (told twice), active, one product cancelled."""
    both = [_item(LIVE_CHAT), _item(INBOX)]
    paid = [line(sold.product_key, sold.price_minor) for sold in (LIVE_CHAT, INBOX)]
    invoice: dict[str, Any] = {
        "customer": CUSTOMER,
        "subscription": SUBSCRIPTION,
        "lines": paid,
        "paid_at": PAID_AT,
    }
    return [
        customer(CUSTOMER, at=REFERRED_AT, name="Acme Ltd", customer_key=COMPANY_KEY, partner_key=PARTNER),
        subscription(SUBSCRIPTION, customer=CUSTOMER, items=both, status="incomplete", at=BOUGHT_AT),
        invoice_paid(INVOICE, **invoice),
        invoice_paid(INVOICE, change="payment_succeeded", **invoice),
        subscription(
            SUBSCRIPTION,
            customer=CUSTOMER,
            items=both,
            change="updated",
            at=ACTIVE_AT,
            started_at=BOUGHT_AT,
            previous={"status": "incomplete"},
        ),
        subscription(
            SUBSCRIPTION,
            customer=CUSTOMER,
            items=[_item(INBOX)],
            change="updated",
            at=CANCELLED_AT,
            started_at=BOUGHT_AT,
        ),
    ]


def _item(sold: Sold) -> Any:
    return item(sold.product_key, amount=sold.price_minor)
