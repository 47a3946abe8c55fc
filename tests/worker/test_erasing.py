"""`attribution customers erase`: a person's details are nowhere any more, and the books are as they were."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.errors import Conflict
from infra.bodies import decode
from infra.clock import system_clock
from infra.fingerprint import fingerprint
from infra.inbox import claim
from infra.outgoing.messenger import Messenger
from infra.settings import load_settings
from infra.stated.products import state_product
from infra.stated.telling import Telling, tell
from infra.stated.transactions import state_transaction
from infra.unit_of_work import unit_of_work_on
from tests import stripe_examples
from tests.builders import item, line, stripe_events
from tests.infra.told import registered
from tests.stage import Stage
from tests.webhook_target import webhook_target
from tests.worker.command_line import Attribution

PAID_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
#: Of the person; each is put somewhere else. An agency has one address for all its customers.
CANARIES = ("Canary Erased", "canary@", "canary-note", "Canary Street", "DE-canary")
AGENCY = "billing@agency.example"
RULES = {
    "all": [
        {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
        {"field": "customer.country", "op": "is_any_of", "value": ["DE"]},
        {"field": "customer.email_domain", "op": "is_any_of", "value": ["person.example"]},
        {"field": "customer.metadata.plan", "op": "is_any_of", "value": ["pro"]},
        {"not": {"field": "transaction.metadata.internal", "op": "is_set"}},
    ]
}


def described(key: str, customer_key: str, name: str, email: str, **more: Any) -> stripe_events.Event:
    """A customer in Germany on the pro plan, of ada's."""
    said = {"plan": "pro", "note": f"{name.split()[0].lower()}-note", "partner_key": "ada"}
    return stripe_events.customer(
        key, customer_key=customer_key, name=name, email=email, country="DE", metadata=said, at=PAID_AT - DAY, **more
    )


def paid(invoice: str, customer: str, person: str, at: datetime = PAID_AT) -> stripe_events.Event:
    """100.00 USD for Inbox; on the invoice stand a name and a note."""
    event = stripe_events.invoice_paid(
        invoice, event_key=f"evt_{invoice}", customer=customer, subscription=f"sub_{customer}",
        lines=[line("prod_inbox", 10000)], paid_at=at,
    )  # fmt: skip
    event["data"]["object"] |= {"customer_name": person, "metadata": {"note": f"{person.split()[0].lower()}-note"}}
    return event


def refund(invoice: str, amount: int) -> dict[str, Any]:
    """Part of a payment is given back."""
    return stripe_examples.charge_refunded("ch_1", 10000, amount, payment_intent="pi_1", invoice=invoice)


def evidence(email: str) -> dict[str, Any]:
    """An event of a type that is not used here, which names nobody but has an address in it."""
    content = {"id": "radar_1", "object": "radar.early_fraud_warning", "evidence": {"customer_email_address": email}}
    return stripe_examples.event("radar.early_fraud_warning.created", content)


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earned on a payment of the person's, and of somebody else's with the same agency."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10", rules=RULES)
    sold: dict[str, Any] = {"items": [item("prod_inbox", amount=10000)], "at": PAID_AT}
    street = stripe_examples.event("payment_method.attached", {"customer": "cus_1", "line1": "Canary Street 1"})
    stage.play(
        [
            described("cus_1", "acme", "Canary Erased", "Canary@person.example"),
            described("cus_2", "bolt", "Other Person", "other@person.example"),
            stripe_events.subscription("sub_cus_1", customer="cus_1", **sold),
            paid("in_1", "cus_1", "Canary Erased"),
            paid("in_2", "cus_2", "Other Person"),
            street,
            evidence("CANARY@person.example"),
            evidence("other@person.example"),
            described("cus_1", "acme", "Canary Erased", AGENCY, change="updated", event_key="evt_agency_1")
            | {"created": int((PAID_AT + DAY).timestamp())},
            described("cus_2", "bolt", "Other Person", AGENCY, change="updated", event_key="evt_agency_2")
            | {"created": int((PAID_AT + DAY).timestamp())},
        ]
    )
    return stage


