"""What Chargebee's events leave out, and fetching it: the lines of a long invoice.

What is fetched is put where the event would have carried it, so it is translated like any other body.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from domain.errors import TryLater, Unreadable
from domain.facts import Fact, InvoicePaid, Missing, NotUsed

if TYPE_CHECKING:
    from infra.providers.chargebee.client import ChargebeeApi

Read = tuple[Fact, ...] | NotUsed | Missing


def left_out(facts: Iterable[Fact]) -> str | None:
    """What must be fetched before the facts can be judged, for a person to read; None: nothing.

    A credit note is no reason to wait: what it takes is spread over the invoice while its lines are not all known.
    """
    key = _invoice_with_lines_missing(facts)
    return None if key is None else f"invoice {key} has more lines than the event carries"


def _invoice_with_lines_missing(facts: Iterable[Fact]) -> str | None:
    return next((fact.invoice_key for fact in facts if isinstance(fact, InvoicePaid) and fact.lines_missing), None)


def complete(api: "ChargebeeApi", body: bytes, read: Callable[[bytes], Read]) -> Read:
    """What the event says once everything it left out is fetched. Raises TryLater, CannotProcess."""
    facts = read(body)
    key = _invoice_with_lines_missing(facts) if isinstance(facts, tuple) else None
    if key is None:
        return facts
    facts = read(with_all_lines(body, key, api.fetch_invoice_lines(key)))
    if not isinstance(facts, tuple) or left_out(facts) is not None:
        raise TryLater("Chargebee's list of the lines is not complete either")
    return facts


def with_all_lines(body: bytes, invoice_key: str, lines: Sequence[Mapping[str, Any]]) -> bytes:
    """The same event with `lines` in place of the first page of that invoice's, to be translated like any other.

    Raises Unreadable where the body holds no such invoice.
    """
    try:
        event = msgspec.json.decode(body)
        content = event["content"]
        [invoice] = [one for one in (content.get("invoice"), *content.get("invoices", ())) if _is(one, invoice_key)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, KeyError, TypeError, AttributeError):
        raise Unreadable("Object missing required field `invoice` - at `$.content`") from None
    invoice["line_items"] = list(lines)
    invoice.pop("line_items_next_offset", None)
    return msgspec.json.encode(event)


def _is(resource: object, key: str) -> bool:
    return isinstance(resource, dict) and resource.get("id") == key
