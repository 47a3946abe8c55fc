"""What Stripe's events leave out, and fetching it: more lines, a session's items, a thin event's object, a link.

What is fetched is put where the event would have carried it, so it is translated like any other body.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from domain.errors import TryLater, Unreadable
from domain.facts import Fact, InvoicePaid, InvoicePayment, Missing, NotUsed, Reversal, Source
from infra.providers.stripe.checkout import is_without_items
from infra.providers.stripe.client import RawObject, StripeApi, UnknownObject
from infra.providers.stripe.reading import PROVIDER
from infra.providers.stripe.thin import PATHS, as_snapshot, related_to

Read = tuple[Fact, ...] | NotUsed | Missing
#: (event type, body) -> facts
Reader = Callable[[str, bytes], Read]


def left_out(facts: Iterable[Fact] | Missing) -> str | None:
    """What must be fetched before the facts can be judged, for a person to read; None: nothing."""
    if isinstance(facts, Missing):
        return facts.what
    for fact in facts:
        match fact:
            case InvoicePaid(lines_missing=True):
                return f"invoice {fact.invoice_key} has more lines than the event carries"
            case Reversal(lines_missing=True):
                return f"credit note {fact.reversal_key} has more lines than the event carries"
    return None


def better_fetched(facts: Iterable[Fact]) -> bool:
    """Whether the event can be worked as it is, but says more once Stripe is asked: a session's items."""
    return any(isinstance(fact, InvoicePaid) and is_without_items(fact) for fact in facts)


def complete(api: StripeApi, event_type: str, body: bytes, read: Reader) -> Read:
    """What the event says once everything it left out is fetched. Raises TryLater, CannotProcess."""
    facts = read(event_type, body)
    if isinstance(facts, Missing):
        related = related_to(body)
        event_type, body = as_snapshot(event_type, body, api.fetch(PATHS[related.type], related.id))
        facts = read(event_type, body)
    if isinstance(facts, NotUsed | Missing):
        return facts
    for fact in facts:
        if isinstance(fact, InvoicePaid) and is_without_items(fact):
            return _with_items(api, event_type, body, fact, read)
    if left_out(facts) is None:
        return facts
    facts = read(event_type, with_all_lines(body, _lines(api, facts)))
    if not isinstance(facts, tuple) or left_out(facts) is not None:
        raise TryLater("Stripe's list of the lines is not complete either")
    return facts


def _lines(api: StripeApi, facts: Sequence[Fact]) -> list[RawObject]:
    for fact in facts:
        match fact:
            case InvoicePaid(lines_missing=True):
                return api.fetch_invoice_lines(fact.invoice_key)
            case Reversal(lines_missing=True):
                return api.fetch_credit_note_lines(fact.reversal_key)
    raise TryLater("nothing says whose lines are missing")


def _with_items(api: StripeApi, event_type: str, body: bytes, paid: InvoicePaid, read: Reader) -> Read:
    """A session that Stripe does not know is a test body's: it stays as it is."""
    try:
        items = api.fetch_session_items(paid.invoice_key)
    except UnknownObject:
        return read(event_type, body)
    return read(event_type, _with_list(body, "line_items", items))


def with_all_lines(body: bytes, lines: Sequence[Mapping[str, Any]]) -> bytes:
    """The same event with `lines` in place of its object's first page, to be translated like any other.

    `lines` may come in another API version than the body: every line is read by the fields it has. Raises Unreadable
    where the body is not an event with an object.
    """
    return _with_list(body, "lines", lines)


def _with_list(body: bytes, name: str, entries: Sequence[Mapping[str, Any]]) -> bytes:
    try:
        event = msgspec.json.decode(body)
        event["data"]["object"][name] = {"object": "list", "data": list(entries), "has_more": False}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        raise Unreadable(f"Object missing required field `{name}` - at `$.data.object`") from None
    return msgspec.json.encode(event)


# --- what leads from a payment to what was bought with it


def payments_alone(facts: Iterable[Fact]) -> list[str]:
    """The payments of reversals that name no invoice: only a link leads on from there."""
    return [
        key for fact in facts if isinstance(fact, Reversal) and fact.invoice_key is None for key in fact.payment_keys
    ]


def linked(api: StripeApi, payment_keys: Iterable[str], event_key: str, at: datetime) -> tuple[InvoicePayment, ...]:
    """What the payments settled, as far as Stripe knows: invoices, else the checkout session that made them."""
    source = Source(0, at, 1, event_key)
    return tuple(
        InvoicePayment(PROVIDER, invoice_key, source, (key,))
        for key in payment_keys
        for invoice_key in _settled_by(api, key)
    )


def _settled_by(api: StripeApi, payment_key: str) -> list[str]:
    """Nothing for a payment that Stripe does not know: a test body's."""
    try:
        return api.find_invoices_paid_by(payment_key) or api.find_sessions_paid_by(payment_key)
    except UnknownObject:
        return []