def kept_anywhere(stage: Stage) -> str:
    """Every row of every table as text, and every body that can be read."""
    tables = stage.ask("select table_name from information_schema.tables where table_schema = 'public'")
    rows = [row for (table,) in tables for (row,) in stage.ask(f'select t::text from "{table}" t')]
    bodies = stage.ask("select body_codec, body, body_bytes from inbox where body is not null")
    answers = stage.ask("select answer from idempotent_answers where answer is not null")
    read = [decode(codec, bytes(body), size).decode() for codec, body, size in bodies]
    return "\n".join([*rows, *read, *(bytes(answer).decode() for (answer,) in answers)])


def books(stage: Stage) -> dict[str, str]:
    """The digest of each section of the books that holds no person's details."""
    with unit_of_work_on(stage.engine) as connection:
        sections = {section.name: section.digest for section in fingerprint(connection).sections}
    return {name: sections[name] for name in ("attributions", "products", "reversals", "commissions", "book")}


def state_of(stage: Stage, event_key: str) -> tuple[Any, ...]:
    """(state, reason, whether there is a body) of an event."""
    (found,) = stage.ask("select state, reason, body is not null from inbox where event_key = :k", k=event_key)
    return found


def test_nothing_of_a_person_is_left_and_the_books_are_the_same(attribution: Attribution, stage: Stage) -> None:
    """No table and no body holds a detail any more; ledger and products hash the same, and every invariant holds."""
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "insert into idempotent_answers values"
                " ('key:1', 'k1', '', 200, convert_to('{\"email\":\"Canary@person.example\"}', 'UTF8'), now()),"
                " ('key:1', 'k2', '', 200, convert_to('{\"email\":\"other@person.example\"}', 'UTF8'), now())"
            )
        )
    before, said = books(stage), kept_anywhere(stage)
    assert all(canary.lower() in said.lower() for canary in CANARIES[:-1])
    answer = attribution("customers", "erase", "acme", "--yes", "--json")
    assert answer.code == 0, answer.err
    found = answer.document
    assert (found["events"], found["put_aside"], found["descriptions"], found["payments"]) == (6, 0, 2, 1)
    assert found["answers"] == 1
    said = kept_anywhere(stage)
    assert not [canary for canary in CANARIES if canary.lower() in said.lower()]
    assert "Other Person" in said
    assert "other-note" in said
    assert stage.ask("select count(*) from customer_descriptions where email = :email", email=AGENCY) == [(1,)]
    assert state_of(stage, "evt_agency_2")[2]
    assert books(stage) == before
    assert attribution("check").code == 0
    rows = stage.ask("select actor, subject, details ->> 'events' from audit_log where action = 'customer.erased'")
    assert [(actor, subject[:14], events) for actor, subject, events in rows] == [("operator", "customer:cust_", "6")]


def test_what_comes_later_is_judged_as_if_nobody_had_been_erased(attribution: Attribution, stage: Stage) -> None:
    """A refund takes back its part and no more, and a new payment earns: what rules read was kept, by name."""
    found = attribution("customers", "erase", "acme", "--yes", "--json").document
    assert found["kept"] == [
        "customer.country", "customer.email_domain", "customer.metadata.plan", "transaction.metadata.internal",
    ]  # fmt: skip
    stage.play([refund("in_1", 2500)])
    assert {row[1]: row[4] for row in stage.commissions()} == {"stripe:in_1": 750, "stripe:in_2": 1000}
    assert attribution("check").code == 0
    ((email, metadata),) = stage.ask(
        "select email, metadata from customer_descriptions"
        " where provider_customer_key = 'cus_1' and email like '%person%'"
    )
    assert (email.startswith("erased-"), metadata) == (True, {"plan": "pro"})


