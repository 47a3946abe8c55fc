"""Chargebee's books beside ours: gaps filled from its event list, and objects that tell what no event did."""

from datetime import timedelta

import pytest

from domain.windows import epoch_ms
from infra.reconciliation.reporting import SECTIONS
from tests import chargebee_events as chargebee
from tests.chargebee_life import Life, at
from tests.fake_stripe import Trouble
from tests.reconciliation.chargebee_scene import (
    CHAT,
    INBOX,
    Scene,
    bought,
    cancelled,
    catalogue,
    customer,
    invoice,
    paid,
    subscription,
)
from tests.reconciliation.scene import DAY, TODAY, program, state_of

HOUR = timedelta(hours=1)
_STORED = "select event_key, state from inbox where provider = 'chargebee' order by 1"


@pytest.fixture
def scene(site: Scene) -> Scene:
    """Chargebee's alone."""
    return site


def dark_for_four_days(scene: Scene) -> None:
    """Some of it was delivered, what happened in the last four days was not."""
    scene.account.happens(*catalogue(TODAY - 20 * DAY))
    for number in range(1, 5):
        scene.account.happens(*bought(number, TODAY - 10 * DAY + number * HOUR))
    delivered = scene.account.without(())
    scene.account.happens(*bought(5, TODAY - 3 * DAY), paid("inv_99", 2, TODAY - DAY))
    scene.account.happens(cancelled(1, TODAY - 2 * DAY, TODAY - 10 * DAY))
    scene.stage.play(delivered)


def test_an_endpoint_dark_for_four_days_ends_where_delivery_would_have(
    scene: Scene, server_url: str, template_database: str
) -> None:
    """Reconciled, the state has the very hash that it has where every webhook came; nothing else had to be repaired."""
    dark_for_four_days(scene)
    with program(server_url, template_database) as other:
        other.play(scene.account.without(()))
        assert state_of(other) != scene.state()
        run = scene.run()
        assert run["state"] == "finished"
        assert scene.state() == state_of(other)
    report = run["report"]
    assert (report["events"]["listed"], report["events"]["missing"], report["events"]["lost"]) == (18, 5, None)
    for kind in SECTIONS.values():
        found = report[kind]
        counts = [found[name] for name in ("missing", "extra", "different", "repaired", "unexplained")]
        assert counts == [0] * 5, kind
    (money,) = report["money"]
    assert (money["provider"], money["ours"], report["ties_out"]) == (6 * 14800, 6 * 14800, True)
    assert money["buckets"] == [
        {"bucket": "commissioned", "reason": None, "lines": 6, "amount": 6 * 9900},
        {"bucket": "excluded", "reason": "no trigger fired on it", "lines": 6, "amount": 6 * 4900},
    ]


def test_the_watermark_moves_with_the_last_page_and_looks_back_an_hour(scene: Scene) -> None:
    """A list that breaks off moves no watermark; the next run lists again what happened in the hour before the last."""
    for number in range(1, 60):
        scene.account.happens(*bought(number, TODAY - DAY + number * timedelta(minutes=1)))
    scene.request(scope="events")
    scene.fake.troubles += [Trouble(), Trouble(500)]
    scene.steps()
    scene.steps()
    assert scene.stage.ask("select count(*) from inbox where provider = 'chargebee'") == [(100,)]
    assert scene.stage.ask("select provider from watermarks") == []
    scene.now += HOUR
    scene.steps()
    assert scene.stage.ask("select provider, listed_until from watermarks") == [("chargebee", TODAY)]
    assert scene.stage.ask("select count(*) from inbox where provider = 'chargebee'") == [(3 * 59,)]
    scene.steps()
    scene.account.happens(*bought(60, TODAY - timedelta(minutes=59)))
    report = scene.run(scope="events")["report"]
    assert (report["events"]["listed"], report["events"]["missing"]) == (3, 3)


def test_events_from_90_days_ago_on_are_listed(scene: Scene) -> None:
    """The first list goes back as far as Chargebee keeps events."""
    scene.account.happens(*bought(1, TODAY - 91 * DAY), *bought(2, TODAY - 89 * DAY))
    scene.account.forget_events(TODAY.timestamp())
    report = scene.run(scope="events")["report"]
    assert report["window"]["since"] == epoch_ms(TODAY - 90 * DAY + HOUR)
    assert report["events"]["missing"] == 3


