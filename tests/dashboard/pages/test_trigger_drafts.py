"""The form for the usual trigger: what it writes is what the API takes, and nothing is saved by writing it."""

import json
from typing import Any

import pytest

from tests.dashboard.pages.browser import Browser, Sheet
from tests.dashboard.running import Api
from tests.stage import Stage


def _boxes(api: Api, *names: str) -> dict[str, str]:
    """The boxes of these products, ticked."""
    return {f"sold-{each['key']}": "on" for each in api.get("/product_book")["items"] if each["name"] in names}


def _document(sheet: Sheet) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sheet.form("Preview the draft").fields["document"])
    return found


def test_the_form_is_written_out_tried_and_saved(grace: Browser, api: Api, told: Stage) -> None:
    """Products, a group and a share become a document that the editor shows; saved, it is a trigger like any other."""
    boxes = _boxes(api, "Inbox", "Surveys")
    typed = {"percent": "2.5", "group": "resellers", "offer_text": "A little more", "counts_from": "2026-01-01"}
    sheet = grace.press(grace.get("/triggers/new"), "Write it", 200, **boxes, **typed)
    assert "nothing is saved yet" in sheet.text
    written = _document(sheet)
    assert written == {
        "name": "2.5 % of Inbox, Surveys",
        "event": "transaction_created",
        "rules": {
            "all": [
                {"field": "product.name", "op": "is_any_of", "value": ["Inbox", "Surveys"]},
                {"field": "partner.group", "op": "is_any_of", "value": ["resellers"]},
            ]
        },
        "action": {"type": "percent", "percent": "2.5"},
        "offer": {"description": "A little more"},
        "active": True,
        "effective_from": 1767225600000,
    }
    assert told.ask("select count(*) from triggers") == [(4,)]
    tried = grace.press(sheet, "Preview the draft")
    assert _document(tried) == written
    assert ["ada", "Inbox", "1", "2.48 USD", "22.28 USD", "19.80 USD"] in tried.cells
    saved = grace.press(tried, "Save: it counts from now on")
    assert "Saved as version 1" in saved.text
    assert told.ask("select count(*) from triggers") == [(5,)]


def test_a_flat_amount_on_every_payment_has_no_rules(grace: Browser, told: Stage) -> None:
    """Amounts are typed with decimals and written in minor units; what was left empty is not in the document."""
    typed = {"flat": "5.5", "currency": "EUR", "title": "Five and a half"}
    sheet = grace.press(grace.get("/triggers/new"), "Write it", 200, **typed)
    written = _document(sheet)
    assert written["action"] == {"type": "flat", "amount": 550, "currency": "eur"}
    assert (written["name"], "rules" in written, "effective_from" in written) == ("Five and a half", False, False)
    assert "Saved as version 1" in grace.press(sheet, "Save: it counts from now on").text


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({}, "percent"),
        ({"percent": "10", "flat": "5", "currency": "usd"}, "percent"),
        ({"percent": "ten"}, "percent"),
        ({"percent": "101"}, "percent"),
        ({"flat": "5,00", "currency": "usd"}, "flat"),
        ({"flat": "5"}, "currency"),
        ({"percent": "10", "counts_from": "soon"}, "counts_from"),
    ],
)
def test_what_is_wrong_in_the_form_is_said_at_its_field(
    grace: Browser, api: Api, told: Stage, typed: dict[str, str], wrong: str
) -> None:
    """Nothing is written of it, what was typed and ticked stays, and the field says what it takes."""
    boxes = _boxes(api, "Inbox")
    refused = grace.press(grace.get("/triggers/new"), "Write it", 400, **boxes, **typed)
    assert [found["name"] for _, found in refused.tags if found.get("aria-invalid")] == [wrong]
    fields = refused.form("Write it").fields
    assert {name: fields[name] for name in (*boxes, *typed)} == {**boxes, **typed}
