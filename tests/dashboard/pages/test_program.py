"""What a program manager sets up on the pages: products, partners, customers' partners, triggers."""

import json
import re
from dataclasses import replace

import pytest
from sqlalchemy import text

from domain.periods import Period
from domain.reconcile import OurBooks, ProviderBooks, compare
from infra.reconciliation.reporting import whole_report
from infra.reconciliation.runs import Phase, Run
from tests.dashboard.pages.browser import Browser
from tests.dashboard.running import Api
from tests.stage import LONG_AGO, Stage
from worker import story

TRIGGER = {
    "name": "5 % of Surveys",
    "event": "transaction_created",
    "rules": {"field": "product.name", "op": "is_any_of", "value": ["Surveys"]},
    "action": {"type": "percent", "percent": "5"},
}


def test_a_product_is_added_and_renamed(grace: Browser, api: Api) -> None:
    """The form makes an entry with its ids, and another form changes what was changed in it."""
    sheet = grace.press(
        grace.get("/product-book"), "Add", name="Inbox", external_key="prod_inbox", aliases="price_1\n\n price_2 "
    )
    assert "Inbox: created" in sheet.text
    grace.press(sheet, "Save", name="Team Inbox", archived="on")
    (entry,) = api.get("/product_book", archived=True)["items"]
    assert (entry["name"], entry["aliases"], entry["archived"]) == ("Team Inbox", ["price_1", "price_2"], True)


def test_a_mistake_is_said_at_its_field_and_nothing_typed_is_lost(grace: Browser, api: Api) -> None:
    """A name too long is refused where it stands, with the other fields as they were typed."""
    sheet = grace.press(grace.get("/product-book"), "Add", 400, name="x" * 201, external_key="prod_inbox")
    (invalid,) = [found for _, found in sheet.tags if found.get("aria-invalid")]
    assert invalid["name"] == "name"
    assert sheet.form("Add").fields["external_key"] == "prod_inbox"
    assert api.get("/product_book")["items"] == []


def test_a_product_sold_before_it_was_described_is_put_right(grace: Browser, told: Stage) -> None:
    """It stands on the overview until somebody saves its name."""
    told.tamper("update product_book set needs_review = true where external_key = 'prod_gigakick_inbox'")
    link = next(each for each in grace.get("/").links if each.startswith("/product-book/"))
    grace.press(grace.get(link), "Save", name="Shared Inbox")
    assert told.ask("select 1 from product_book where needs_review") == []
    assert not [each for each in grace.get("/").links if each.startswith("/product-book/")]


def test_a_partner_with_members_and_tokens(grace: Browser, stranger: Browser, api: Api) -> None:
    """A partner is added, a member too; the token shown once lets them in, until it is revoked."""
    sheet = grace.press(
        grace.get("/partners"), "Add", partner_key="ada/& co", name="Ada", group="gold", tags="a\nb", country="DE"
    )
    sheet = grace.press(sheet, "Add", member_key="bob", member_email="bob@ada.example")
    issued = grace.press(sheet, "New token")
    (token,) = re.findall(r"mem_[\w-]+", issued.html)
    assert token not in grace.get("/partners/ada%2F%26%20co").html
    assert "bob of ada/& co" in stranger.press(stranger.get("/partner/sign-in"), "Sign in", token=token).text
    grace.press(issued, "Revoke")
    assert stranger.client.get("/partner").status_code == 303
    (found,) = api.get("/partnerships")["items"]
    assert (found["tags"], found["group"], found["country"]) == (["a", "b"], "gold", "DE")
    assert found["members"] == [{"member_key": "bob", "name": None, "email": "bob@ada.example"}]


def test_a_partner_is_changed_and_loses_a_member(grace: Browser, bob: Browser, told: Stage) -> None:
    """Only what was changed makes a version; a member who is taken out is signed out."""
    sheet = grace.press(grace.get("/partners/ada"), "Save", group="agencies")
    (version,) = told.ask('select "group" from partner_versions order by version desc limit 1')
    assert version == ("agencies",)
    bob.get("/partner")
    grace.press(sheet, "Take out")
    assert bob.client.get("/partner").status_code == 303


