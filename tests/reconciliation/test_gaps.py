"""What webhooks did not deliver is found in the event list and goes the way of every event."""

from datetime import timedelta

from infra.reconciliation.reporting import SECTIONS
from tests.builders import stripe_events
from tests.fake_stripe import Trouble
from tests.reconciliation.scene import DAY, TODAY, Scene, bought, cancelled, paid, program, state_of

HOUR = timedelta(hours=1)


def happen(scene: Scene, events: list[stripe_events.Event]) -> None:
    """Let something happen at the provider."""
    scene.account.happens(*events)


def test_an_endpoint_dark_for_four_days_is_made_up_for(scene: Scene) -> None:
    """Nothing was delivered for four days: afterwards all is as if everything had been; a second run finds nothing."""
    for number in range(1, 6):
        scene.account.happens(*bought(number, TODAY - 10 * DAY + number * HOUR))
    delivered = scene.account.without(())
    for number in range(6, 9):
        scene.account.happens(*bought(number, TODAY - 3 * DAY + number * HOUR))
    scene.account.happens(cancelled(1, TODAY - 2 * DAY, TODAY - 10 * DAY), paid("in_99", 2, TODAY - DAY))
    scene.stage.play(delivered)
    run = scene.run()
    assert run["state"] == "finished"
    events = run["report"]["events"]
    assert (events["listed"], events["missing"], events["lost"]) == (26, 11, None)
    for kind in SECTIONS.values():
        found = run["report"][kind]
        assert (found["missing"], found["different"], found["repaired"], found["unexplained"]) == (0, 0, 0, 0), kind
    (money,) = run["report"]["money"]
    assert (money["provider"], money["ours"], money["ties_out"]) == (9 * 14800, 9 * 14800, True)
    assert money["buckets"] == [
        {"bucket": "commissioned", "reason": None, "lines": 9, "amount": 9 * 9900},
        {"bucket": "excluded", "reason": "no trigger fired on it", "lines": 9, "amount": 9 * 4900},
    ]
    assert run["report"]["ties_out"]
    before = scene.state()
    scene.stage.play(scene.account.without(()))  # and now the webhooks, late: duplicates
    scene.now += DAY
    assert scene.run()["report"]["events"]["missing"] == 0
    assert scene.state() == before


def test_filling_the_gap_ends_where_delivery_would_have(scene: Scene, server_url: str, template_database: str) -> None:
    """Reconciled after four dark days, the state has the very hash that it has where everything was delivered."""
    for number in range(1, 5):
        scene.account.happens(*bought(number, TODAY - 10 * DAY + number * HOUR))
    dark = scene.account.happens(*bought(5, TODAY - 3 * DAY), cancelled(1, TODAY - 2 * DAY, TODAY - 10 * DAY))
    scene.stage.play(scene.account.without(event["id"] for event in dark))
    with program(server_url, template_database) as other:
        other.play(scene.account.without(()))
        assert state_of(other) != scene.state()
        scene.run()
        assert scene.state() == state_of(other)


def test_an_event_that_says_nothing_here_is_not_stored(scene: Scene) -> None:
    """The list has events of every type; those without a meaning here are counted and left there."""
    (event,) = scene.account.happens(stripe_events.customer("cus_1", at=TODAY - DAY))
    scene.account.events.append({**event, "id": "evt_other", "type": "balance.available"})
    report = scene.run(scope="events")["report"]
    assert (report["events"]["listed"], report["events"]["missing"]) == (2, 1)
    assert report["events"]["missing_by_type"] == {"customer.created": 1}
    assert scene.stage.ask("select event_key from inbox where provider = 'stripe'") == [(event["id"],)]


def test_a_list_that_changes_while_it_is_paged_leaves_no_gap(scene: Scene) -> None:
    """What happens while somebody pages, or shows up late, is found by the next run: the watermark stays behind it."""
    for number in range(1, 80):
        scene.account.happens(*bought(number, TODAY - DAY + number * timedelta(minutes=1)))
    late = bought(80, TODAY - timedelta(minutes=2))
    new = bought(81, TODAY)
    scene.fake.meanwhile += [lambda: None, lambda: happen(scene, [*late, *new])]
    first = scene.run(scope="events")["report"]["events"]
    assert first["missing"] == 3 * 79
    scene.now += HOUR
    second = scene.run(scope="events")["report"]["events"]
    assert second["missing"] == 6
    assert second["listed"] < 3 * 79
    assert scene.stage.ask("select count(*) from products where provider = 'stripe'") == [(2 * 81,)]


def test_the_watermark_moves_only_when_all_pages_are_stored(scene: Scene) -> None:
    """A list that breaks off after its first page moves no watermark; the whole list does, once it is in the inbox."""
    for number in range(1, 60):
        scene.account.happens(*bought(number, TODAY - DAY + number * timedelta(minutes=1)))
    scene.request(scope="events")
    scene.fake.troubles += [Trouble(), Trouble(500)]
    scene.steps()
    scene.steps()
    assert scene.stage.ask("select count(*) from inbox where provider = 'stripe'") == [(100,)]
    assert scene.stage.ask("select listed_until from watermarks") == []
    scene.now += HOUR
    scene.steps()
    assert scene.stage.ask("select listed_until from watermarks") == [(TODAY,)]
    assert scene.stage.ask("select count(*) from inbox where provider = 'stripe'") == [(3 * 59,)]


def test_a_run_asked_to_look_from_later_on_moves_no_watermark(scene: Scene) -> None:
    """What lies before `since` was not listed: the schedule still has to."""
    scene.account.happens(*bought(1, TODAY - 9 * DAY), *bought(2, TODAY - DAY))
    assert scene.run(since=TODAY - 2 * DAY, scope="events")["report"]["events"]["missing"] == 3
    assert scene.stage.ask("select listed_until from watermarks") == []
    assert scene.run(scope="events")["report"]["events"]["missing"] == 3


def test_a_page_that_a_dropped_event_led_to_is_begun_anew(scene: Scene) -> None:
    """Stripe refuses to go on after an event that it keeps no longer: the list is begun again, and nothing is lost."""
    for number in range(1, 60):
        scene.account.happens(*bought(number, TODAY - DAY + number * timedelta(minutes=1)))
    hundredth = scene.account.events[99]
    scene.fake.meanwhile.append(lambda: scene.account.events.remove(hundredth))
    run = scene.run(scope="events")
    assert (run["state"], run["report"]["refused"]) == ("finished", {})
    assert run["report"]["events"]["listed"] == 3 * 59 - 1
    assert scene.stage.ask("select count(*) from inbox where provider = 'stripe'") == [(3 * 59,)]
