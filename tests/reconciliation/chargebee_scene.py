"""The same program with a site at Chargebee, catalog 2.0: what is sold is named by item prices."""

from datetime import datetime

from infra.providers.chargebee.client import ChargebeeApi
from infra.reconciliation.chargebee_provider import ChargebeeProvider
from infra.reconciliation.reconciler import Reconciler
from tests import chargebee_events as chargebee
from tests.chargebee_events import Event, ItemExample, Json, second
from tests.chargebee_site import ChargebeeSite
from tests.reconciliation.scene import TODAY, SceneOf
from tests.stage import Stage

INBOX, CHAT = "inbox-USD", "chat-USD"

Scene = SceneOf[ChargebeeSite]


def scene_on(stage: Stage, site: ChargebeeSite, now: datetime = TODAY) -> Scene:
    """A program beside a site, with a reconciler on the scene's clock."""
    scene = Scene(stage, site, None, now, "chargebee")  # type: ignore[arg-type]  # it needs the scene's clock
    api = ChargebeeApi("test_key_1", site.fake.api_base, timeout_s=(2.0, 2.0), retries_max=0)
    providers = {"chargebee": ChargebeeProvider(api)}
    scene.reconciler = Reconciler(stage.engine, stage.settings, providers, lambda: scene.now)
    return scene


def catalogue(at: datetime) -> list[Event]:
    """What says of which item a price is."""
    price: Json = {"id": INBOX, "item_id": "prod_inbox", "object": "item_price"}
    return [chargebee.event("item_price_created", at, item_price=price)]


def customer(number: int, at: datetime) -> Json:
    """Customer `number`, ada's or grace's."""
    said = {"customer_key": f"company {number}", "partner_key": ("ada", "grace")[number % 2]}
    return chargebee.customer(f"cust_{number}", at, meta_data=said)


def subscription(number: int, at: datetime, since: datetime, **fields: object) -> Json:
    """Inbox and Live Chat, as they are at `at`, active since `since`."""
    items = [ItemExample(INBOX, 9900), ItemExample(CHAT, 4900, kind="addon")]
    began = {"created_at": second(since), "started_at": second(since), "activated_at": second(since)}
    return chargebee.subscription(f"sub_{number}", f"cust_{number}", items, at=at, **{**began, **fields})  # type: ignore[arg-type]


def invoice(key: str, number: int, at: datetime, **fields: object) -> Json:
    """Customer `number` pays for both."""
    lines = [
        chargebee.line(INBOX, 9900, key=f"li_{key}_1", on=f"sub_{number}"),
        chargebee.line(CHAT, 4900, key=f"li_{key}_2", on=f"sub_{number}", kind="addon_item_price"),
    ]
    return chargebee.invoice(key, f"cust_{number}", lines, at=at, **fields)  # type: ignore[arg-type]


def bought(number: int, at: datetime) -> list[Event]:
    """Customer `number` buys both and pays: three events, of which two carry the invoice."""
    content = {"customer": customer(number, at), "subscription": subscription(number, at, at)}
    paid = invoice(f"inv_{number}", number, at)
    return [
        _event("customer_created", number, at, customer=content["customer"]),
        _event("subscription_created", number, at, **content, invoice=paid),
        _event("invoice_generated", number, at, invoice=paid),
    ]


def paid(key: str, number: int, at: datetime) -> Event:
    """Customer `number` pays once more."""
    return _event("invoice_generated", key, at, invoice=invoice(key, number, at))


def cancelled(number: int, at: datetime, since: datetime, **fields: object) -> Event:
    """Customer `number` leaves."""
    gone = {"status": "cancelled", "cancelled_at": second(at), **fields}
    return _event("subscription_cancelled", number, at, subscription=subscription(number, at, since, **gone))


def _event(event_type: str, which: object, at: datetime, **content: Json) -> Event:
    return chargebee.event(event_type, at, f"ev_{which}_{event_type}", **content)
