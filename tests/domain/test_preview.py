"""What a draft would have paid is what the same trigger did pay, when it was there all along."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from domain.occasions import subjects_of
from domain.preview import Preview, PreviewRow, with_draft
from domain.triggers import TriggerEvent, parse_trigger
from tests.domain.table_words import trigger_document
from tests.domain.tables import stage_of
from tests.memory_ledger import MemoryLedger
from tests.simulation.histories import END, START, draw
from tests.simulation.in_memory import LONG_AGO, MemoryStage, TableTrigger, play_at_once
from tests.simulation.program import TERMS, document
from tests.simulation.world import Offer

AFTER = END + timedelta(days=1_000)


def previewed(stage: MemoryStage, key: str, draft: object, since: datetime = LONG_AGO, until: datetime = AFTER,
              portion: int = 7) -> Preview:  # fmt: skip
    """A preview over everything recorded, fed in portions."""
    program = with_draft(stage.program, key, parse_trigger(draft), since)
    preview = Preview(program, key, since, until)
    ledger = stage.ledger
    keys = sorted(ledger.transactions, key=lambda key: (ledger.transactions[key].occurred_at, key))
    for first in range(0, len(keys), portion):
        preview.add_payments(keys[first : first + portion], ledger.load_case(keys[first : first + portion]))
    for file, _ in ledger.load_customers(ledger.people, ledger.customers, with_standings=True):
        preview.add_customer(file, ledger.load_booked_on(subjects_of(file)))
    return preview


def booked_by(ledger: MemoryLedger, trigger_key: str | None = None) -> dict[tuple[str, str], int]:
    """(partner, currency) to minor units in the books, of one trigger or of all."""
    found: dict[tuple[str, str], int] = {}
    for commission in ledger.commissions.values():
        c = commission.claimant
        if c.event is not TriggerEvent.PARTNER_JOINED and trigger_key in (None, c.trigger_key):
            found[(c.partner_key, c.currency)] = found.get((c.partner_key, c.currency), 0) + commission.amount_minor
    return {place: amount for place, amount in found.items() if amount}


def summed(preview: Preview, what: str) -> dict[tuple[str, str], int]:
    """(partner, currency) to minor units of one column."""
    found: dict[tuple[str, str], int] = {}
    for (partner, _, currency), row in preview.rows.items():
        found[(partner, currency)] = found.get((partner, currency), 0) + getattr(row, what)
    return {place: amount for place, amount in found.items() if amount}


def unchanged(offers: list[Offer]) -> list[Offer]:
    """Offers that stood as they are from the beginning, for events other than a partner's joining."""
    edited = {offer.key for offer in offers if offer.version > 1 or not offer.active or offer.since > LONG_AGO}
    return [offer for offer in offers if offer.key not in edited and offer.event != "partner_joined"]


@pytest.mark.parametrize("seed", [8, 17])
def test_a_preview_of_what_was_in_force_is_what_was_booked(seed: int) -> None:
    """Drips, limits, credits, reversals and occasions included: draft, total and booked all agree."""
    world = draw(seed, 3)
    stage = play_at_once(world)
    offers = unchanged(world.offers)
    assert offers
    for offer in offers:
        preview = previewed(stage, offer.key, document(offer))
        assert summed(preview, "draft_minor") == booked_by(stage.ledger, offer.key)
        assert summed(preview, "total_minor") == booked_by(stage.ledger)
        assert summed(preview, "booked_minor") == booked_by(stage.ledger)


def test_the_draft_that_nobody_saved_pays_beside_what_is_booked() -> None:
    """A new draft earns in its own column and by product; the books are as they were."""
    stage = play_at_once(draw(23, 3))
    before = dict(stage.ledger.commissions)
    rules = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
    draft = {"name": "more of Inbox", "event": "transaction_created", "rules": rules,
             "action": {"type": "percent", "percent": "50"}}  # fmt: skip
    preview = previewed(stage, "draft", draft)
    earning = {product for (_, product, _), row in preview.rows.items() if row.draft_minor}
    assert earning == {"Inbox"}
    assert all(row.total_minor - row.draft_minor == row.booked_minor for row in preview.rows.values())
    assert stage.ledger.commissions == before


