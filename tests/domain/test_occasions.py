"""What happens to products, customers and partners, and what is said of every trigger that waits for it."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from domain.occasions import CustomerFile, customer_verdicts, moments, occasions_of, partner_verdicts, subjects_of
from domain.triggers import TriggerEvent
from tests.domain.tables import read
from tests.simulation.in_memory import MemoryStage

PROGRAM = """
on 2026-01-01   product   Inbox
on 2026-01-01   partner   ada in gold
on 2026-01-01   trigger   buy: 5.00 USD when a product is bought, for product Inbox
on 2026-01-01   trigger   gone: 1.00 USD when a product changes, to churned, once per customer
"""
BOUGHT = """
on 2026-01-02   customer  cus_1 is acme of ada, in DE
on 2026-01-05   stripe    sub_1 of cus_1 incomplete: Inbox 99.00 USD
on 2026-01-06   stripe    sub_1 of cus_1 trialing: Inbox 99.00 USD
on 2026-01-07   stripe    sub_1 of cus_1 active: Inbox 99.00 USD, Live Chat 49.00 USD
on 2026-02-05   stripe    sub_1 of cus_1 cancelled: Inbox 99.00 USD
"""


def played(*tables: str) -> MemoryStage:
    """Everything these tables tell."""
    stage = MemoryStage()
    for step in read("".join(tables)):
        if step.act is not None:
            step.act(stage)
        if step.fact is not None:
            stage.play([step.fact])
    return stage


def file_of(stage: MemoryStage) -> CustomerFile:
    """The one customer's file."""
    ((file, _),) = stage.ledger.load_customers([("stripe", "cus_1")], [], with_standings=True)
    return file


def said(stage: MemoryStage, file: CustomerFile | None = None) -> list[tuple[str, str, str, int | None]]:
    """(occasion, trigger, reason, minor units) of every verdict."""
    found = customer_verdicts(file or file_of(stage), stage.program, traced=True)
    return [
        (occasion.key, verdict.trigger.key, verdict.reason, verdict.desired.amount_minor if verdict.desired else None)
        for occasion, verdict in found
    ]


def test_what_happened_in_the_order_in_which_it_happened() -> None:
    """A customer created, products bought when first in trial or active, and every change of status."""
    file = file_of(played(PROGRAM, BOUGHT))
    assert [(each.event.value, each.key.partition("@")[0], each.at.day) for each in occasions_of(file)] == [
        ("customer_created", file.customer, 2),
        ("product_created", "stripe:sub_1/prod_inbox", 6),
        ("product_status_changed", "stripe:sub_1/prod_inbox", 6),
        ("product_created", "stripe:sub_1/prod_live_chat", 7),
        ("product_status_changed", "stripe:sub_1/prod_inbox", 7),
        ("product_status_changed", "stripe:sub_1/prod_live_chat", 7),
        ("product_status_changed", "stripe:sub_1/prod_inbox", 5),
        ("product_status_changed", "stripe:sub_1/prod_live_chat", 5),
    ]
    assert moments(file) == sorted({each.at for each in occasions_of(file)})
    assert subjects_of(file) == {"stripe:subscription:sub_1", f"customer:{file.customer}"}


def test_nobody_linked_has_no_occasions_but_answers_for_what_was_booked() -> None:
    """Unlinked, the products' commissions are still theirs to take back."""
    file = replace(file_of(played(PROGRAM, BOUGHT)), customer=None)
    assert occasions_of(file) == []
    assert subjects_of(file) == {"stripe:subscription:sub_1"}


def test_a_customer_of_unknown_beginning_was_never_created() -> None:
    """Products tell nothing of when the customer came to be."""
    file = replace(file_of(played(PROGRAM, BOUGHT)), created_at=None)
    assert TriggerEvent.CUSTOMER_CREATED not in {each.event for each in occasions_of(file)}


def test_every_trigger_says_why_it_fired_or_not() -> None:
    """Rules, limits and worth, occasion by occasion."""
    assert [row[1:] for row in said(played(PROGRAM, BOUGHT))] == [
        ("buy", "its rules hold", 500),
        ("gone", "its rules do not hold", None),
        ("buy", "its rules do not hold", None),
        ("gone", "its rules do not hold", None),
        ("gone", "its rules do not hold", None),
        ("gone", "its rules hold", 100),
        ("gone", "its rules hold, but its limit of once per customer is reached", None),
    ]


