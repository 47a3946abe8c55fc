"""What is true of a reconciliation whichever provider's books it reads."""

from datetime import timedelta

from tests.fake_stripe import Trouble
from tests.reconciliation.either import Either
from tests.reconciliation.scene import DAY, TODAY

HOUR = timedelta(hours=1)


def test_what_a_webhook_brings_later_is_a_duplicate(either: Either) -> None:
    """An event that the list brought is the inbox row that the webhook would have made, and is believed as it is."""
    scene = either.scene
    events = scene.account.happens(*either.bought(1, TODAY - DAY))
    scene.run(scope="events")
    columns = "event_key, event_type, account, livemode, api_version, occurred_at, state, secret_fingerprint"
    listed = scene.stage.ask(f"select {columns} from inbox where provider = :name order by 1", name=scene.provider)
    assert listed == sorted(
        (event["id"], event.get("event_type") or event["type"], None, *either.rendered, TODAY - DAY, "processed", None)
        for event in events
    )
    scene.stage.store(events)
    of_whom = "select reconciliation_id is null, count(*) from inbox where provider = :name group by 1"
    assert scene.stage.ask(of_whom, name=scene.provider) == [(False, 3)]


def test_a_dry_run_says_what_it_would_store_and_stores_nothing(either: Either) -> None:
    """A dry run names what the inbox lacks and what differs; the inbox and the watermark stay as they were."""
    scene = either.scene
    scene.stage.play(scene.account.happens(*either.bought(1, TODAY - 2 * DAY)))
    gone = either.cancelled(1, TODAY - HOUR, TODAY - 2 * DAY)
    missing = scene.account.happens(*either.bought(2, TODAY - DAY), gone)
    before = (scene.state(), scene.stage.ask("select count(*) from inbox"))
    report = scene.run(dry_run=True)["report"]
    assert report["events"]["missing"] == len(missing)
    assert sorted(report["events"]["keys"]) == sorted(event["id"] for event in missing)
    assert report["subscriptions"]["keys"]["missing"] == ["sub_2"]
    assert report["subscriptions"]["keys"]["unexplained"] == ["sub_1", "sub_2"]
    assert report["invoices"]["keys"]["missing"] == [f"{either.invoice}2"]
    assert report["ties_out"] is False
    assert (scene.state(), scene.stage.ask("select count(*) from inbox")) == before
    assert scene.stage.ask("select listed_until from watermarks") == []


def test_a_list_that_is_refused_is_left_out_and_named(either: Either) -> None:
    """A key that may read events and not subscriptions still fills gaps; what was not listed is not called extra."""
    scene, path = either.scene, f"{either.lists}subscriptions"
    scene.stage.play(scene.account.happens(*either.bought(1, TODAY - 9 * DAY)))
    scene.account.happens(*either.bought(2, TODAY - DAY))
    del scene.fake.lists[path]
    run = scene.run()
    assert run["state"] == "finished"
    assert run["report"]["refused"] == {
        "subscriptions": f"{scene.provider.capitalize()} refused {path} with status 404"
    }  # fmt: skip
    assert (run["report"]["subscriptions"]["extra"], run["report"]["events"]["missing"]) == (0, 3)
    assert run["report"]["invoices"]["provider"] == 2


def test_no_trouble_of_the_providers_ends_a_run(either: Either) -> None:
    """Slow down, failures, silence and nonsense: each is tried again later, page by page, and all is found."""
    scene = either.scene
    for number in range(1, 45):
        scene.account.happens(*either.bought(number, TODAY - DAY + number * timedelta(minutes=1)))
    nonsense = Trouble(body=b"<html>busy</html>", headers={"Content-Type": "text/html"})
    scene.fake.troubles += [
        Trouble(429), Trouble(), Trouble(500), Trouble(503), nonsense, Trouble(), Trouble(delay_s=3), Trouble(429),
        Trouble(body=b'{"data": {}, "list": {}}'), Trouble(), Trouble(502),
    ]  # fmt: skip
    report = scene.run()["report"]
    assert report["refused"] == {}
    counts = (report["events"]["missing"], report["subscriptions"]["provider"], report["invoices"]["ours"])
    assert (counts, report["ties_out"]) == ((132, 44, 44), True)