def test_only_the_period_asked_for_is_judged() -> None:
    """Nothing is paid before the period begins or from its end on."""
    stage = play_at_once(draw(23, 3))
    draft = {"name": "all", "event": "transaction_created", "action": {"type": "percent", "percent": "50"}}
    middle = START + (END - START) / 2
    first = previewed(stage, "draft", draft, LONG_AGO, middle)
    second = previewed(stage, "draft", draft, middle, AFTER)
    whole = previewed(stage, "draft", draft)
    charged = {place: row.draft_count for place, row in whole.rows.items() if row.draft_count}
    counts = {place: first.rows.get(place, PreviewRow()).draft_count + second.rows.get(place, PreviewRow()).draft_count
              for place in charged}  # fmt: skip
    assert counts == charged
    assert first.rows != {} and second.rows != {}


def test_a_draft_stands_in_for_the_trigger_it_would_replace() -> None:
    """Previewing an edit judges with the edit from the period's beginning on, whatever it says, and what was before."""
    stage = play_at_once(draw(23, 3))
    draft = parse_trigger({"name": "whole", "event": "transaction_created", "active": False,
                           "action": {"type": "percent", "percent": "1"}})  # fmt: skip
    before = stage.program.triggers["whole"]
    *earlier, last = with_draft(stage.program, "whole", draft, START).triggers["whole"]
    assert earlier == list(before)
    assert (last.active, last.effective_from, last.version) == (True, START, len(before) + 1)
    (only,) = with_draft(stage.program, "another", draft, START).triggers["another"]
    assert (only.active, only.effective_from, only.version) == (True, START, 1)


#: Drawn histories in which saving a drawn draft changes the books; in 467 a credit in the
#: period takes back what an earlier version of the trigger paid before it.
SAVED = [1, 8, 18, 22, 25, 31, 32, 467]


@pytest.mark.parametrize("seed", SAVED)
def test_a_preview_is_what_saving_the_draft_then_books(seed: int) -> None:
    """In a drawn trigger's place or beside them all, from a drawn moment on: total less booked is what saving adds."""
    random = Random(seed)
    stage = play_at_once(draw(seed, 3))
    since = random.choice([LONG_AGO, START + (END - START) * random.random()]).replace(microsecond=0)
    in_place = random.random() < 0.5
    keys = sorted(stage.program.triggers) if in_place else ["aaa", "zzz"]
    key, terms = random.choice(keys), random.choice([t for t in TERMS if t.get("event") != "partner_joined"])
    said = document(Offer(**{"key": key, "version": 1, "since": since, **terms}))
    preview = previewed(stage, key, said, since)
    expected = less(summed(preview, "total_minor"), summed(preview, "booked_minor"))
    before = booked_by(stage.ledger)
    stage.say(TableTrigger(key, len(stage.program.triggers.get(key, ())) + 1, since, said))
    assert less(booked_by(stage.ledger), before) == expected
    assert expected