def test_what_no_event_tells_the_objects_do(scene: Scene) -> None:
    """Beyond the event list subscriptions, paid invoices and whose they are come from objects, dated as they say."""
    long_ago = TODAY - 120 * DAY
    scene.account.happens(*catalogue(TODAY - DAY), *bought(1, long_ago), *bought(2, long_ago))
    scene.account.shows(invoice("inv_11", 1, TODAY - 2 * DAY))
    scene.account.happens(cancelled(2, long_ago + DAY, long_ago))
    scene.account.forget_events(TODAY.timestamp())
    report = scene.run(since=TODAY - 150 * DAY)["report"]
    assert report["events"]["missing_by_type"] == {"item_price_created": 1}
    assert report["subscriptions"]["keys"]["repaired"] == ["sub_1", "sub_2"]
    assert report["invoices"]["keys"]["repaired"] == ["inv_1", "inv_11", "inv_2"]
    assert (report["subscriptions"]["unexplained"], report["invoices"]["unexplained"], report["ties_out"]) == (
        0,
        0,
        True,
    )
    made = scene.stage.ask("select event_key, event_type from inbox where provider = 'chargebee' order by 2, 1")
    assert [kind for _, kind in made] == [
        "customer_changed", "customer_changed", "invoice_updated", "invoice_updated", "invoice_updated",
        "item_price_created", "subscription_cancelled", "subscription_changed",
    ]  # fmt: skip
    assert all(key.startswith("rec_") for key, kind in made if kind != "item_price_created")
    assert {row[0] for row in scene.stage.ask("select purchased_at from products")} == {long_ago}
    assert scene.stage.products() == {
        f"sub_1/{CHAT}": "active", f"sub_1/{INBOX}": "active", f"sub_2/{CHAT}": "churned", f"sub_2/{INBOX}": "churned",
    }  # fmt: skip
    assert [row[1:4] for row in scene.stage.commissions()] == [
        ("chargebee:inv_1", f"sub_1/{INBOX}", "grace"),
        ("chargebee:inv_11", f"sub_1/{INBOX}", "grace"),
        ("chargebee:inv_2", f"sub_2/{INBOX}", "ada"),
    ]
    before = (scene.state(), scene.stage.ask(_STORED))
    scene.now += DAY
    again = scene.run(since=TODAY - 150 * DAY)["report"]
    assert (again["subscriptions"]["different"], again["invoices"]["repaired"]) == (0, 0)
    assert (scene.state(), scene.stage.ask(_STORED)) == before


def test_both_sides_name_what_is_sold_by_its_item_price(scene: Scene) -> None:
    """That the book knows the item and Chargebee names a price of it makes no difference between the two sides."""
    scene.stage.play(scene.account.happens(*catalogue(TODAY - 9 * DAY), *bought(1, TODAY - 8 * DAY)))
    items = [chargebee.ItemExample(INBOX, 29700, quantity=3), chargebee.ItemExample("surveys-USD", 3900, kind="addon")]
    changed = chargebee.subscription(
        "sub_1", "cust_1", items, at=TODAY - DAY, status="non_renewing",
        created_at=chargebee.second(TODAY - 8 * DAY), activated_at=chargebee.second(TODAY - 8 * DAY),
    )  # fmt: skip
    scene.account.shows(changed)
    report = scene.run()["report"]
    differences = {each["field"]: (each["provider"], each["ours"]) for each in report["subscriptions"]["differences"]}
    assert differences == {
        f"items[{CHAT}].amount": (None, 4900),
        f"items[{CHAT}].prices": (None, CHAT),
        f"items[{CHAT}].quantity": (None, 1),
        f"items[{INBOX}].amount": (29700, 9900),
        f"items[{INBOX}].quantity": (3, 1),
        "items[surveys-USD].amount": (3900, None),
        "items[surveys-USD].prices": ("surveys-USD", None),
        "items[surveys-USD].quantity": (1, None),
        "provider_status": ("non_renewing", "active"),
    }
    assert report["subscriptions"]["keys"]["repaired"] == ["sub_1"]
    assert scene.stage.products() == {
        f"sub_1/{CHAT}": "churned", f"sub_1/{INBOX}": "active", "sub_1/surveys-USD": "active",
    }  # fmt: skip
    changed_at = scene.stage.ask("select effective_at from product_history where status = 'churned'")
    assert changed_at == [(TODAY - DAY,)]
    assert len(scene.stage.commissions()) == 1


