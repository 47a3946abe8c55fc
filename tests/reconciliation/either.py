"""Either provider, for what is true of both: the same things happen, each as its provider tells them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests import chargebee_events as chargebee
from tests import stripe_examples as stripe
from tests.builders import stripe_events
from tests.chargebee_site import ChargebeeSite
from tests.reconciliation import chargebee_scene
from tests.reconciliation import scene as stripe_scene
from tests.reconciliation.scene import Scene, SceneOf

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Either:
    """One provider's scene, and how things happen there."""

    scene: SceneOf[Any]
    #: (what is sold from when on)
    catalogue: Callable[[datetime], list[Event]]
    #: (customer's number, when): three events, the last of them of the invoice.
    bought: Callable[[int, datetime], list[Event]]
    #: (customer's number, when, since when they had it)
    cancelled: Callable[[int, datetime, datetime], Event]
    #: (when): an invoice of customer 4's and a credit note, of which no event tells.
    forgotten: Callable[[datetime], list[dict[str, Any]]]
    #: What invoices are called, before the customer's number.
    invoice: str
    #: Where lists are.
    lists: str
    #: What an event says of its mode, and the version of the API that it was rendered in.
    rendered: tuple[bool | None, str]


def at_stripe(scene: Scene) -> Either:
    """Stripe's side."""

    def forgotten(at: datetime) -> list[dict[str, Any]]:
        note = stripe.credit_note("cn_9", "in_4", [stripe.note_line("cnli_9", 500)], made=stripe.second(at))
        return [each["data"]["object"] for each in (stripe_scene.paid("in_9", 4, at), note)]

    return Either(
        scene, lambda _: [], stripe_scene.bought, stripe_scene.cancelled, forgotten, "in_", "/v1/",
        (False, stripe_events.API_VERSION),
    )  # fmt: skip


def at_chargebee(scene: SceneOf[ChargebeeSite]) -> Either:
    """Chargebee's side."""

    def forgotten(at: datetime) -> list[dict[str, Any]]:
        lines = [chargebee.line(chargebee_scene.INBOX, 500)]
        note = chargebee.credit_note("CN-9", "inv_4", "cust_4", lines, at=at)
        return [chargebee_scene.invoice("inv_9", 4, at), note]

    return Either(
        scene, chargebee_scene.catalogue, chargebee_scene.bought, chargebee_scene.cancelled, forgotten, "inv_", "",
        (None, "v2"),
    )  # fmt: skip