def test_an_unlinked_customer_is_shown_and_a_linked_one_given_to_a_partner(grace: Browser, told: Stage) -> None:
    """What the form says is a claim like any other: the attribution follows from it."""
    told.partner("eve")
    sheet = grace.press(grace.get("/customers/acme"), "Save", partner_key="eve")
    partners = [row[1] for row in sheet.cells if len(row) == 3]
    assert partners == ["Partner", "ada", "eve"]
    refused = grace.press(sheet, "Save", 400, country="Germany")
    assert "country" in refused.text
    emptied = grace.press(sheet, "Save", 400, partner_key="")
    assert next(found for _, found in emptied.tags if found.get("aria-invalid"))["name"] == "partner_key"
    assert [row[1] for row in grace.get("/customers/acme").cells if len(row) == 3] == partners


def test_describing_what_was_sold_keeps_the_ids_it_has(grace: Browser, told: Stage) -> None:
    """Adding a product that an entry without a description is there for describes that one, its further ids kept."""
    told.tamper("update product_book set needs_review = true where external_key = 'prod_gigakick_inbox'")
    told.tamper(
        "insert into product_book_aliases (alias, key) select 'price_9', key from product_book where needs_review"
    )
    grace.press(grace.get("/product-book"), "Add", name="Shared Inbox", external_key="prod_gigakick_inbox")
    kept = "select a.alias, b.needs_review from product_book b join product_book_aliases a using (key)"
    assert told.ask(kept) == [("price_9", False)]


def test_a_trigger_is_written_tried_and_saved(grace: Browser, told: Stage) -> None:
    """The draft says what it would have paid before it is saved, and saving makes a trigger of it."""
    draft = {**TRIGGER, "name": "5 % of Inbox", "rules": {**TRIGGER["rules"], "value": ["Inbox"]}}  # type: ignore[dict-item]
    sheet = grace.press(grace.get("/triggers/new"), "Preview the draft", document=json.dumps(draft))
    assert ["ada", "Inbox", "1", "4.95 USD", "24.75 USD", "19.80 USD"] in sheet.cells
    assert told.ask("select count(*) from triggers") == [(4,)]
    saved = grace.press(sheet, "Save: it counts from now on")
    assert "Saved as version 1" in saved.text
    assert told.ask("select count(*) from triggers") == [(5,)]


def test_mistakes_in_a_trigger_are_said_at_their_path(grace: Browser, told: Stage) -> None:
    """Every mistake comes with its path, JSON that breaks off with its line, and the text stays as it was typed."""
    wrong = {**TRIGGER, "rules": {"all": [{"field": "product.colour", "op": "is"}]}, "action": {"type": "percent"}}
    for button in ("Save: it counts from now on", "Preview the draft"):
        sheet = grace.press(grace.get("/triggers/new"), button, 400, document=json.dumps(wrong))
        assert "rules.all[0].field" in sheet.text
        assert "action.percent" in sheet.text
        assert json.loads(sheet.form(button).fields["document"]) == wrong
    broken = grace.press(grace.get("/triggers/new"), "Preview the draft", 400, document='{\n  "name": nope')
    assert "line 2, column 11" in broken.text
    assert told.ask("select count(*) from triggers") == [(4,)]


def test_a_trigger_is_changed_warned_about_and_switched_off(grace: Browser, told: Stage) -> None:
    """A change makes a version, an unknown product is warned of, and switching off makes another version."""
    sheet = grace.get("/triggers/trg_gigakick_surveys")
    document = json.loads(sheet.form("Save as the next version").fields["document"])
    document["rules"]["value"] = ["Surveyz"]
    sheet = grace.press(sheet, "Save as the next version", document=json.dumps(document))
    assert "version 2" in sheet.text
    assert 'no product is called "Surveyz"' in sheet.text
    sheet = grace.press(sheet, "Switch it off from now on")
    assert told.ask("select definition ->> 'active' from trigger_versions where version = 3") == [("false",)]
    assert "Switch it on from now on" in {button for form in sheet.forms for button in form.buttons}


