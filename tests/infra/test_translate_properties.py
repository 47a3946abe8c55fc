"""Whatever an event holds, translating it ends in facts, in a reason, or in Unreadable."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Unreadable
from domain.facts import Fact, InvoicePaid, Missing, NotUsed
from infra.providers.stripe.translate import translate
from tests.builders import ERAS, Event, body, item, line, stripe_events

AT = datetime(2026, 4, 1, tzinfo=UTC)
ITEMS = [item("prod_inbox", amount=9900), item("prod_chat", amount=None)]
LINES = [
    line("prod_inbox", 9900, discount=900, tax=800),
    line("prod_chat", -100, proration=True),
    line("prod_sms", 1200, tax=200, tax_inclusive=True),
]
PREVIOUS = {"status": "trialing", "items": stripe_events.subscription_items("sub_1", ITEMS[:1], 0)}
EVENTS = [
    stripe_events.customer("cus_1", partner_key="ada", country="DE"),
    stripe_events.subscription("sub_1", customer="cus_1", items=ITEMS, change="updated", previous=PREVIOUS),
    stripe_events.subscription("sub_1", customer="cus_1", items=ITEMS[:1], status="canceled", change="deleted"),
    stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=LINES),
]
SHAPES = [era(event) for event in EVENTS for era in ERAS.values()]

#: Recognisable, so that a value that leaks into an error is found.
SECRET = "Geheim-7"
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20).map(lambda text: SECRET + text)
    | st.sampled_from(["", " ", "\x00", "paid", "active", "2099-01-01"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in inner:
        yield (*path, step)
        yield from places(child, (*path, step))


@st.composite
def mangled(draw: st.DrawFn) -> Event:
    """An event of some era with one to three places deleted or replaced."""
    event: Event = json.loads(body(draw(st.sampled_from(SHAPES))))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(event["data"]) if path]))
        holder: Any = event["data"]
        for step in path[:-1]:
            holder = holder[step]
        if draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = draw(values)
        if not event["data"]:
            break
    return event


def outcome(event: Event, sent: bytes) -> tuple[Fact, ...] | NotUsed | Missing | Unreadable:
    """What came of translating; any other exception than Unreadable gets through."""
    try:
        return translate(event["type"], "evt_1", AT, sent)
    except Unreadable as error:
        return error


@given(mangled())
def test_a_mangled_event_is_read_or_unreadable(event: Event) -> None:
    """Deleting or replacing any fields raises nothing but Unreadable, which never quotes what was there."""
    answer = outcome(event, json.dumps(event).encode())
    if isinstance(answer, Unreadable):
        assert SECRET not in str(answer)
    else:
        assert isinstance(answer, tuple | NotUsed)
        assert "\\x00" not in repr(answer)


@given(st.sampled_from(SHAPES), st.data())
def test_broken_bytes_are_read_or_unreadable(event: Event, data: st.DataObject) -> None:
    """A body cut short, or with bytes of it overwritten, raises nothing but Unreadable."""
    sent = bytearray(body(event))
    cut = data.draw(st.integers(0, len(sent)))
    sent[cut : cut + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    answer = outcome(event, bytes(sent[: data.draw(st.integers(0, len(sent)))]))
    assert isinstance(answer, tuple | NotUsed | Unreadable)


amounts = st.integers(-(10**9), 10**9)


@given(st.lists(amounts, min_size=1, max_size=8), st.integers(0, 10**10), st.sampled_from(["2019", "2020"]))
def test_a_discount_on_the_whole_is_on_the_lines_to_the_cent(prices: list[int], off: int, era: str) -> None:
    """An invoice-level discount that the positive lines can carry is spread over them without losing a cent."""
    positive = sum(price for price in prices if price > 0)
    discount = min(off, positive)
    lines = [line(f"prod_{number}", price) for number, price in enumerate(prices)]
    event = ERAS[era](stripe_events.invoice_paid("in_1", customer="cus_1", lines=lines))
    event["data"]["object"]["total"] -= discount
    if era == "2019":
        event["data"]["object"]["discount"] = {"object": "discount"}
    else:
        event["data"]["object"]["total_discount_amounts"] = [{"amount": discount}]
    answer = translate(event["type"], "evt_1", AT, body(event))
    assert isinstance(answer, tuple)
    (paid,) = answer
    assert isinstance(paid, InvoicePaid)
    assert sum(entry.discount_minor for entry in paid.lines) == discount
    assert all(0 <= entry.discount_minor <= max(entry.amount_minor, 0) for entry in paid.lines)
    net = sum(entry.amount_minor - entry.discount_minor for entry in paid.lines)
    assert net == event["data"]["object"]["total"]


@pytest.mark.parametrize("event", SHAPES, ids=lambda event: f"{event['type']}-{event['api_version']}")
def test_translating_twice_gives_the_same(event: Event) -> None:
    """Translation depends on nothing but its arguments."""
    first = translate(event["type"], event["id"], AT, body(event))
    assert first == translate(event["type"], event["id"], AT, body(event))
    assert isinstance(first, tuple)
