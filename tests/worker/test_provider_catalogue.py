"""The provider's catalogue in the product book: entries that follow it, those that do not, prices as aliases."""

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from infra.catalogue_changes import follow_provider
from infra.program import ProgramReader
from infra.providers.stripe.example_events import item, line
from tests import stripe_examples as stripe
from tests.builders import stripe_events
from tests.stage import LONG_AGO, Stage

DAY = timedelta(days=1)
PAID_AT = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """acme is ada's, who earns 20 percent of what is called Inbox."""
    stage = Stage(engine)
    stage.partner("ada")
    stage.trigger("inbox", "20", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    stage.play([stripe_events.customer("cus_1", customer_key="acme", partner_key="ada", at=LONG_AGO)])
    return stage


def sold(key: str = "in_1", product: str = "prod_1", at: datetime = PAID_AT, **of: str) -> stripe.Json:
    """100.00 USD for a product."""
    return stripe_events.invoice_paid(key, customer="cus_1", lines=[line(product, 10000, **of)], paid_at=at)


def names(stage: Stage) -> list[tuple[object, ...]]:
    """(provider id, from when on, name) of every entry as it reads now."""
    stage.drainer.run()
    with stage.engine.begin() as connection:
        book = ProgramReader(stage.settings).read(connection).catalogue.entries.values()
    return sorted((str(e.external_key), str(n.effective_from), n.name) for e in book for n in e.names)


def earned(stage: Stage) -> int:
    """All that ada earned."""
    return sum(int(row[4]) for row in stage.commissions())


def test_a_product_that_is_described_is_in_the_book_before_it_is_sold(stage: Stage) -> None:
    """Its entry has the provider's name and is to be reviewed; the first sale is judged by that name."""
    stage.play([stripe.product("prod_1", "Inbox", what="created", description="Mail", at=LONG_AGO)])
    assert stage.ask("select external_key, description, needs_review, archived from product_book") == [
        ("prod_1", "Mail", True, False)
    ]
    stage.play([sold()])
    assert earned(stage) == 2000


def test_a_product_described_after_it_was_sold_is_judged_by_its_name(stage: Stage) -> None:
    """The placeholder takes the provider's first name for all time, and what was sold before is judged again."""
    stage.play([sold()])
    assert earned(stage) == 0
    stage.play([stripe.product("prod_1", "Inbox", at=PAID_AT + DAY)])
    assert earned(stage) == 2000


def test_a_renamed_product_has_its_new_name_from_then_on(stage: Stage) -> None:
    """What was sold under a name is judged by that name, in every order of hearing of it."""
    orders = random.Random(5).sample(list(itertools.permutations(range(4))), 6)
    for number, order in enumerate(orders):
        told = [
            stripe.product(f"prod_{number}", "Inbox", what="created", at=LONG_AGO),
            stripe.product(f"prod_{number}", "Postbox", at=PAID_AT + DAY),
            sold(f"in_{number}a", f"prod_{number}"),
            sold(f"in_{number}b", f"prod_{number}", at=PAID_AT + 2 * DAY),
        ]
        for place in order:
            stage.play([told[place]])
        called = [row[1:] for row in names(stage) if row[0] == f"prod_{number}"]
        assert called == [("2026-04-02 00:00:00+00:00", "Postbox"), ("None", "Inbox")], order
    assert {row[1]: row[4] for row in stage.commissions()} == {f"stripe:in_{n}a": 2000 for n in range(len(orders))}


def test_an_older_description_heard_late_changes_nothing_of_now(stage: Stage) -> None:
    """The newest word counts for the description, and deleting is for good."""
    stage.play([stripe.product("prod_1", "Inbox", description="new", at=PAID_AT)])
    stage.play([stripe.product("prod_1", "Inbox", description="old", at=LONG_AGO)])
    assert stage.ask("select description, archived from product_book") == [("new", False)]
    stage.play([stripe.product("prod_1", "Inbox", what="deleted", at=PAID_AT)])
    stage.play([stripe.product("prod_1", "Inbox", description="late", at=PAID_AT + DAY)])
    assert stage.ask("select description, archived from product_book") == [("late", True)]


def test_a_product_no_longer_active_is_archived_until_it_is_again(stage: Stage) -> None:
    """`active` says it, and an archived product's payments still count."""
    stage.play([stripe.product("prod_1", "Inbox", active=False, at=PAID_AT), sold()])
    assert stage.ask("select archived from product_book") == [(True,)]
    assert earned(stage) == 2000
    stage.play([stripe.product("prod_1", "Inbox", at=PAID_AT + DAY)])
    assert stage.ask("select archived from product_book") == [(False,)]


def test_an_entry_that_a_person_named_keeps_its_name(stage: Stage) -> None:
    """Whatever the provider calls it, before or after."""
    stage.play([stripe.product("prod_1", "inbox_v2", what="created", at=LONG_AGO)])
    stage.product("Inbox", "prod_1")
    stage.play([stripe.product("prod_1", "inbox_v3", description="x", at=PAID_AT - DAY), sold()])
    assert [name for _, _, name in names(stage)] == ["Inbox"]
    assert stage.ask("select needs_review, description from product_book") == [(False, None)]
    assert earned(stage) == 2000


def test_a_named_entry_follows_once_somebody_says_so(stage: Stage) -> None:
    """From then on it is called what the provider says; before, it is called what the person said."""
    stage.product("Mail", "prod_1")
    stage.play([stripe.product("prod_1", "Postbox", at=LONG_AGO)])
    with stage.engine.begin() as connection:
        follow_provider(connection, "stripe", "prod_1", follow=True, now=PAID_AT - DAY)
    stage.play([stripe.product("prod_1", "Inbox", at=PAID_AT + DAY), sold("in_1"), sold("in_2", at=PAID_AT + 2 * DAY)])
    assert [name for _, since, name in sorted(names(stage), key=lambda row: str(row[1]).replace("None", ""))] == [
        "Mail",
        "Postbox",
        "Inbox",
    ]
    assert [row[1] for row in stage.commissions()] == ["stripe:in_2"]
    with stage.engine.begin() as connection:
        follow_provider(connection, "stripe", "prod_1", follow=False, now=PAID_AT + 3 * DAY)
    stage.play([stripe.product("prod_1", "Letterbox", at=PAID_AT + 4 * DAY)])
    assert "Letterbox" not in {name for _, _, name in names(stage)}


def test_a_price_leads_to_its_products_entry(stage: Stage) -> None:
    """A plan of 2016, sold before anybody said which product it is of, counts as that product once it is said."""
    stage.play([sold(product="plan_old", price="plan_old")])
    assert names(stage) == [("plan_old", "None", "plan_old")]
    stage.play([stripe.price("plan_old", "prod_1", at=PAID_AT), stripe.product("prod_1", "Inbox", at=PAID_AT)])
    assert stage.ask("select alias from product_book_aliases") == [("plan_old",)]
    assert earned(stage) == 2000
    retired = stage.ask("select external_key, archived, needs_review from product_book order by 1")
    assert retired == [("plan_old", True, False), ("prod_1", False, True)]


def test_a_price_that_a_person_filed_elsewhere_stays_there(stage: Stage) -> None:
    """The provider's word moves no alias, and no entry that a person named after the price."""
    stage.product("Inbox", "prod_own", aliases=["price_a"])
    stage.product("Surveys", "price_b")
    stage.play([stripe.price("price_a", "prod_1"), stripe.price("price_b", "prod_1")])
    entry = stage.ask("select key from product_book where external_key = 'prod_own'")[0][0]
    assert stage.ask("select alias, key from product_book_aliases") == [("price_a", entry)]
    stage.play([sold(product="prod_1", price="price_a")])
    assert earned(stage) == 2000


def test_the_catalogue_told_twice_is_told_once(stage: Stage) -> None:
    """A replay of everything makes no version, asks for no judging, and books nothing."""
    stage.play([stripe.product("prod_1", "Inbox", at=LONG_AGO), stripe.price("price_1", "prod_1"), sold()])
    looked = "select (select count(*) from product_book_names), (select revision from program_revision)"
    before = stage.ask(looked), stage.commissions()
    stage.replay()
    assert (stage.ask(looked), stage.commissions()) == before
    assert stage.ask("select distinct state from inbox") == [("processed",)]


def test_what_a_description_is_about_is_shown(stage: Stage) -> None:
    """The inbox names the entry that an event described."""
    stage.play([stripe.product("prod_1", "Inbox", key="evt_p")])
    entry = stage.ask("select key from product_book")[0][0]
    assert stage.ask("select outcome -> 'product_book' from inbox where event_key = 'evt_p'") == [([entry],)]


def test_a_subscription_to_a_described_product_makes_no_second_entry(stage: Stage) -> None:
    """A sale and a description of one product meet in one entry, whichever comes first."""
    seen = stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_1")], at=PAID_AT)
    stage.play([seen, stripe.product("prod_1", "Inbox", at=LONG_AGO), stripe.product("prod_2", "Chat", at=LONG_AGO)])
    seen = stripe_events.subscription("sub_2", customer="cus_1", items=[item("prod_2")], at=PAID_AT)
    stage.play([seen])
    assert [name for _, _, name in names(stage)] == ["Inbox", "Chat"]
