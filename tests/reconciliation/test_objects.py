"""What no event tells is seen in the objects themselves, and repaired as if an event had told it."""

from datetime import timedelta

from sqlalchemy import text

from domain.windows import epoch_ms
from tests.builders import item, line, stripe_events
from tests.reconciliation.scene import DAY, TODAY, Scene, bought, cancelled, customer, paid

HOUR = timedelta(hours=1)
LONG_AGO = TODAY - 45 * DAY


def outage(scene: Scene) -> None:
    """Nothing was delivered for 31 days and more, and Stripe keeps the events of only 30."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 60 * DAY)))
    scene.run()
    scene.account.happens(*bought(2, LONG_AGO), cancelled(1, LONG_AGO + DAY, TODAY - 60 * DAY))
    scene.account.happens(paid("in_22", 2, TODAY - 10 * DAY))


def test_after_31_days_the_objects_tell_and_the_report_says_what_is_lost(scene: Scene) -> None:
    """Beyond the event list, subscriptions, paid invoices and who the customer is come from the objects."""
    scene.now = TODAY - 50 * DAY
    outage(scene)
    watermark = scene.stage.ask("select listed_until from watermarks")[0][0]
    scene.now = TODAY
    scene.account.forget_events(TODAY.timestamp())
    report = scene.run()["report"]
    assert report["events"]["missing_by_type"] == {"invoice.paid": 1}
    assert report["events"]["lost"]["since"] == epoch_ms(watermark)
    assert report["events"]["lost"]["until"] == epoch_ms(TODAY - 30 * DAY + HOUR)
    assert report["subscriptions"]["keys"] == {
        "missing": ["sub_2"], "extra": [], "waiting": [], "repaired": ["sub_1", "sub_2"], "unexplained": [],
    }  # fmt: skip
    assert report["invoices"]["keys"]["repaired"] == ["in_2"]
    assert report["ties_out"]
    assert scene.stage.products() == {
        "sub_1/prod_chat": "churned", "sub_1/prod_inbox": "churned",
        "sub_2/prod_chat": "active", "sub_2/prod_inbox": "active",
    }  # fmt: skip
    ended = scene.stage.ask("select effective_at from product_history where status = 'churned'")
    assert {row[0] for row in ended} == {LONG_AGO + DAY}
    bought_at = "select purchased_at from products where subscription_key = 'sub_2'"
    assert {row[0] for row in scene.stage.ask(bought_at)} == {LONG_AGO}
    assert [row[1:] for row in scene.stage.commissions()] == [
        ("stripe:in_1", "sub_1/prod_inbox", "grace", 1980, "usd"),
        ("stripe:in_2", "sub_2/prod_inbox", "ada", 1980, "usd"),
        ("stripe:in_22", "sub_2/prod_inbox", "ada", 1980, "usd"),
    ]


def test_repairing_the_same_again_stores_nothing(scene: Scene) -> None:
    """A second run finds both sides alike and asks for no repair."""
    scene.now = TODAY - 50 * DAY
    outage(scene)
    scene.now = TODAY
    scene.account.forget_events(TODAY.timestamp())
    scene.run()
    before = (scene.state(), scene.stage.ask("select count(*) from inbox where provider = 'stripe'"))
    scene.now += DAY
    report = scene.run()["report"]
    for kind in ("subscriptions", "invoices"):
        assert (report[kind]["missing"], report[kind]["different"], report[kind]["repaired"]) == (0, 0, 0)
    assert (scene.state(), scene.stage.ask("select count(*) from inbox where provider = 'stripe'")) == before


def test_what_the_provider_has_otherwise_becomes_what_it_has(scene: Scene) -> None:
    """A status, a quantity and an item that no event told of are told by the object, as of now."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY)))
    items = [item("prod_inbox", amount=9900, quantity=3), item("prod_surveys", amount=3900)]
    changed = stripe_events.subscription(
        "sub_1", customer="cus_1", items=items, status="past_due", at=TODAY - DAY, started_at=TODAY - 9 * DAY
    )
    scene.account.shows(changed["data"]["object"])
    report = scene.run()["report"]
    differences = {each["field"]: (each["provider"], each["ours"]) for each in report["subscriptions"]["differences"]}
    assert differences == {
        "items[prod_chat].amount": (None, 4900),
        "items[prod_chat].prices": (None, "price_chat"),
        "items[prod_chat].quantity": (None, 1),
        "items[prod_inbox].amount": (29700, 9900),
        "items[prod_inbox].quantity": (3, 1),
        "items[prod_surveys].amount": (3900, None),
        "items[prod_surveys].prices": ("price_surveys", None),
        "items[prod_surveys].quantity": (1, None),
        "provider_status": ("past_due", "active"),
    }
    assert report["subscriptions"]["keys"]["repaired"] == ["sub_1"]
    assert scene.stage.products() == {
        "sub_1/prod_chat": "churned", "sub_1/prod_inbox": "active", "sub_1/prod_surveys": "active",
    }  # fmt: skip
    (since,) = scene.stage.ask("select effective_at from product_history where status = 'churned'")[0]
    assert since == TODAY - timedelta(seconds=2)


