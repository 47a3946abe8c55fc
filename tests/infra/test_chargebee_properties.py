"""Whatever a Chargebee event holds, it is facts, a reason not to use it, or unreadable; and facts that can be kept."""

import copy
import json
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Unreadable
from domain.facts import InvoicePaid, NotUsed, Reversal, SubscriptionSeen
from domain.reversals import settle
from domain.transactions import transaction_of
from infra.providers.chargebee.translate import translate
from tests.corpus.cases import cases

EVENTS = [case.event for case in cases("chargebee")]
ODD: list[Any] = [
    None, True, -1, 0, 2**53, 2**64, -(10**18), 1.5, 1e300, "", " ", "x" * 300, "\x00", "paid", "deleted", "ä\u2028",
    [], [None], [[]], {}, {"id": None}, {"": ""}, [{"id": "x", "amount": 10**15}],
]  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@st.composite
def damaged_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of the corpus in which some places hold something odd, or nothing any more."""
    event: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(EVENTS))))
    for _ in range(draw(st.integers(1, 4))):
        *path, last = draw(st.sampled_from([place for place in places(event["content"]) if place] or [("customer",)]))
        parent = event["content"]
        for key in path:
            parent = parent[key]
        if draw(st.booleans()) and isinstance(parent, dict):
            parent.pop(last, None)
        else:
            parent[last] = copy.deepcopy(draw(st.sampled_from(ODD)))  # what is odd inside may be damaged further
    return event


@given(damaged_events(), st.sampled_from([None, "v1", "v2", "v3"]))
def test_no_damage_surprises_the_translator(event: dict[str, Any], version: str | None) -> None:
    """Damaged events are unreadable at worst, and what is read of them adds up and can be kept."""
    event["api_version"] = version
    at = datetime.fromtimestamp(event["occurred_at"], UTC)
    try:
        answer = translate(event["event_type"], event["id"], at, json.dumps(event).encode())
    except Unreadable as error:
        assert not re.search(r"\x00|\[\d", str(error))  # noqa: PT017 - either outcome is right
        return
    assert isinstance(answer, NotUsed) or answer
    for fact in answer if isinstance(answer, tuple) else ():
        assert fact.source.occurred_at.tzinfo is UTC
        match fact:
            case InvoicePaid():
                assert settle(transaction_of(fact), ()).reversed_minor == 0
            case SubscriptionSeen():
                assert not fact.absorbing or fact.ended
            case Reversal():
                assert fact.undone_minor in (0, fact.amount_minor)


@given(st.binary(max_size=200), st.sampled_from(sorted({event["event_type"] for event in EVENTS})))
def test_no_bytes_surprise_the_translator(body: bytes, event_type: str) -> None:
    """Any bytes under any type are unreadable, or not used."""
    try:
        answer = translate(event_type, "ev_1", datetime(2026, 3, 1, tzinfo=UTC), body)
    except Unreadable as error:
        assert str(error)  # noqa: PT017 - either outcome is right
        return
    assert isinstance(answer, NotUsed)