def less(one: dict[tuple[str, str], int], other: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """The difference of two sums by place."""
    found = {place: one.get(place, 0) - other.get(place, 0) for place in {*one, *other}}
    return {place: amount for place, amount in found.items() if amount}


YEAR = """
on 2026-01-01   product   Inbox, also priceprod_mail
on 2026-01-01   product   Mail
on 2026-01-01   partner   ada
on 2026-01-02   customer  cus_1 is acme of ada
on 2026-01-01   trigger   old: 1 percent of Inbox
on 2026-01-01   trigger   hello: 2.00 USD when a product is bought
on 2026-01-05   stripe    sub_1 of cus_1 active: Mail 100.00 USD
on 2026-01-10   stripe    in_1 of cus_1 paid 100.00 USD Mail on sub_1
on 2026-02-10   stripe    in_2 of cus_1 paid 100.00 USD Mail on sub_1
on 2026-02-20   stripe    in_3 of cus_1 paid -50.00 USD Mail on sub_1
on 2026-03-10   stripe    in_4 of cus_1 paid 30.00 USD nothing
"""

#: From a moment on, or up to it; what the draft would have paid, of what all would have, beside what is booked.
PREVIEWS = """
10 percent of Inbox                            | all          | Inbox 1500 of 1850, booked 350
10 percent of Inbox, once per customer         | all          | Inbox 1000 of 1350, booked 350
10 percent of Inbox, up to 15.00 USD           | all          | Inbox 1500 of 1850, booked 350
10 percent of Inbox, on the first 1 payments   | all          | Inbox 1000 of 1350, booked 350
10 percent of Inbox, on the first 1 payments   | since in_2   | Inbox 0 of 50, booked 50
10 percent of Inbox, on the first 2 payments   | since in_2   | Inbox 500 of 550, booked 50
10 percent of Inbox, on the first 2 payments   | since in_3   | Inbox 0 of -50, booked -50
10 percent of Inbox, once per customer         | until in_2   | Inbox 1000 of 1300, booked 300
10 percent of every payment                    | since in_4   | None 300 of 300, booked 0
5.00 USD when a product is bought              | all          | Inbox 500 of 850, booked 350
5.00 USD when a product is bought              | since sub_1  | Inbox 500 of 850, booked 350
5.00 USD when a product is bought              | until sub_1  | nothing
5.00 USD when a product is bought              | since in_1   | Inbox 0 of 150, booked 150
"""
MOMENTS = {"sub_1": (1, 5), "in_1": (1, 10), "in_2": (2, 10), "in_3": (2, 20), "in_4": (3, 10)}


@pytest.mark.parametrize("row", PREVIEWS.strip().splitlines())
def test_a_draft_is_judged_as_if_it_had_been_there(row: str) -> None:
    """Limits count from the period's beginning, payments from the customer's; credits follow their charge."""
    offer, when, expected = (part.strip() for part in row.split("|"))
    worth, word, of = offer.partition(" of " if " of " in offer else " when ")
    what, _, options = (word + of).strip().partition(", ")
    draft = trigger_document("draft", worth, what, [options] if options else [])
    side, _, name = when.partition(" ")
    moment = datetime(2026, *MOMENTS[name], 12, tzinfo=UTC) if name else LONG_AGO
    since, until = (LONG_AGO, moment) if side == "until" else (moment, AFTER)
    for portion in (1, 7):
        preview = previewed(stage_of(YEAR), "draft", draft, since, until, portion)
        shown = [
            f"{product} {row.draft_minor} of {row.total_minor}, booked {row.booked_minor}"
            for (_, product, _), row in preview.rows.items()
        ]
        assert shown == ([] if expected == "nothing" else [expected])


@pytest.mark.parametrize(
    ("between", "earned"),
    [
        ("in_5 of cus_1 paid -20.00 USD Mail on sub_1", 1000),
        ("in_5 of cus_1 paid 0.00 USD Mail on sub_1 + 5.00 USD nothing", 1000),
        ("in_5 of cus_1 paid -20.00 USD Mail on sub_1 + 5.00 USD nothing", 1000),
    ],
)
@pytest.mark.parametrize("portion", [1, 7])
def test_every_credit_of_a_charge_is_judged_where_the_charge_stood(between: str, earned: int, portion: int) -> None:
    """A charge that the draft's limit left unpaid takes nothing back, however many credits and empty lines follow."""
    further = f"on 2026-02-25 stripe {between}\non 2026-02-26 stripe in_6 of cus_1 paid -10.00 USD Mail on sub_1\n"
    table = YEAR.replace("on 2026-03-10   stripe    in_4", further + "on 2026-03-10   stripe    in_4")
    draft = trigger_document("draft", "10 percent", "of Inbox", ["once per customer"])
    preview = previewed(stage_of(table), "draft", draft, portion=portion)
    assert summed(preview, "draft_minor") == {("ada", "usd"): earned}


def test_a_charge_of_a_cent_is_one() -> None:
    """The smallest charge there is stands where it stood, like any other, when it is credited."""
    table = YEAR.replace("in_2 of cus_1 paid 100.00", "in_2 of cus_1 paid 0.01").replace("paid -50.00", "paid -0.01")
    draft = trigger_document("draft", "100 percent", "of Inbox", ["once per customer"])
    assert summed(previewed(stage_of(table), "draft", draft), "draft_minor") == {("ada", "usd"): 10_000}


def test_what_was_declined_is_not_booked_and_a_draft_is_counted_by_its_payments() -> None:
    """A commission that a person declined stands beside nothing; two payments are two."""
    stage = stage_of(YEAR + "on 2026-03-11   people    decline old because it is the partner's own\n")
    draft = trigger_document("draft", "10 percent", "of Inbox", ["on the first 2 payments"])
    (row,) = previewed(stage, "draft", draft, until=datetime(2026, 2, 20, 12, tzinfo=UTC)).rows.values()
    assert (row.draft_minor, row.draft_count, row.booked_minor) == (2000, 2, 200)


def test_a_draft_says_nothing_of_when_it_begins() -> None:
    """A draft from a day to come is previewed as if it had begun with the period."""
    draft = {**trigger_document("draft", "10 percent", "of Inbox", []), "effective_from": 1893456000000}
    assert summed(previewed(stage_of(YEAR), "draft", draft), "draft_minor") == {("ada", "usd"): 1500}
