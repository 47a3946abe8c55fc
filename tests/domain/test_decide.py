"""Deciding on what was touched: causes, standings, and what must be judged as well."""

from dataclasses import replace

from domain.decide import decide, decide_customer, decide_partner
from domain.known import ProviderCustomer
from domain.standings import Standing
from tests.domain.tables import read
from tests.simulation.in_memory import MemoryStage

PROGRAM = """
on 2026-01-01   product   Inbox
on 2026-01-01   partner   ada in gold
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-01   trigger   once: 1 percent of Inbox, once per customer
on 2026-01-01   trigger   buy: 5.00 USD when a product is bought
on 2026-01-01   trigger   join: 5.00 USD when a partner joins, since 2024-12-31
on 2026-01-02   customer  cus_1 is acme of ada
"""
PAYMENTS = """
on 2026-01-10   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-20   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-30   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
"""
ONE, TWO, THREE = (f"stripe:in_{number}" for number in (1, 2, 3))


def played(*tables: str) -> MemoryStage:
    """Everything these tables tell."""
    stage = MemoryStage()
    for step in read("".join(tables)):
        if step.act is not None:
            step.act(stage)
        if step.fact is not None:
            stage.play([step.fact])
    return stage


def test_every_entry_names_what_caused_it() -> None:
    """The cause of the transaction touched, of the customer, of the partner; occasions name their subject."""
    stage = played(PROGRAM, PAYMENTS)
    stage.ledger.commissions.clear()
    case = stage.ledger.load_case([ONE, TWO])
    found = decide({ONE: "stripe:evt_a", TWO: "stripe:evt_b"}, case, stage.program).bookings
    assert {(b.entry.claimant.occasion_key, b.cause, b.subject) for b in found} == {
        (ONE, "stripe:evt_a", None),
        (TWO, "stripe:evt_b", None),
    }
    ((file, _),) = stage.ledger.load_customers([("stripe", "cus_1")], [], with_standings=False)
    (bought,) = decide_customer(file, {}, "stripe:evt_c", stage.program)
    assert (bought.cause, bought.subject) == ("stripe:evt_c", "stripe:subscription:sub_1")
    (joined,) = decide_partner("ada", {}, "program:evt_d", stage.program)
    assert (joined.cause, joined.subject) == ("program:evt_d", "partner:ada")


def test_what_is_booked_already_is_not_booked_again() -> None:
    """On payments, products and partners alike; transactions that nobody knows are left out."""
    stage = played(PROGRAM, PAYMENTS)
    case = stage.ledger.load_case([ONE, TWO, THREE])
    decision = decide(dict.fromkeys((ONE, TWO, THREE, "stripe:in_9"), "again"), case, stage.program)
    assert (decision.bookings, decision.standings, decision.stale) == ([], {}, {})
    ((file, _),) = stage.ledger.load_customers([("stripe", "cus_1")], [], with_standings=False)
    booked = stage.ledger.load_booked_on(["stripe:subscription:sub_1", "partner:ada"])
    assert decide_customer(file, booked, "again", stage.program) == []
    assert decide_partner("ada", booked, "again", stage.program) == []


def test_standings_follow_from_one_payment_to_the_next() -> None:
    """Judged together, each begins where the one before it ended, recorded or not."""
    stage = played(PROGRAM, PAYMENTS)
    case = replace(stage.ledger.load_case([ONE, TWO, THREE]), standings={})
    standings = decide(dict.fromkeys((THREE, ONE, TWO), "x"), case, stage.program).standings
    assert {key: s.number for key, s in standings.items() if s} == {ONE: 1, TWO: 2, THREE: 3}
    assert standings[THREE] == stage.ledger.standings[THREE][1]
    assert stage.ledger.standings[THREE][1].usage["once"].count == 1


def test_a_changed_standing_asks_for_what_comes_after_it() -> None:
    """Only where something comes after it that was not judged: at the end of what was judged, or in a gap."""
    stage = played(PROGRAM, PAYMENTS)
    recorded = dict(stage.ledger.load_case([ONE, TWO, THREE]).standings)
    customer = stage.ledger.standings[ONE][0]

    def stale(touched: tuple[str, ...], *wrong: str) -> dict[str, str]:
        standings = {key: Standing(99) if key in wrong else known for key, known in recorded.items()}
        case = replace(stage.ledger.load_case([ONE, TWO, THREE]), standings=standings)
        return decide(dict.fromkeys(touched, "x"), case, stage.program).stale

    assert stale((ONE,), ONE) == {customer: ONE}
    assert stale((ONE, TWO), ONE) == {}
    assert stale((ONE, TWO), ONE, TWO) == {customer: TWO}
    assert stale((ONE, THREE), ONE) == {customer: ONE}
    assert stale((THREE,), THREE) == {}
    assert stale((ONE, TWO, THREE), ONE, TWO, THREE) == {}
    assert stale((ONE,)) == {}


def test_a_payment_that_is_nobody_s_any_more_has_no_standing() -> None:
    """What was recorded of it goes; the others of the batch are judged all the same."""
    stage = played(PROGRAM, PAYMENTS)
    stage.ledger.people[("stripe", "cus_1")] = ProviderCustomer("stripe", "cus_1")
    decision = decide(dict.fromkeys((ONE, TWO), "x"), stage.ledger.load_case([ONE, TWO]), stage.program)
    assert decision.standings == {ONE: None, TWO: None}
    assert sorted(b.entry.amount_minor for b in decision.bookings) == [-1_000, -1_000, -100]
    stage.ledger.standings.clear()
    again = decide({ONE: "x"}, stage.ledger.load_case([ONE]), stage.program)
    assert again.standings == {}


def test_a_payment_told_late_is_judged_with_all_that_follow() -> None:
    """The only firing and the numbers move; each later payment is judged once more, and the books are right."""
    late = "on 2026-01-05   stripe    in_0 of cus_1 paid 50.00 USD Inbox on sub_1\n"
    stage = played(PROGRAM, PAYMENTS, late)
    assert {key: standing.number for key, (_, standing) in stage.ledger.standings.items()} == {
        "stripe:in_0": 1,
        ONE: 2,
        TWO: 3,
        THREE: 4,
    }
    once = {c.claimant.occasion_key: c.amount_minor for c in stage.ledger.commissions.values()
            if c.claimant.trigger_key == "once" and c.amount_minor}  # fmt: skip
    assert once == {"stripe:in_0": 50}