def test_the_higher_version_counts_whatever_moment_it_is_dated_to(scene: Scene) -> None:
    """A cancellation dated back is what we have, and a version above the shown one is not undone by it."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY), *bought(2, TODAY - 9 * DAY)))
    renewed = chargebee.event(
        "subscription_renewed", TODAY - 2 * DAY, subscription=subscription(1, TODAY - 2 * DAY, TODAY - 9 * DAY)
    )
    dated_back = cancelled(1, TODAY - DAY, TODAY - 9 * DAY, cancelled_at=chargebee.second(TODAY - 4 * DAY))
    scene.stage.play(scene.account.happens(renewed, dated_back))
    scene.stage.play([cancelled(2, TODAY + HOUR, TODAY - 9 * DAY)])  # our clock is slow; its list is a moment old
    report = scene.run()["report"]
    assert (report["subscriptions"]["different"], report["subscriptions"]["unexplained"]) == (0, 0)
    assert set(scene.stage.products().values()) == {"churned"}


def test_a_deleted_subscription_is_over(scene: Scene) -> None:
    """Chargebee lists what was deleted, as deleted: a lost event of it is made up for."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY)))
    scene.account.shows(subscription(1, TODAY - DAY, TODAY - 9 * DAY, deleted=True))
    report = scene.run()["report"]
    assert report["subscriptions"]["keys"]["repaired"] == ["sub_1"]
    assert set(scene.stage.products().values()) == {"churned"}


def test_tax_and_rounding_are_no_part_of_what_was_sold(scene: Scene) -> None:
    """Tax that is added, tax that is included and cents that cash was rounded by: the totals tie out without them."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY)))
    lines = [chargebee.line(INBOX, 11900, discount=1000, tax=1900)]
    included = {"price_type": "tax_inclusive"}
    scene.account.shows(chargebee.invoice("in_1", "cust_1", lines, at=TODAY - DAY))
    scene.account.shows(chargebee.invoice("in_2", "cust_1", lines, at=TODAY - DAY, **included))
    rounded = chargebee.invoice("in_3", "cust_1", [chargebee.line(INBOX, 998)], at=TODAY - DAY)
    scene.account.shows(rounded | {"total": 1000, "round_off_amount": 2})
    report = scene.run()["report"]
    assert report["invoices"]["keys"]["repaired"] == ["in_1", "in_2", "in_3"]
    assert report["money"][0]["provider"] == 14800 + 10900 + 9000 + 998
    assert report["ties_out"]


def test_long_invoices_are_compared_with_all_their_lines(scene: Scene) -> None:
    """A list shows an invoice's first lines: the others are fetched before anything is compared."""
    scene.account.happens(chargebee.event("customer_created", TODAY - DAY, customer=customer(1, TODAY - DAY)))
    lines = [chargebee.line(f"price_{number}", 100) for number in range(120)]
    scene.account.shows(chargebee.invoice("in_7", "cust_1", lines, at=TODAY - DAY))
    report = scene.run()["report"]
    assert report["invoices"]["keys"]["repaired"] == ["in_7"]
    assert (report["money"][0]["provider"], report["ties_out"]) == (12000, True)
    assert scene.stage.ask("select count(*) from transaction_lines") == [(120,)]


def test_told_to_slow_down_it_goes_on_when_it_may(scene: Scene) -> None:
    """After 429 nothing is asked before the time that Chargebee named, and then the page that was refused."""
    for number in range(1, 45):
        scene.account.happens(*bought(number, TODAY - DAY + number * timedelta(minutes=1)))
    scene.fake.troubles += [Trouble(), Trouble(429, headers={"Retry-After": "120"})]
    run_id = scene.request(scope="events")
    scene.steps()
    scene.steps()
    scene.steps()
    assert len(scene.fake.requests) == 2
    assert scene.read(run_id)["next_attempt_at"] >= epoch_ms(TODAY + timedelta(seconds=120))
    scene.now += timedelta(seconds=119)
    scene.steps()
    assert len(scene.fake.requests) == 2
    scene.now += HOUR
    scene.steps()
    assert scene.fake.requests[2].query == scene.fake.requests[1].query
    assert scene.stage.ask("select count(*) from inbox where provider = 'chargebee'") == [(132,)]