def test_an_event_that_is_younger_than_the_list_counts(scene: Scene) -> None:
    """What happened while the provider was being read is not undone by what it showed a moment before."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY)))
    scene.stage.play([cancelled(1, TODAY - timedelta(seconds=1), TODAY - 9 * DAY)])  # its list does not show it yet
    report = scene.run()["report"]
    assert (report["subscriptions"]["different"], report["subscriptions"]["unexplained"]) == (0, 0)
    assert set(scene.stage.products().values()) == {"churned"}


def test_what_cannot_be_made_alike_is_unexplained(scene: Scene) -> None:
    """A subscription that ended for good here and lives there is reported, run after run, and stored once."""
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY)))
    scene.stage.play([cancelled(1, TODAY - DAY, TODAY - 9 * DAY)])
    assert scene.run()["report"]["subscriptions"]["keys"]["unexplained"] == ["sub_1"]
    count = scene.stage.ask("select count(*) from inbox where provider = 'stripe'")
    scene.now += DAY
    assert scene.run()["report"]["subscriptions"]["keys"]["unexplained"] == ["sub_1"]
    assert scene.stage.ask("select count(*) from inbox where provider = 'stripe'") == count


def test_ours_outside_the_list_is_asked_for_by_its_key(scene: Scene) -> None:
    """An invoice made before the window and paid in it is there when asked for; what nobody has is extra."""
    early = paid("in_5", 1, TODAY - DAY)
    early["data"]["object"]["created"] -= 60 * 86_400
    scene.stage.play(scene.account.happens(*bought(1, TODAY - 9 * DAY), early))
    scene.stage.play([paid("in_6", 1, TODAY - DAY)])
    report = scene.run()["report"]
    assert (report["invoices"]["provider"], report["invoices"]["ours"]) == (2, 3)
    assert report["invoices"]["keys"]["extra"] == report["invoices"]["keys"]["unexplained"] == ["in_6"]
    assert report["invoices"]["repaired"] == 0
    assert {"/v1/invoices/in_5", "/v1/invoices/in_6"} <= {request.path for request in scene.fake.requests}


def test_every_line_says_what_became_of_it(scene: Scene) -> None:
    """Commissioned, excluded for a reason, or waiting for one: together they are the provider's total to the cent."""
    scene.account.happens(*bought(1, TODAY - 9 * DAY))
    lines = [line("prod_inbox", 9900, discount=1111), line("prod_chat", 0), line(None, -500)]
    scene.account.happens(
        stripe_events.invoice_paid("in_20", customer="cus_1", subscription="sub_1", paid_at=TODAY - DAY, lines=lines),
        stripe_events.invoice_paid("in_21", customer="cus_9", paid_at=TODAY - DAY, lines=[line("prod_inbox", 777)]),
        stripe_events.customer("cus_3", at=TODAY - DAY, customer_key="nobody's"),
        stripe_events.invoice_paid(
            "in_22", customer="cus_3", paid_at=TODAY - DAY, lines=[line("prod_inbox", 333, tax=33)]
        ),
    )
    report = scene.run()["report"]
    (money,) = report["money"]
    assert [(each["bucket"], each["reason"], each["lines"], each["amount"]) for each in money["buckets"]] == [
        ("commissioned", None, 2, 9900 + 8789),
        ("excluded", "a line of zero fires nothing", 1, 0),
        ("excluded", "no trigger fired on it", 1, 4900),
        ("excluded", "nothing was earned on what it credits", 1, -500),
        ("excluded", "the customer was not attributed to a partner at the time", 1, 333),
        ("waiting", "nobody has linked the customer", 1, 777),
    ]
    assert money["provider"] == money["ours"] == sum(each["amount"] for each in money["buckets"])
    assert report["ties_out"]


