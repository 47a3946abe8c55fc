"""`attribution preview`: what it says of a draft, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.builders import line, stripe_events
from tests.stage import Stage
from tests.worker.command_line import Attribution

DRAFT = {"name": "half", "event": "transaction_created", "action": {"type": "percent", "percent": "50"}}


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earned 9.90 USD on acme's payment of 2026-04-01."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("trg_all", "10")
    customer = stripe_events.customer("cus_1", customer_key="acme", partner_key="ada")
    stage.play([customer, stripe_events.invoice_paid("in_1", customer="cus_1", lines=[line("prod_inbox", 9900)])])
    return stage


def _file(folder: Path, document: Any) -> str:
    path = folder / "trigger.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_a_draft_is_shown_beside_what_is_booked(attribution: Attribution, stage: Stage, tmp_path: Path) -> None:
    """Per partner and product what it would have paid, and what was; nothing is saved or booked by it."""
    before = stage.ask("select count(*) from trigger_versions"), stage.commissions()
    told = attribution("preview", _file(tmp_path, DRAFT))
    assert (told.code, told.err) == (0, "")
    assert "judged 1 transactions" in told.out
    assert "ada      on the whole  49.50 USD  1      59.40 USD             9.90 USD" in told.out
    answer = attribution("preview", _file(tmp_path, DRAFT), "--json").document
    assert [(row["partner_key"], row["amount"], row["amount_booked"]) for row in answer["rows"]] == [("ada", 4950, 990)]
    assert (stage.ask("select count(*) from trigger_versions"), stage.commissions()) == before


def test_only_the_period_counts(attribution: Attribution, stage: Stage, tmp_path: Path) -> None:
    """From, inclusive, until before to; in place of a trigger if that is named."""
    path = _file(tmp_path, DRAFT)
    assert "paid nothing" in attribution("preview", path, "--from", "2026-04-02").out
    assert "paid nothing" in attribution("preview", path, "--to", "2026-04-01").out
    within = attribution(
        "preview", path, "--from", "2026-04-01", "--to", "2026-04-02", "--replaces", "trg_all", "--json"
    )
    assert [(row["amount"], row["amount_all_triggers"]) for row in within.document["rows"]] == [(4950, 4950)]


@pytest.mark.parametrize(
    "begins", ["2026-04-01", "2026-04-01T00:00", "2026-04-01T00:00:00Z", "2026-04-01T02:00:00+02:00", "1775001600000"]
)
def test_a_moment_is_typed_in_any_of_the_usual_ways(
    attribution: Attribution, stage: Stage, tmp_path: Path, begins: str
) -> None:
    """A day, a time, a time with a zone and the API's milliseconds all mean the moment that the answer names."""
    answer = attribution("preview", _file(tmp_path, DRAFT), "--from", begins, "--json").document
    assert answer["from"] == 1775001600000


def test_what_is_no_draft_is_refused(attribution: Attribution, stage: Stage, tmp_path: Path) -> None:
    """A file that is not there or a moment that is none is wrong usage; JSON with mistakes fails with all of them."""
    assert attribution("preview", str(tmp_path / "none.json")).code == 2
    for said in ("soon", "1775001600", "9" * 30):
        refused = attribution("preview", _file(tmp_path, DRAFT), "--from", said)
        assert (refused.code, "2026-03-01T12:00:00Z" in refused.err) == (2, True)
    broken = attribution("preview", _file(tmp_path, "{"))
    assert broken.code == 1
    assert "is not JSON" in broken.err
    wrong = attribution("preview", _file(tmp_path, {"name": "", "event": "x", "action": {}}))
    assert wrong.code == 1
    assert "event" in wrong.err
    assert "action" in wrong.err
