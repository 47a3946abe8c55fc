"""`/customers/{key}/erasures`: asked for over the API or on a page, done by a worker as the command does it."""

from typing import Any

import pytest
from sqlalchemy import text

from infra.clock import system_clock
from infra.erasure import take_erasure_step
from infra.erasure.mentions import PORTION
from infra.fingerprint import fingerprint
from infra.unit_of_work import unit_of_work_on
from tests.builders import item, line, stripe_events
from tests.dashboard.pages.browser import Browser
from tests.dashboard.pages.conftest import PASSWORD, grace, member_of
from tests.dashboard.running import Api
from tests.stage import Stage

__all__ = ("grace", "member_of")


@pytest.fixture
def books(stage: Stage) -> Stage:
    """Canary of ada's, whom the company knows as acme, paid 100.00 for Inbox; so did somebody else."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    for number, key, name in ((1, "acme", "Canary"), (2, "globex", "Other")):
        customer, bought, said = f"cus_{number}", f"sub_{number}", {"note": f"{name} note"}
        whose: dict[str, Any] = {"customer_key": key, "partner_key": "ada", "metadata": said}
        sold = [line("prod_inbox", 10000)]
        stage.play(
            [
                stripe_events.customer(customer, name=f"{name} Person", email=f"{name}@person.example", **whose),
                stripe_events.subscription(bought, customer=customer, items=[item("prod_inbox")]),
                stripe_events.invoice_paid(f"in_{number}", customer=customer, subscription=bought, lines=sold),
            ]
        )
    return stage


def worked(stage: Stage, portion: int = PORTION) -> int:
    """How many steps a worker had to take until there was nothing to go on with."""
    count = 0
    while True:
        with unit_of_work_on(stage.engine) as connection:
            if not take_erasure_step(connection, stage.settings, system_clock(), portion):
                return count
        count += 1


def holding(stage: Stage, canary: str) -> list[str]:
    """The tables that hold a text in any row."""
    with stage.engine.connect() as connection:
        names = connection.execute(
            text("select table_name from information_schema.tables where table_schema = 'public'")
        ).scalars()
        holds = 'select exists (select from "{}" t where position(lower(:canary) in lower(t::text)) > 0)'
        return [name for name in names if connection.scalar(text(holds.format(name)), {"canary": canary})]


def commissions_of(stage: Stage) -> list[str]:
    """The digest of the commissions."""
    with stage.engine.connect() as connection:
        return [each.digest for each in fingerprint(connection).sections if each.name == "commissions"]


def test_a_customer_is_erased_by_a_worker_and_the_books_stay(api: Api, books: Stage) -> None:
    """Asked for twice it is done once; then nothing of the person is left but keys, and who asked is audited."""
    before = commissions_of(books)
    asked = api.post("/customers/acme/erasures", None)
    assert (asked["state"], asked["outcome"], asked["finished_at"]) == ("requested", None, None)
    ours = api.get("/customers/acme")["key"]
    assert api.post(f"/customers/{ours}/erasures", None) == asked
    assert holding(books, "Canary@") != []
    assert worked(books) == 1
    (done,) = api.get("/customers/acme/erasures")["items"]
    assert (done["key"], done["state"], done["reason"]) == (asked["key"], "finished", None)
    assert (done["outcome"]["events"], done["outcome"]["descriptions"]) == (3, 1)
    assert [holding(books, canary) for canary in ("Canary@", "Canary Person", "Canary note")] == [[], [], []]
    assert "provider_customers" in holding(books, "Other Person")
    assert commissions_of(books) == before
    shown = api.get("/customers/acme")
    assert (shown["name"], shown["country"], shown["metadata"]) == (None, None, {})
    written = books.ask("select actor, action, subject from audit_log where action like 'customer.eras%' order by id")
    assert [(action, subject) for _, action, subject in written] == [
        ("customer.erasure_requested", "acme"),
        ("customer.erased", f"customer:{ours}"),
    ]
    assert {actor for actor, *_ in written} == {asked["requested_by"]}
    assert asked["requested_by"].startswith("key:")
    again = api.post("/customers/acme/erasures", None)
    assert again["key"] != done["key"]
    api.post("/customers/nobody/erasures", None, 404)
    api.get("/customers/nobody/erasures", 404)


def test_it_waits_for_an_event_that_is_not_worked_on_yet(api: Api, books: Stage) -> None:
    """What that event says of money would be lost: it says so, and goes on after a while, with that event."""
    books.store([stripe_events.customer("cus_1", event_key="evt_late", name="Canary Person")])
    api.post("/customers/acme/erasures", None)
    assert worked(books) == 1
    (waiting,) = api.get("/customers/acme/erasures")["items"]
    assert waiting["state"] == "requested"
    assert "is not worked on yet" in waiting["reason"]
    books.drainer.sweep()
    with books.engine.begin() as connection:
        connection.execute(text("update erasures set next_attempt_at = now()"))
    assert worked(books) == 1
    (done,) = api.get("/customers/acme/erasures")["items"]
    assert (done["state"], done["reason"], done["outcome"]["events"]) == ("finished", None, 4)
    assert holding(books, "Canary Person") == []


def test_a_step_reads_a_portion_and_any_worker_goes_on(api: Api, books: Stage) -> None:
    """A step that was rolled back is taken again; portion by portion the same is found as at once."""
    api.post("/customers/acme/erasures", None)
    with books.engine.connect() as connection:
        assert take_erasure_step(connection, books.settings, system_clock(), 2)
        connection.rollback()
    assert worked(books, 2) == books.ask("select count(*) / 2 + 1 from inbox where provider <> 'program'")[0][0]
    assert api.get("/customers/acme/erasures")["items"][0]["outcome"]["events"] == 3


def test_whom_nobody_has_linked_is_erased_by_the_providers_key(api: Api, books: Stage) -> None:
    """Linked before a worker came to it, they go by another key: it is refused, with what to do."""
    books.play([stripe_events.customer("cus_7", name="Canary Seven"), stripe_events.customer("cus_8", name="Eight")])
    for number in (7, 8):
        api.post(f"/customers/stripe:cus_{number}/erasures", None)
    api.post("/customers", {"customer_key": "eight", "provider_key": "cus_8"})
    assert worked(books) == 2
    assert holding(books, "Canary Seven") == []
    assert books.ask("select customer, outcome is null, reason from erasures order by customer") == [
        ("stripe:cus_7", False, None),
        ("stripe:cus_8", True, "it is called otherwise now; ask by its present key"),
    ]


def test_a_person_is_erased_on_their_page_after_typing_their_key(grace: Browser, api: Api, books: Stage) -> None:
    """Nothing happens without the key, nor without the password long after signing in; the page says how it stands."""
    sheet = grace.get("/customers/acme")
    refused = grace.press(sheet, "Erase", 400, typed_key="globex")
    assert 'must be "acme", typed by you' in refused.text
    assert refused.form("Save").fields == sheet.form("Save").fields
    with books.engine.begin() as connection:
        connection.execute(text("update sessions set created_at = now() - interval '1 hour'"))
    refused = grace.press(sheet, "Erase", 400, typed_key="acme")
    assert "is needed again, your own" in refused.text
    assert api.get("/customers/acme/erasures")["items"] == []
    asked = grace.press(refused, "Erase", typed_key="acme", password=PASSWORD)
    assert "A worker is erasing who they are" in asked.text
    assert "Being erased since" in asked.text
    assert "Erase" not in {button for form in asked.forms for button in form.buttons}
    worked(books)
    done = grace.get("/customers/acme")
    assert "the bodies of 3 events, 1 descriptions, metadata of" in done.text
    assert "Canary" not in done.text
    actors = books.ask("select actor from audit_log where action = 'customer.erased'")
    assert actors == [("person:grace@example.com",)]