def test_what_counts_now_is_edited_and_what_is_planned_stays_planned(grace: Browser, told: Stage) -> None:
    """The page shows what counts and what is planned; a new name goes into both and brings nothing forward."""
    sheet = grace.get("/triggers/trg_gigakick_surveys")
    planned = {"action": {"type": "percent", "percent": "30"}, "effective_from": 4_102_444_800_000}
    sheet = grace.press(sheet, "Save as the next version", document=json.dumps(planned))
    assert "version 2 from" in sheet.text
    assert "counts until then" in grace.get("/triggers").text
    document = json.loads(sheet.form("Save as the next version").fields["document"])
    assert document["action"]["percent"] == "10"
    assert "nothing to change" in grace.press(sheet, "Save as the next version").text
    renamed = json.dumps({**document, "name": "Surveys, renamed"})
    grace.press(sheet, "Save as the next version", document=renamed)
    versions = "select version, definition ->> 'name', definition -> 'action' ->> 'percent' from trigger_versions"
    assert told.ask(f"{versions} where key = 'trg_gigakick_surveys' and version > 2 order by 1") == [
        (3, "Surveys, renamed", "10"),
        (4, "Surveys, renamed", "30"),
    ]


@pytest.mark.parametrize(("since", "problem"), [("2026-13-01", "must be a day"), ("2999-01-01", "later than from")])
def test_a_preview_of_no_period_is_refused(grace: Browser, told: Stage, since: str, problem: str) -> None:
    """Days that are none, or in the wrong order, are said at their field."""
    sheet = grace.press(
        grace.get("/triggers/trg_gigakick_inbox"), "Preview the draft", 400, since=since, until="2026-01-01"
    )
    assert problem in sheet.text
    assert [found["name"] for _, found in sheet.tags if found.get("aria-invalid")] != []


def test_a_reconciliation_shows_every_kind_that_was_compared(grace: Browser, told: Stage) -> None:
    """One row for each kind of its report, reversals by their own names; a report from before them has no such rows."""
    window = Period(LONG_AGO, LONG_AGO)
    found = compare(ProviderBooks(window), OurBooks())
    found = replace(found, credit_notes=replace(found.credit_notes, provider_count=41, missing=("cn_1", "cn_2")))
    run = Run(1, "stripe", "whole", True, None, None, LONG_AGO, LONG_AGO, "finished", Phase.REPORTING, None, 0)
    report = whole_report(run, found, None)
    before = {name: section for name, section in report.items() if name not in ("refunds", "credit_notes", "disputes")}
    with told.engine.begin() as connection:
        for each in (report, before):
            connection.execute(
                text("""
                    insert into reconciliations (provider, scope, dry_run, requested_by, state, report, finished_at)
                    values ('stripe', 'whole', true, 'api', 'finished', cast(:report as jsonb), now())
                """),
                {"report": json.dumps(each)},
            )
    shown = grace.get("/reconciliations/1").text
    assert "credit notes 41 0 2" in " ".join(re.sub("<[^>]*>", " ", shown).split())
    assert "disputes" in shown
    assert "disputes" not in grace.get("/reconciliations/2").text


def test_a_reconciliation_without_a_key_names_the_setting(grace: Browser, told: Stage) -> None:
    """Nothing can be compared without an API key; the refusal says which setting is missing."""
    sheet = grace.press(grace.get("/reconciliations"), "Compare now", 400, provider="stripe")
    assert "STRIPE_API_KEY" in sheet.text
    assert told.ask("select count(*) from reconciliations") == [(0,)]
    assert story.TRANSACTION in grace.get("/payments").text


def test_a_shape_is_asked_for_in_words(grace: Browser, told: Stage) -> None:
    """What must look a certain way is asked for by an example, and no page answers with a pattern."""
    for field, typed, said in (("country", "Germany", "such as DE"), ("email", "nobody", "such as ada@example.com")):
        refused = grace.press(grace.get("/customers/acme"), "Save", 400, **{field: typed})
        assert said in refused.text
        assert "pattern" not in refused.text
