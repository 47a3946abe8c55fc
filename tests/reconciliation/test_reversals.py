"""What takes money back is compared like what was paid, at either provider: no refund is lost with its webhook."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from infra.reconciliation.reporting import SECTIONS
from infra.settings import load_settings
from tests import stripe_examples as stripe
from tests.chargebee_site import ChargebeeSite
from tests.fake_stripe import FakeStripe
from tests.reconciliation.scene import DAY, TODAY, Scene, SceneOf, program, reconciler_on, set_up, state_of
from tests.reconciliation.taking_back import (
    LATER,
    TAKEN_AT,
    chargebee_stories,
    dispute,
    refund,
    stripe_bought,
    stripe_stories,
)
from tests.stripe_account import StripeAccount

AnyScene = SceneOf[ChargebeeSite] | Scene
NAMES = tuple(SECTIONS.values())


def stored(scene: AnyScene) -> list[tuple[object, ...]]:
    """What is in the inbox, however it came."""
    return scene.stage.ask("select event_key, state from inbox where provider <> 'program' order by 1")


STORIES = {"stripe": stripe_stories(), "chargebee": chargebee_stories()}


@pytest.mark.parametrize(("provider", "name"), [(provider, name) for provider in STORIES for name in STORIES[provider]])
def test_what_was_taken_back_unheard_is_made_up_for(
    request: pytest.FixtureRequest, server_url: str, template_database: str, provider: str, name: str
) -> None:
    """Refunded, failed, credited, void, disputed, won: the object tells, to the cent what the webhook would have; a
    second run finds nothing, and the webhook that comes after all changes nothing."""
    scene: AnyScene = request.getfixturevalue({"stripe": "scene", "chargebee": "site"}[provider])
    story = STORIES[provider][name]
    scene.stage.play(scene.account.happens(*story.delivered))
    lost = scene.account.happens(*story.lost)
    scene.account.loses(*(event["id"] for event in lost))
    report = scene.run()["report"]
    found = report[story.section]
    assert report["events"]["missing"] == 0
    assert found["keys"]["repaired"] == [story.key]
    assert found["keys"]["missing"] == ([] if story.differs else [story.key])
    assert tuple(each["field"] for each in found["differences"]) == story.differs
    assert {name: report[name]["unexplained"] for name in NAMES} == dict.fromkeys(NAMES, 0)
    assert sum(row[4] for row in scene.stage.commissions()) == story.earned
    with program(server_url, template_database) as other:
        other.play(story.all_told())
        assert state_of(other) == scene.state()
    before, rows = scene.state(), stored(scene)
    scene.now += DAY
    again = scene.run()["report"]
    counts = ("missing", "extra", "different", "waiting", "repaired", "unexplained")
    assert [[again[name][each] for each in counts] for name in NAMES] == [[0] * 6] * 5
    assert (scene.state(), stored(scene)) == (before, rows)
    scene.stage.play(lost)
    assert scene.state() == before
    assert scene.stage.ask("select state from inbox where state not in ('processed', 'ignored')") == []


def test_a_dry_run_names_what_was_taken_back(scene: Scene) -> None:
    """What is missing and what differs is named, and nothing is stored."""
    scene.stage.play(scene.account.happens(*stripe_bought(), refund()))
    scene.account.shows(refund("failed")["data"]["object"])
    scene.account.shows(dispute(-14800)["data"]["object"])
    before = stored(scene)
    report = scene.run(dry_run=True)["report"]
    assert report["refunds"]["differences"] == [{"key": "re_1", "field": "undone", "provider": 3700, "ours": 0}]
    assert report["disputes"]["keys"]["missing"] == ["dp_1"]
    assert [report[name]["keys"]["unexplained"] for name in NAMES] == [[], [], ["re_1"], [], ["dp_1"]]
    assert stored(scene) == before


def test_a_refund_that_names_only_its_payment_finds_its_invoice(engine: Engine, fake: FakeStripe) -> None:
    """Nothing that was delivered leads from the payment to the invoice: Stripe is asked, as for any event."""
    settings = load_settings({"STRIPE_API_KEY": "sk_test_1", "STRIPE_API_BASE": fake.api_base}, env_file=None)
    scene = Scene(set_up(engine, settings), StripeAccount(fake), None)  # type: ignore[arg-type]
    scene.reconciler = reconciler_on(engine, fake, scene)
    bought, link = stripe_bought()[:2], stripe_bought()[2]["data"]["object"]
    scene.stage.play(scene.account.happens(*bought))
    fake.lists["/v1/invoice_payments"] = [link]
    scene.account.shows(refund()["data"]["object"])
    assert scene.run()["report"]["refunds"]["keys"]["repaired"] == ["re_1"]
    assert [row[4] for row in scene.stage.commissions()] == [1485]
    made = scene.stage.ask("select event_type, livemode, state from inbox where event_key like 'rec%'")
    assert made == [("refund.updated", False, "processed")]  # a refund does not say of which mode it is; the key does


def test_a_long_credit_note_is_told_with_all_its_lines(scene: Scene) -> None:
    """A list shows a credit note's first lines: the others are fetched before anything is compared."""
    scene.stage.play(scene.account.happens(*stripe_bought()))
    lines = [stripe.note_line(f"cnli_{number}", 100, of="il_1") for number in range(15)]
    whole = stripe.credit_note("cn_1", "in_1", lines, made=stripe.second(TAKEN_AT))["data"]["object"]
    scene.fake.lists["/v1/credit_notes/cn_1/lines"] = lines
    scene.account.shows({**whole, "lines": {"object": "list", "data": lines[:10], "has_more": True}})
    assert scene.run()["report"]["credit_notes"]["keys"]["repaired"] == ["cn_1"]
    assert [row[4] for row in scene.stage.commissions()] == [1680]


