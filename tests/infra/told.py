"""What tests of webhooks to others share: registering, paying, delivering, looking."""

import ipaddress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, text

from infra.outgoing.deliveries import document
from infra.outgoing.endpoints import add_endpoint
from infra.outgoing.messenger import Messenger, PostReport
from infra.outgoing.seals import Seal, new_key
from infra.rows import fetch
from infra.settings import load_settings
from tests.builders import item, line, stripe_events
from tests.stage import Stage
from tests.webhook_target import WebhookTarget

#: What the dashboard of the tests seals with, and the worker opens.
SEALING_KEY = new_key()
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
PAID_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ten_percent_of_inbox(engine: Engine) -> Stage:
    """A program in which ada earns 10 % of Inbox; nothing has happened yet."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    return stage


def registered(
    stage: Stage, target: WebhookTarget, *event_types: str, url: str | None = None, seal: Seal | None = None
) -> str:
    """An endpoint's key; the target knows its secret."""
    with stage.engine.begin() as connection:
        chosen = event_types or ("commission.created",)
        made = add_endpoint(
            connection, url=url or target.url, event_types=chosen, allowed=LOOPBACK, seal=seal or Seal()
        )
    target.secret = made["secret"]
    return str(made["key"])


def pay(stage: Stage, number: int = 1) -> None:
    """A customer of ada's pays 30.00 USD."""
    stage.play(
        [
            stripe_events.customer(f"cus_{number}", customer_key=f"acme-{number}", partner_key="ada", at=PAID_AT),
            stripe_events.subscription(
                f"sub_{number}", customer=f"cus_{number}", items=[item("prod_inbox", amount=3000)], at=PAID_AT
            ),
            stripe_events.invoice_paid(
                f"in_{number}",
                customer=f"cus_{number}",
                subscription=f"sub_{number}",
                lines=[line("prod_inbox", 3000)],
                paid_at=PAID_AT,
            ),
        ]
    )


def posted(stage: Stage, **options: Any) -> PostReport:
    """Deliver what is due."""
    allowed = options.pop("allowed", "127.0.0.0/8,::1/128")
    settings = load_settings({"WEBHOOK_TARGETS_ALLOWED": allowed, "SEALING_KEYS": SEALING_KEY}, env_file=None)
    return Messenger(stage.engine, settings, **options).run()


def deliveries(stage: Stage, state: str | None = None) -> list[dict[str, Any]]:
    """As people see them."""
    with stage.engine.connect() as connection:
        rows = fetch(connection, "select * from webhook_deliveries order by id desc")
    found = [document(row) for row in rows]
    return [each for each in found if state is None or each["state"] == state]


def make_due(stage: Stage) -> None:
    """Let the time come of what waits."""
    with stage.engine.begin() as connection:
        connection.execute(text("update webhook_deliveries set next_attempt_at = now() where state = 'pending'"))