def test_an_invoice_whose_event_waits_is_waiting(scene: Scene) -> None:
    """Held in the inbox for a named reason, or put aside by a person, it is not missing and nothing is made up."""
    events = scene.account.happens(*bought(1, TODAY - DAY), *bought(2, TODAY - DAY))
    first, second = (each["id"] for each in events if each["type"] == "invoice.paid")
    scene.stage.store(events)
    put_aside = "update inbox set state = 'ignored', reason = 'why not', next_attempt_at = null where event_key = :key"
    waits = """
        update inbox set state = 'waiting', reason = 'its lines', next_attempt_at = now() + interval '1 hour'
        where event_key = :key
    """
    with scene.stage.engine.begin() as connection:
        connection.execute(text(waits), {"key": first})
        connection.execute(text(put_aside), {"key": second})
    report = scene.run()["report"]
    assert report["invoices"]["keys"]["waiting"] == ["in_1", "in_2"]
    assert [(each["bucket"], each["reason"]) for each in report["money"][0]["buckets"]] == [
        ("waiting", "its lines"), ("waiting", "somebody ignored its event"),
    ]  # fmt: skip
    assert (report["invoices"]["missing"], report["ties_out"]) == (0, True)


def test_long_invoices_are_compared_with_all_their_lines(scene: Scene) -> None:
    """A list shows an invoice's first lines: the others are fetched before anything is compared."""
    scene.account.happens(customer(1, TODAY - DAY))
    whole = stripe_events.invoice_paid(
        "in_7", customer="cus_1", paid_at=TODAY - DAY, lines=[line(f"prod_{number}", 100) for number in range(15)]
    )
    content = whole["data"]["object"]
    scene.fake.lists["/v1/invoices/in_7/lines"] = content["lines"]["data"]
    content["lines"] = {**content["lines"], "data": content["lines"]["data"][:10], "has_more": True}
    scene.account.shows(content)
    report = scene.run()["report"]
    assert report["invoices"]["keys"]["repaired"] == ["in_7"]
    assert (report["money"][0]["provider"], report["ties_out"]) == (1500, True)
    assert scene.stage.ask("select count(*) from transaction_lines") == [(15,)]


def test_an_object_that_cannot_be_read_is_named(scene: Scene) -> None:
    """A status that today's code does not know keeps one subscription out, not the others, and the report says so."""
    scene.account.happens(*bought(1, TODAY - DAY), *bought(2, TODAY - DAY))
    scene.fake.objects["/v1/subscriptions/sub_1"]["status"] = "frozen"
    report = scene.run()["report"]
    assert list(report["unreadable"]) == ["sub_1"]
    assert "frozen" in report["unreadable"]["sub_1"]
    assert (report["subscriptions"]["provider"], report["ties_out"]) == (1, False)