def test_what_was_erased_is_not_posted_again_under_its_key(attribution: Attribution, stage: Stage) -> None:
    """Nobody can say whether it is the same: whoever posts it again is refused for good, and told what to do."""
    sold = {"product_book_key": "prod_inbox", "external_subscription_key": "lic-1", "customer_key": "acme"}
    paid = {"key": "order-1", "amount": 1000, "currency": "usd", "customer_key": "acme"}
    work: tuple[Callable[[Telling], object], ...] = (
        lambda telling: state_product(telling, sold),
        lambda telling: state_transaction(telling, paid),
    )

    def post(one: Callable[[Telling], object]) -> None:
        with stage.engine.begin() as connection:
            tell(connection, stage.settings, system_clock(), one)

    for each in work:
        post(each)
    assert attribution("customers", "erase", "acme", "--yes").code == 0
    for each in work:
        with pytest.raises(Conflict, match="was erased; take another key"):
            post(each)


def test_where_no_rule_reads_it_nothing_is_kept(attribution: Attribution, engine: Engine) -> None:
    """Neither country nor domain nor metadata; an address becomes one of nobody's."""
    stage = Stage(engine)
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play(
        [described("cus_1", "acme", "Canary Erased", "canary@person.example"), paid("in_1", "cus_1", "Canary E")]
    )
    assert attribution("customers", "erase", "acme", "--yes", "--json").document["kept"] == []
    ((email, *rest),) = stage.ask("select email, name, country, metadata from provider_customers")
    assert rest == [None, None, None]
    assert email.endswith("@erased.invalid")
    assert "person.example" not in kept_anywhere(stage)


def test_an_event_sent_again_is_still_a_duplicate(attribution: Attribution, stage: Stage) -> None:
    """The rows stay with their ids: a resend stores nothing, and a new event of that person is a new one (F76)."""
    attribution("customers", "erase", "acme", "--yes")
    before = stage.ask("select count(*) from inbox")
    stage.play([paid("in_1", "cus_1", "Canary Erased")])
    assert stage.ask("select count(*) from inbox") == before
    assert state_of(stage, "evt_in_1") == ("processed", None, False)
    assert "canary" not in kept_anywhere(stage).lower()
    stage.play([paid("in_3", "cus_1", "Canary Erased", PAID_AT + DAY)])
    assert "canary" in kept_anywhere(stage).lower()
    assert attribution("customers", "erase", "acme", "--yes", "--json").document["events"] == 1


def test_what_was_erased_is_counted_and_never_dead(attribution: Attribution, stage: Stage) -> None:
    """A replay of everything passes over it and says of how many; one by name is refused; shown, it says so."""
    attribution("customers", "erase", "acme", "--yes")
    before = books(stage)
    tried = attribution("events", "replay", "--provider", "stripe", "--dry-run", "--json").document
    assert (tried["matching"], tried["erased"], tried["tried"]) == (10, 6, 4)
    done = attribution("events", "replay", "--provider", "stripe")
    assert done.out == "4 events are due again. 6 cannot be replayed: their bodies were erased.\n"
    stage.drainer.sweep()
    assert stage.ask("select count(*) from inbox where state = 'dead'") == [(0,)]
    assert books(stage) == before
    refused = attribution("events", "replay", "evt_in_1")
    assert refused.code == 1
    assert "was erased; it cannot be replayed" in refused.err
    assert "its body was erased" in attribution("events", "show", "evt_in_1").out


def test_what_waits_or_is_dead_is_put_aside(attribution: Attribution, stage: Stage) -> None:
    """Nobody can ever work on them again: they are ignored for that reason, and said beforehand."""
    stage.play([refund("in_9", 100) | {"id": "evt_waits"}])
    stage.store([paid("in_4", "cus_1", "Canary Erased"), evidence("canary@person.example") | {"id": "evt_dead"}])
    stage.bury("evt_in_4", "evt_dead", reason="broken", fingerprint="stripe broken")
    with stage.engine.begin() as connection:
        connection.execute(
            text("update inbox set state = 'waiting', next_attempt_at = now() where event_key = 'evt_dead'")
        )
    found = attribution("customers", "erase", "acme", "--yes", "--json").document
    assert found["put_aside"] == 2
    for key in ("evt_in_4", "evt_dead"):
        assert state_of(stage, key) == ("ignored", "its body was erased with its customer", False)