@pytest.mark.parametrize("catalog", [1, 2])
@pytest.mark.parametrize("kept", ["all", "half", "none"])
def test_a_whole_life_is_made_up_for(
    scene: Scene, server_url: str, template_database: str, catalog: int, kept: str
) -> None:
    """Trial, swap, credits, refund, cancellation, reactivation, of either catalog: all, half or none delivered, the
    list of events makes it whole, and neither side has anything that the other has not."""
    scene.now = at(5, 1, 3600)  # less than 90 days after the first of it
    sold = ("chat", "chat-item")[catalog - 1]
    scene.stage.product("Live Chat", sold)
    events = scene.account.happens(*Life(catalog).events())
    scene.stage.play({"all": events, "half": [*events[:2], *events[3::2]], "none": []}[kept])
    with program(server_url, template_database) as other:
        other.product("Live Chat", sold)
        other.play(events)
        report = scene.run()["report"]
        assert scene.state() == state_of(other)
    for kind in SECTIONS.values():
        counts = [report[kind][name] for name in ("missing", "extra", "different", "waiting", "unexplained")]
        assert counts == [0] * 5, report[kind]
    assert report["ties_out"]


@pytest.mark.parametrize("told", [True, False])
def test_a_void_invoice_is_taken_back_and_no_longer_extra(scene: Scene, *, told: bool) -> None:
    """Void after it was paid: told by an event or only by the invoice itself, both sides agree that nothing is left."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY)))
    void = invoice("inv_1", 1, TODAY - DAY, status="voided", paid_at=chargebee.second(TODAY - 9 * DAY))
    void["date"] = chargebee.second(TODAY - 9 * DAY)
    if told:
        scene.stage.play(scene.account.happens(chargebee.event("invoice_updated", TODAY - DAY, invoice=void)))
    scene.account.shows(void)
    found = scene.run()["report"]["invoices"]
    assert found["keys"]["repaired"] == ([] if told else ["inv_1"])
    assert (found["provider"], found["ours"], found["unexplained"]) == (0, 0, 0)
    assert scene.stage.commissions() == []
    before = (scene.state(), scene.stage.ask(_STORED))
    scene.now += DAY
    assert scene.run()["report"]["invoices"]["extra"] == 0
    assert (scene.state(), scene.stage.ask(_STORED)) == before


def test_ours_outside_the_list_is_asked_for_by_its_key(scene: Scene) -> None:
    """An invoice dated before the window and paid in it is there when asked for; what cannot be asked for is extra."""
    early = paid("inv_5", 1, TODAY - DAY)
    early["content"]["invoice"]["date"] -= 100 * 86_400
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY), early))
    scene.stage.play([paid("inv_6", 1, TODAY - DAY), paid("2026/7", 1, TODAY - DAY)])
    run = scene.run()
    found = run["report"]["invoices"]
    assert (run["state"], found["provider"], found["ours"]) == ("finished", 2, 4)
    assert found["keys"]["extra"] == found["keys"]["unexplained"] == ["2026/7", "inv_6"]
    assert {"/api/v2/invoices/inv_5", "/api/v2/invoices/inv_6"} <= {request.path for request in scene.fake.requests}


def test_an_invoice_that_nobody_has_is_extra_until_it_is_taken_back(scene: Scene) -> None:
    """Chargebee shows nothing of a deleted invoice: without a word about it a person has to look."""
    scene.stage.play(bought(1, TODAY - 9 * DAY))
    report = scene.run()["report"]
    assert report["invoices"]["keys"]["unexplained"] == ["inv_1"]
    scene.stage.play([chargebee.event("invoice_deleted", TODAY - DAY, invoice=invoice("inv_1", 1, TODAY - DAY))])
    scene.now += DAY
    report = scene.run()["report"]
    assert (report["invoices"]["extra"], report["invoices"]["ours"]) == (0, 0)
    assert scene.stage.commissions() == []
