"""What a draft would have paid is what the same trigger did pay, when it was there all along."""

from datetime import datetime, timedelta

import pytest

from domain.occasions import subjects_of
from domain.preview import Preview, PreviewRow, with_draft
from domain.triggers import Trigger, TriggerEvent, parse_trigger
from tests.memory_ledger import MemoryLedger
from tests.simulation.histories import END, START, draw
from tests.simulation.in_memory import LONG_AGO, MemoryStage, play_at_once
from tests.simulation.program import document
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
    """Previewing an edit judges with the edit alone, in force since the period's beginning, whatever it says."""
    stage = play_at_once(draw(23, 3))
    draft = parse_trigger({"name": "whole", "event": "transaction_created", "active": False,
                           "action": {"type": "percent", "percent": "1"}})  # fmt: skip
    program = with_draft(stage.program, "whole", draft, START)
    (only,) = program.triggers["whole"]
    assert isinstance(only, Trigger)
    assert (only.active, only.effective_from, only.version) == (True, START, 1)