def test_a_dry_run_says_it_all_and_changes_nothing(attribution: Attribution, stage: Stage) -> None:
    """Nothing is different afterwards, and without a terminal nothing is done unless `--yes` says so."""
    before = kept_anywhere(stage)
    shown = attribution("customers", "erase", "acme", "--dry-run")
    assert shown.code == 0
    assert "nothing was changed yet" in shown.out
    assert "bodies of events: 6" in shown.out
    assert "kept, because rules read it: customer.country, customer.email_domain" in shown.out
    refused = attribution("customers", "erase", "acme")
    assert refused.code == 1
    assert "say --yes" in refused.err
    assert kept_anywhere(stage) == before
    missing = attribution("customers", "erase", "nobody", "--yes")
    assert (missing.code, 'no customer is called "nobody"' in missing.err) == (1, True)


def test_an_event_that_is_not_worked_on_yet_comes_first(attribution: Attribution, stage: Stage) -> None:
    """With a payment of the person's still due, or in a worker's hands, nothing is erased: its money would be lost."""
    stage.store([paid("in_5", "cus_1", "Canary Erased")])
    for _ in range(2):
        refused = attribution("customers", "erase", "acme", "--yes")
        assert (refused.code, "is not worked on yet" in refused.err) == (1, True)
        with stage.engine.begin() as connection:
            claim(connection, 10)
    assert state_of(stage, "evt_in_1")[2]


def test_whom_nobody_has_linked_is_erased_by_the_providers_name(attribution: Attribution, stage: Stage) -> None:
    """`stripe:cus_...` names somebody of whom only the provider knows; the same of a linked one is refused."""
    stage.play([stripe_events.customer("cus_7", name="Canary Erased", email="canary@seventh.example")])
    assert attribution("customers", "erase", "stripe:cus_1", "--yes").code == 1
    assert attribution("customers", "erase", "stripe:cus_7", "--yes", "--json").document["events"] == 1
    assert "canary@seventh" not in kept_anywhere(stage)
    assert "Canary Erased" in kept_anywhere(stage)


def test_copies_in_webhooks_of_ours_go_too(attribution: Attribution, stage: Stage) -> None:
    """What a partner's program was told keeps no address; sent again, it is read anew."""
    with webhook_target() as target:
        registered(stage, target, "product.created", "product.updated")
        later = PAID_AT + 2 * DAY
        stage.play(
            [stripe_events.subscription(
                f"sub_new_{who}", customer=who, items=[item("prod_inbox", amount=10000)], at=later
            ) for who in ("cus_1", "cus_2")]
        )  # fmt: skip
        settings = load_settings({"WEBHOOK_TARGETS_ALLOWED": "127.0.0.0/8"}, env_file=None)
        Messenger(stage.engine, settings).run()
    told = stage.ask("select payload like '%' || :email || '%' from webhook_deliveries", email=AGENCY)
    assert told == [(True,), (True,)]
    assert attribution("customers", "erase", "acme", "--yes", "--json").document["webhooks"] == 1
    assert stage.ask("select payload is null from webhook_deliveries order by id") == [(True,), (False,)]


def test_a_company_id_that_looks_like_an_address_is_said_to_stay(attribution: Attribution, stage: Stage) -> None:
    """It is the customer's key and cannot go; whoever erases is told."""
    stage.play([described("cus_8", "canary@id.example", "Canary Erased", "canary@id.example")])
    done = attribution("customers", "erase", "canary@id.example", "--yes")
    assert "the company's own id for this customer, which looks like an address" in done.out
