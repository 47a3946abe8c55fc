"""Previews over PostgreSQL: the same as the books where a trigger was there all along, in portions, locking nobody."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.errors import Rejected
from domain.windows import epoch_ms
from infra import previews
from infra.previews import Previewed, document, preview
from infra.program_changes import create_trigger, save_trigger
from infra.unit_of_work import unit_of_work_on
from tests.builders import item, line, stripe_events
from tests.stage import LONG_AGO, Stage

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CUSTOMERS = 7
#: Fewer than there are of anything, so that portions end in the middle of everything.
PORTION = 3

INBOX: dict[str, Any] = {
    "name": "Inbox",
    "event": "transaction_created",
    "rules": {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
    "action": {"type": "percent", "percent": "20", "limit": {"per_customer": 2}},
}
STARTED: dict[str, Any] = {
    "name": "Started",
    "event": "product_created",
    "action": {"type": "flat", "amount": 500, "currency": "usd"},
}
JOINED: dict[str, Any] = {
    "name": "Joined",
    "event": "partner_joined",
    "action": {"type": "flat", "amount": 900, "currency": "usd"},
}


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """Seven customers of two partners, each with three payments of two products; one of them goes by two names."""
    stage = Stage(engine)
    stage.product("Live Chat", "prod_chat")
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.partner("bob")
    for key, said in (("trg_inbox", INBOX), ("trg_started", STARTED), ("trg_joined", JOINED)):
        with engine.begin() as connection:
            save_trigger(connection, key, said, LONG_AGO)
    stage.trigger("trg_all", "1")
    events = []
    for number in range(CUSTOMERS):
        name, owner = f"cus_{number}", "ada" if number % 2 else "bob"
        # The last is the first one, under another name.
        key = f"acme_{number % (CUSTOMERS - 1)}"
        subscription = f"sub_{number}"
        events += [
            stripe_events.customer(name, event_key=f"evt_c_{number}", customer_key=key, partner_key=owner, at=LONG_AGO),
            stripe_events.subscription(
                subscription,
                event_key=f"evt_s_{number}",
                customer=name,
                items=[item("prod_chat", amount=4900), item("prod_inbox", amount=9900)],
            ),
            *(
                stripe_events.invoice_paid(
                    f"in_{number}_{month}",
                    event_key=f"evt_i_{number}_{month}",
                    customer=name,
                    subscription=subscription,
                    lines=[line("prod_chat", 4900), line("prod_inbox", 9900)],
                    paid_at=datetime(2026, month, 1 + number, tzinfo=UTC),
                )
                for month in (4, 5, 6)
            ),
        ]
    stage.play(events)
    return stage


def previewed(stage: Stage, said: dict[str, Any], **details: Any) -> Previewed:
    """A preview over everything."""
    with unit_of_work_on(stage.engine) as connection:
        return preview(connection, said, None, NOW, stage.settings, **details)


@pytest.mark.parametrize(
    ("key", "said"), [("trg_inbox", INBOX), ("trg_started", STARTED), ("trg_joined", JOINED)], ids=lambda v: str(v)[:11]
)
@pytest.mark.parametrize("portion", [PORTION, 500])
def test_what_was_there_all_along_is_previewed_as_it_is_booked(
    key: str, said: dict[str, Any], portion: int, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own place a trigger would have paid what it did pay, and all together what is booked, in any portions."""
    monkeypatch.setattr(previews, "_PORTION", portion)
    found = previewed(stage, said, replaces=key)
    ((booked,),) = stage.ask("select sum(amount_minor) from commissions where trigger_key = :key", key=key)
    assert booked > 0
    assert sum(row.draft_minor for row in found.rows.values()) == booked
    for place, row in found.rows.items():
        assert row.total_minor == row.booked_minor, place
    ((everything,),) = stage.ask("select sum(amount_minor) from commissions")
    assert sum(row.booked_minor for row in found.rows.values()) == everything
    assert found.transactions_count == 3 * CUSTOMERS