def test_traces_are_shown_only_where_they_are_asked_for() -> None:
    """Each condition with what was expected and what was so."""
    stage = played(PROGRAM, BOUGHT)
    traced = [verdict.trace for _, verdict in customer_verdicts(file_of(stage), stage.program, traced=True)]
    assert all(trace is not None for trace in traced)
    assert all(verdict.trace is None for _, verdict in customer_verdicts(file_of(stage), stage.program))


def test_traces_are_shown_where_a_group_or_a_limit_forbids_it_too() -> None:
    """The rules held, and that is shown."""
    table = """
on 2026-01-01   trigger   top: 3.00 USD when a product is bought, first of best
on 2026-01-01   trigger   low: 2.00 USD when a product is bought, second of best
"""
    stage = played(PROGRAM, table, BOUGHT)
    traced = [verdict.trace for _, verdict in customer_verdicts(file_of(stage), stage.program, traced=True)]
    assert all(trace is not None for trace in traced)


def test_an_age_and_a_limit_in_months_count_to_the_occasion() -> None:
    """Younger than five days when the first product was bought; within a month of the first firing."""
    table = """
on 2026-01-01   trigger   young: 1.00 USD when a product is bought, for customers younger than 5 days
on 2026-01-01   trigger   month: 1.00 USD when a product is bought, for 1 months
on 2026-02-05   stripe    sub_2 of cus_1 active: Inbox 99.00 USD
on 2026-02-07   stripe    sub_3 of cus_1 active: Inbox 99.00 USD
"""
    found = [(row[0], row[1]) for row in said(played(PROGRAM, BOUGHT, table)) if row[2] == "its rules hold"]
    assert [place for place, key in found if key == "young"] == ["stripe:sub_1/prod_inbox"]
    months = [place for place, key in found if key == "month"]
    assert months == ["stripe:sub_1/prod_inbox", "stripe:sub_1/prod_live_chat", "stripe:sub_2/prod_inbox"]


def test_nothing_churns_where_no_product_is_spoken_of() -> None:
    """What is paid for a new customer in instalments runs to its end."""
    table = "on 2026-01-01   trigger   hello: 3.00 USD when a customer is created, in 2 monthly parts until churn\n"
    stage = played(PROGRAM, table, BOUGHT)
    (hello,) = [v for _, v in customer_verdicts(file_of(stage), stage.program) if v.trigger.key == "hello" and v.fired]
    assert [part.amount_minor for part in hello.instalments] == [150, 150]


def test_nobody_is_paid_for_a_customer_who_is_nobody_s() -> None:
    """Not attributed at the time, or to someone who is no partner."""
    bare = BOUGHT.replace(" of ada", "")
    assert {row[2] for row in said(played(PROGRAM, bare))} == {
        "the customer was not attributed to a partner at the time"
    }
    other = BOUGHT.replace(" of ada", " of eve")
    assert {row[2] for row in said(played(PROGRAM, other))} == {'"eve" is not a partner of the program'}


def test_the_first_of_a_group_fires_and_the_others_name_it() -> None:
    """By position; the loser's limit is not used up."""
    table = """
on 2026-01-01   trigger   low: 2.00 USD when a product is bought, second of best, once per customer
on 2026-01-01   trigger   top: 3.00 USD when a product is bought, for product Inbox, first of best
"""
    found = [row[1:] for row in said(played(PROGRAM, table, BOUGHT)) if row[1] in ("low", "top")]
    assert found == [
        ("top", "its rules hold", 300),
        ("low", "top comes first in group best", None),
        ("top", "its rules do not hold", None),
        ("low", "its rules hold", 200),
    ]


def test_a_limit_in_amount_cuts_the_last_one_down() -> None:
    """What is left is paid, and the arithmetic says so."""
    table = """
on 2026-01-01   trigger   most: 3.00 USD when a product is bought, up to 5.00 USD
on 2026-02-06   stripe    sub_2 of cus_1 active: Inbox 99.00 USD
"""
    stage = played(PROGRAM, BOUGHT, table)
    verdicts = [v for _, v in customer_verdicts(file_of(stage), stage.program) if v.trigger.key == "most"]
    assert [(v.as_paid_minor, v.desired.arithmetic if v.desired else "") for v in verdicts] == [
        (300, "flat 3.00 USD"),
        (200, "flat 3.00 USD; its limit of 5.00 USD per customer leaves 2.00 USD"),
        (0, ""),
    ]


