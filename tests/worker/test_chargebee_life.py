"""A subscription's whole life at Chargebee, from stored events to the books: in any order, twice, in either catalog."""

from itertools import groupby
from random import Random

import pytest
from sqlalchemy import Engine

from tests.chargebee_life import CHAT, COMMISSIONS, HISTORY, INBOX, SURVEYS, Life
from tests.stage import Stage


def stage_of(engine: Engine, life: Life) -> Stage:
    """Ada is paid ten percent of Live Chat and Surveys and twenty of Inbox."""
    stage = Stage(engine)
    for name, product in {"Live Chat": CHAT, "Surveys": SURVEYS, "Inbox": INBOX}.items():
        if product is not CHAT or life.catalog == 1:
            stage.product(name, life.key(product))
    if life.catalog == 2:
        # The book knows the item; that the item price is of it, only Chargebee says.
        stage.product("Live Chat", "chat-item")
    stage.partner("ada")
    for key, name, percent in (("chat", "Live Chat", "10"), ("surveys", "Surveys", "10"), ("inbox", "Inbox", "20")):
        rule = {"field": "product.name", "op": "is_any_of", "value": [name]}
        stage.trigger(key, percent, rules={"all": [rule]})
    return stage


def assert_books(stage: Stage, life: Life) -> None:
    """What was earned, to the cent, and what each product was when."""
    earned = {(row[1], row[2]): row[4] for row in stage.commissions()}
    assert earned == {(paid, f"sub_1/{life.key(product)}"): worth for (paid, product), worth in COMMISSIONS.items()}
    rows = stage.ask("select product_key, effective_at, status from product_history order by 1, 2")
    told = {product: _changes(found) for product, found in groupby(rows, key=lambda row: str(row[0]))}
    assert told == {life.key(product): history for product, history in HISTORY.items()}
    settled = "provider = 'chargebee' and state in ('processed', 'ignored')"
    assert (
        stage.ask(f"select event_key, state, reason from inbox where not ({settled}) and provider = 'chargebee'") == []
    )


def _changes(rows: object) -> list[tuple[tuple[int, int], str]]:
    """Only where the status changed: a payment and a snapshot a moment later tell of the same."""
    changes: list[tuple[tuple[int, int], str]] = []
    for _, moment, status in rows:  # type: ignore[attr-defined]
        if not changes or changes[-1][1] != status:
            changes.append(((moment.month, moment.day), status))
    return changes


@pytest.mark.parametrize("catalog", [1, 2])
def test_a_life_in_order(engine: Engine, catalog: int) -> None:
    """One event after the other: every commission and every change of status is right at the end."""
    life = Life(catalog)
    stage = stage_of(engine, life)
    for event in life.events():
        stage.play([event])
    assert_books(stage, life)
    before = stage.books()
    stage.replay()
    assert stage.books() == before


@pytest.mark.parametrize("catalog", [1, 2])
@pytest.mark.parametrize("seed", range(8))
def test_a_life_in_any_order_and_twice(engine: Engine, catalog: int, seed: int) -> None:
    """Shuffled, in batches of any size, and delivered again under other ids: the same books."""
    life, random = Life(catalog), Random(seed)
    stage = stage_of(engine, life)
    events = life.events()
    events += [{**event, "id": f"{event['id']}_again"} for event in random.sample(events, 8)]
    random.shuffle(events)
    while events:
        size = random.randint(1, 6)
        stage.play(events[:size])
        events = events[size:]
    assert_books(stage, life)


@pytest.mark.parametrize("catalog", [1, 2])
def test_a_life_backwards_in_one_batch(engine: Engine, catalog: int) -> None:
    """The last first, all at once, and everything again: the same books."""
    life = Life(catalog)
    stage = stage_of(engine, life)
    stage.play(life.events()[::-1])
    assert_books(stage, life)
    stage.replay()
    assert_books(stage, life)