def test_what_a_person_ignored_is_not_told_again(scene: Scene) -> None:
    """A refund whose event somebody put aside waits for that reason, and nothing is made up."""
    scene.stage.play(scene.account.happens(*stripe_bought()))
    told = scene.account.happens(refund())
    scene.stage.store(told)
    put_aside = "update inbox set state = 'ignored', reason = 'why not', next_attempt_at = null where event_key = :key"
    with scene.stage.engine.begin() as connection:
        connection.execute(text(put_aside), {"key": told[0]["id"]})
    before = stored(scene)
    found = scene.run()["report"]["refunds"]
    assert (found["keys"]["waiting"], found["missing"], found["repaired"], found["unexplained"]) == (["re_1"], 0, 0, 0)
    assert stored(scene) == before


def test_what_was_disputed_before_our_time_is_let_be(scene: Scene) -> None:
    """What is older than the window is compared only where we know its payment: then it is told, however old."""
    scene.account.shows(dispute(-14800, made=TODAY - 80 * DAY)["data"]["object"])
    report = scene.run()["report"]
    assert (report["disputes"]["provider"], report["disputes"]["missing"]) == (0, 0)
    assert stored(scene) == []
    scene.stage.play(scene.account.happens(*stripe_bought(TODAY - 81 * DAY)))
    scene.now += DAY
    assert scene.run()["report"]["disputes"]["keys"]["repaired"] == ["dp_1"]
    assert scene.stage.commissions() == []


def test_a_reversal_that_nobody_has_is_extra_while_it_takes_something(scene: Scene) -> None:
    """A refund that Stripe does not know when asked by its id is for a person to look at; once undone it is not."""
    scene.stage.play(scene.account.happens(*stripe_bought()))
    scene.stage.play([refund()])
    found = scene.run()["report"]["refunds"]
    assert (found["keys"]["extra"], found["keys"]["unexplained"], found["ours"]) == (["re_1"], ["re_1"], 1)
    assert "/v1/refunds/re_1" in {request.path for request in scene.fake.requests}
    scene.stage.play([refund("failed", LATER)])
    scene.now += DAY
    found = scene.run()["report"]["refunds"]
    assert (found["extra"], found["ours"]) == (0, 0)


def test_what_we_were_told_since_the_list_counts(scene: Scene) -> None:
    """A refund that failed while Stripe was being read is not different for it; one that failed before is."""
    scene.stage.play(scene.account.happens(*stripe_bought(), refund()))
    scene.stage.play([refund("failed", TODAY - timedelta(seconds=1))])  # its list does not show it yet
    assert scene.run()["report"]["refunds"]["different"] == 0
    scene.now += DAY
    found = scene.run()["report"]["refunds"]
    assert found["differences"] == [{"key": "re_1", "field": "undone", "provider": 0, "ours": 3700}]
    rows = stored(scene)
    scene.now += DAY
    assert scene.run()["report"]["refunds"]["keys"]["unexplained"] == ["re_1"]
    assert stored(scene) == rows  # told once, which mends nothing: amounts only grow


def test_reversals_that_may_not_be_listed_are_left_out_and_named(scene: Scene) -> None:
    """A key without the right to read disputes still compares the rest, and ours are not called extra."""
    scene.stage.play(scene.account.happens(*stripe_bought(), dispute(-14800)))
    scene.account.shows(refund()["data"]["object"])
    del scene.fake.lists["/v1/disputes"]
    report = scene.run()["report"]
    assert report["refused"] == {"disputes": "Stripe refused /v1/disputes with status 404"}
    assert (report["disputes"]["ours"], report["disputes"]["extra"]) == (0, 0)
    assert report["refunds"]["keys"]["repaired"] == ["re_1"]