def test_what_a_commission_says_of_its_occasion() -> None:
    """Whom it pays, for which customer, since when, on which occasion, with instalments where they drip."""
    table = """
on 2026-01-01   trigger   slow: 3.00 USD when a product is bought
on 2026-01-02   trigger   slow: 3.00 USD when a product is bought, for product Inbox, in 2 monthly parts until churn
"""
    stage = played(PROGRAM, table, BOUGHT)
    found = file_of(stage)
    file = replace(found, claims=tuple(replace(claim, member_key="eva") for claim in found.claims))
    offered = tuple(replace(version, offer_description="3 dollars") for version in stage.program.triggers["slow"])
    program = replace(stage.program, triggers={"slow": offered})
    (verdict,) = [v for _, v in customer_verdicts(file, program) if v.fired]
    at = datetime(2026, 1, 6, 12, tzinfo=UTC)
    said_of_it = verdict.desired
    assert said_of_it is not None
    assert (said_of_it.customer, said_of_it.earned_at, said_of_it.member_key) == (file.customer, at, "eva")
    assert (said_of_it.trigger_version, said_of_it.offer) == (2, "3 dollars")
    assert (said_of_it.claimant.partner_key, said_of_it.claimant.event) == ("ada", "product_created")
    assert [(part.amount_minor, part.due_at) for part in verdict.instalments] == [(150, at)]  # February's: churned


def test_instalments_fall_due_by_the_clock_of_the_program() -> None:
    """Seven in the morning in New York stays seven when summer time begins: an hour earlier in UTC."""
    table = "on 2026-01-01   trigger   slow: 3.00 USD when a product is bought, for product Inbox, in 4 monthly parts\n"
    stage = played(PROGRAM, table, BOUGHT)
    program = replace(stage.program, zone=ZoneInfo("America/New_York"))
    (verdict,) = [v for _, v in customer_verdicts(file_of(stage), program) if v.fired and v.trigger.key == "slow"]
    due = [part.due_at.astimezone(UTC) for part in verdict.instalments if part.due_at is not None]
    assert [(at.month, at.day, at.hour) for at in due] == [(1, 6, 12), (2, 6, 12), (3, 6, 12), (4, 6, 11)]


def test_rules_read_what_the_customer_has_paid_by_then() -> None:
    """Payments before the occasion count, later ones do not; in several currencies nobody can say the revenue."""
    table = """
on 2026-01-01   trigger   rich: 9.00 USD when a product is bought, after 50.00 USD revenue
on 2026-01-06   stripe    in_1 of cus_1 paid 60.00 USD Inbox on sub_9
"""
    euros = "on 2026-01-06   stripe    in_2 of cus_1 paid 1.00 EUR Inbox on sub_9\n"
    fired = [row[0] for row in said(played(PROGRAM, BOUGHT, table)) if row[1:3] == ("rich", "its rules hold")]
    assert fired == ["stripe:sub_9/prod_inbox", "stripe:sub_1/prod_live_chat"]
    both = [row[0] for row in said(played(PROGRAM, BOUGHT, table, euros)) if row[1:3] == ("rich", "its rules hold")]
    assert both == ["stripe:sub_9/prod_inbox"]


def test_a_partner_s_joining_pays_the_partner() -> None:
    """Without a customer; judged with the group held at the time."""
    table = """
on 2026-01-01   partner   bob in silver
on 2026-01-01   trigger   join: 50.00 USD when a partner joins, for group gold, since 2024-12-31
"""
    stage = played(PROGRAM, table)
    (found,) = partner_verdicts("ada", stage.program, traced=True)
    occasion, verdict = found
    assert (occasion.subject, occasion.key, verdict.fired) == ("partner:ada", "ada", True)
    assert verdict.desired is not None
    assert (verdict.desired.customer, verdict.desired.claimant.partner_key) == (None, "ada")
    assert verdict.trace is not None
    ((_, other),) = partner_verdicts("bob", stage.program)
    assert (other.fired, other.reason, other.trace) == (False, "its rules do not hold", None)