@pytest.mark.parametrize("portion", [1, PORTION, 500])
def test_a_period_begins_where_its_customers_stood(portion: int, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """From May on, in any portions, a limited trigger would have paid what its limit had left by then, as it did."""
    monkeypatch.setattr(previews, "_PORTION", portion)
    may = datetime(2026, 5, 1, tzinfo=UTC)
    with unit_of_work_on(stage.engine) as connection:
        found = preview(connection, INBOX, may, NOW, stage.settings, replaces="trg_inbox")
    ((count, booked),) = stage.ask(
        "select count(*), sum(amount_minor) from commissions where trigger_key = 'trg_inbox' and earned_at >= :may",
        may=may,
    )
    assert 0 < count < 2 * CUSTOMERS
    assert sum(row.draft_count for row in found.rows.values()) == count
    assert sum(row.draft_minor for row in found.rows.values()) == booked


def test_a_preview_waits_for_nobody_and_keeps_nobody_waiting(stage: Stage, engine: Engine) -> None:
    """It runs while another holds the program, and the program can be changed in the middle of it; it sees neither."""
    changed: list[int] = []

    def change(done: int, total: int) -> None:
        if not changed:
            changed.append(total)
            with engine.begin() as other:
                other.execute(text("set local lock_timeout = '1s'"))
                save_trigger(other, "trg_late", {**INBOX, "name": "Late"}, LONG_AGO)

    with engine.begin() as holder:
        holder.execute(text("select pg_advisory_xact_lock(20545, 1)"))
        before = document(previewed(stage, STARTED))
    during = document(previewed(stage, STARTED, progress=change))
    assert changed
    assert during == before
    assert document(previewed(stage, STARTED)) != before


def test_what_is_warned_of_is_of_the_day_it_is_asked(stage: Stage, engine: Engine) -> None:
    """Over a period long past, a trigger that was switched off since overlaps with nothing that is saved now."""
    past = datetime(2026, 5, 1, tzinfo=UTC)
    for switched_on, at in ((True, LONG_AGO), (False, past)):
        with engine.begin() as connection:
            save_trigger(connection, "trg_gone", {**INBOX, "name": "Gone", "active": switched_on}, at)

    def warned(now: datetime | None) -> set[str]:
        with unit_of_work_on(engine) as connection:
            found = preview(connection, INBOX, None, past - timedelta(days=1), stage.settings, now=now)
        return {each.message.split('"')[1] for each in found.warnings}

    assert warned(None) - warned(NOW) == {"Gone"}


def test_progress_is_told_to_the_end_and_may_end_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told from nothing to all in steps of a portion; what it raises comes out, and nothing is left behind."""
    monkeypatch.setattr(previews, "_PORTION", PORTION)
    told: list[tuple[int, int]] = []
    previewed(stage, INBOX, progress=lambda done, total: told.append((done, total)))
    total = told[0][1]
    assert told[0] == (0, total)
    assert told[-1] == (total, total)
    assert all(0 <= later[0] - earlier[0] <= PORTION for earlier, later in pairwise(told))

    def leave(done: int, total: int) -> None:
        if done:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        previewed(stage, INBOX, progress=leave)
    assert stage.ask(
        "select count(*) from pg_stat_activity where state like 'idle in%' and datname = current_database()"
    ) == [(0,)]


def test_an_empty_period_and_an_unknown_trigger_are_refused(stage: Stage) -> None:
    """Each by its field."""
    with unit_of_work_on(stage.engine) as connection, pytest.raises(Rejected) as caught:
        preview(connection, INBOX, NOW, NOW, stage.settings)
    assert caught.value.field == "to"
    with pytest.raises(Rejected) as caught:
        previewed(stage, INBOX, replaces="trg_none")
    assert caught.value.field == "replaces"


def test_a_tie_is_settled_as_it_will_be_once_the_draft_is_saved(stage: Stage, engine: Engine) -> None:
    """Of two triggers of one group and position the lower key goes first: that of the draft once it is saved."""
    group: dict[str, Any] = {"exclusive_group": "best", "position": 1}
    stage.trigger("trg_0", "2", **group)
    stage.replay()
    draft = {**INBOX, "name": "Much more", **group}
    with unit_of_work_on(engine) as connection:
        found = preview(connection, draft, LONG_AGO, NOW, stage.settings)
    foreseen = sum(row.total_minor for row in found.rows.values())
    assert sum(row.draft_minor for row in found.rows.values()) == 0
    with engine.begin() as connection:
        create_trigger(connection, {**draft, "effective_from": epoch_ms(LONG_AGO)}, LONG_AGO)
    stage.replay()
    ((booked,),) = stage.ask("select sum(amount_minor) from commissions")
    assert booked == foreseen
