"""Mutations of every event of the corpus, and of those recorded: nothing crashes, and no money appears.

Drawn from a seed, so that what fails fails again; `FUZZ_ROUNDS` mutations of each event, spread over all kinds.
"""

import copy
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import Unreadable
from domain.facts import InvoicePaid, Missing, NotUsed, Reversal
from infra.providers.exact import MalformedEvent
from infra.providers.stripe.envelope import read_envelope
from infra.providers.stripe.translate import translate
from tests.stripe_mutations import BYTES, EVENTS, LESS, OTHER, Json

AT = datetime(2026, 4, 1, tzinfo=UTC)
FUZZ_ROUNDS = 8
AMOUNT_MAX = 10**15


def answer(event_type: str, body: bytes) -> Any:
    """What translating comes to; anything but Unreadable gets through."""
    try:
        return translate(event_type, "evt_1", AT, body)
    except Unreadable as error:
        return error


def hangs_on_one_field(event: Json) -> bool:
    """An event that lacks a field already, or in which a flag alone says that an invoice is yet to come."""
    content = event["data"]["object"]
    to_come = (content.get("invoice_creation") or {}).get("enabled", False) and content["invoice"] is None
    return to_come or isinstance(answer(event["type"], json.dumps(event).encode()), Unreadable)


READABLE = [event for event in EVENTS if not hangs_on_one_field(event)]


def money(facts: Any) -> tuple[int, int]:
    """(what was paid in positive lines, what was taken back) by these facts."""
    told = facts if isinstance(facts, tuple) else ()
    nets = [line.amount_minor - line.discount_minor for f in told if isinstance(f, InvoicePaid) for line in f.lines]
    return sum(net for net in nets if net > 0), sum(f.amount_minor for f in told if isinstance(f, Reversal))


def justified(event: Json) -> tuple[int, int]:
    """The most that an event can mean: its amounts before discounts and with the tax in them."""
    facts, content = answer(event["type"], json.dumps(event).encode()), event["data"]["object"]
    paid, taken = money(facts)
    taken = max(taken, content.get("amount_refunded", 0))
    if not paid:
        return 0, taken
    lines = [line["amount"] for line in (content.get("lines") or {}).get("data", [])]
    discount = (content.get("total_details") or {}).get("amount_discount", 0)
    return max(sum(max(each, 0) for each in lines), content.get("amount_total", 0) + discount), taken


@pytest.mark.parametrize("mutation", LESS, ids=lambda mutation: mutation.__name__)
def test_taking_something_away_makes_no_money(mutation: Callable[[random.Random, Json], None]) -> None:
    """No payment and no reversal is larger than the whole event justifies, and none appears where there was none."""
    drawn = random.Random(mutation.__name__)
    tried = 0
    for event in READABLE:
        paid_max, taken_max = justified(event)
        for _ in range(FUZZ_ROUNDS):
            mutated = copy.deepcopy(event)
            mutation(drawn, mutated)
            found = answer(event["type"], json.dumps(mutated).encode())
            paid, taken = money(found)
            assert paid <= paid_max, mutated
            assert taken <= taken_max, mutated
            tried += isinstance(found, tuple)
    assert tried > 1000


@pytest.mark.parametrize("mutation", OTHER, ids=lambda mutation: mutation.__name__)
def test_other_values_are_read_or_unreadable(mutation: Callable[[random.Random, Json], None]) -> None:
    """Nothing crashes, and whatever is read stays within the bounds of an amount."""
    drawn = random.Random(mutation.__name__)
    for event in EVENTS:
        for _ in range(FUZZ_ROUNDS // 2):
            mutated = copy.deepcopy(event)
            mutation(drawn, mutated)
            found = answer(event["type"], json.dumps(mutated).encode())
            assert isinstance(found, tuple | NotUsed | Missing | Unreadable)
            assert_bounded(found)


def assert_bounded(facts: Any) -> None:
    """Every amount is one, and nothing is taken back twice."""
    for fact in facts if isinstance(facts, tuple) else ():
        if isinstance(fact, InvoicePaid):
            assert all(abs(line.amount_minor - line.discount_minor) <= 3 * AMOUNT_MAX for line in fact.lines)
        if isinstance(fact, Reversal):
            assert 0 <= fact.amount_minor <= AMOUNT_MAX
            assert 0 <= fact.undone_minor <= AMOUNT_MAX
            assert all(0 <= line.amount_minor <= 3 * AMOUNT_MAX for line in fact.lines)


@pytest.mark.parametrize("mutation", BYTES, ids=lambda mutation: mutation.__name__)
def test_broken_bytes_are_refused_at_the_door_or_read(mutation: Callable[[random.Random, bytes], bytes]) -> None:
    """The door takes them or says malformed, the translator reads them or says unreadable: nothing else."""
    drawn = random.Random(mutation.__name__)
    refused = 0
    for event in EVENTS:
        body = mutation(drawn, json.dumps(event, indent=2).encode())
        try:
            read_envelope(body)
        except MalformedEvent:
            refused += 1
        found = answer(event["type"], body)
        assert isinstance(found, tuple | NotUsed | Missing | Unreadable)
        assert_bounded(found)
    assert refused
