"""`/triggers/preview`: what a draft would have paid, over HTTP, beside what is booked."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.dashboard.running import Api, DashboardProcess
from tests.end_to_end.program import eventually
from tests.stage import Stage

MORE: dict[str, Any] = {
    "name": "More of Inbox",
    "event": "transaction_created",
    "rules": {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
    "action": {"type": "percent", "percent": "50"},
}


def amounts(found: Any) -> dict[str | None, tuple[int, int, int]]:
    """Per product: by the draft, by all triggers with it, booked."""
    return {row["product"]: (row["amount"], row["amount_all_triggers"], row["amount_booked"]) for row in found["rows"]}


def test_a_draft_is_previewed_beside_what_is_booked(api: Api, played: Stage) -> None:
    """A new draft adds to what is booked; in an existing trigger's place it stands instead; nothing is saved."""
    found = api.post("/triggers/preview", MORE)
    assert amounts(found) == {"Live Chat": (0, 490, 490), "Inbox": (4950, 6930, 1980)}
    assert found["transactions"] == 1
    assert [(row["amount"], row["count"], row["amount_booked"]) for row in found["totals"]] == [(4950, 1, 2470)]
    assert [each["kind"] for each in found["warnings"]] == ["overlap"]
    instead = api.post("/triggers/preview", {"trigger": MORE, "replaces": "trg_inbox"})
    assert amounts(instead) == {"Live Chat": (0, 490, 490), "Inbox": (4950, 4950, 1980)}
    assert instead["warnings"] == []
    assert played.ask("select count(*) from trigger_versions") == [(2,)]


def test_a_period_is_from_inclusive_to_exclusive(api: Api, played: Stage) -> None:
    """What was paid at `from` counts, what was paid at `to` does not; the query may say them as well as the body."""
    at_s = played.ask("select extract(epoch from occurred_at)::bigint from transactions")[0][0]
    at = int(at_s) * 1000
    assert api.post("/triggers/preview", {**MORE, "from": at, "to": at + 1})["transactions"] == 1
    assert api.post("/triggers/preview", {**MORE, "from": at - 1, "to": at})["rows"] == []
    assert api.post(f"/triggers/preview?from={at - 1}&to={at}", MORE)["rows"] == []
    refusal = api.post("/triggers/preview?to=soon", MORE, 400)
    assert [each["field"] for each in refusal["errors"]] == ["to"]
    refusal = api.post(f"/triggers/preview?to={at}", {**MORE, "to": at - 1}, 400)
    assert [each["field"] for each in refusal["errors"]] == ["to"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": 1_800_000_000_000, "to": 1_700_000_000_000}, "to"),
        ({"replaces": "trg_none"}, "replaces"),
        ({"replaces": 7}, "replaces"),
        ({"colour": "red"}, "colour"),
        ({"action": None}, "action"),
        ({"trigger": {}}, "trigger"),
    ],
)
def test_a_mistake_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    """Whatever is wrong with draft or period comes back by name."""
    refusal = api.post("/triggers/preview", {**MORE, **change}, 400)
    assert [each["field"] for each in refusal["errors"]] == [field]


def test_all_mistakes_of_draft_and_period_come_at_once(api: Api) -> None:
    """Each at its path, also where the draft stands beside the period as `trigger`."""
    wrong = {**MORE, "rules": {"all": [{"field": "product.nam", "op": "is_set"}]}, "action": {"type": "gift"}}
    for document, path in (({**wrong, "from": "yesterday"}, ""), ({"trigger": wrong, "from": "yesterday"}, "trigger.")):
        refusal = api.post("/triggers/preview", document, 400)
        expected = ["from", f"{path}action.type", f"{path}rules.all[0].field"]
        assert [each["field"] for each in refusal["errors"]] == expected
    assert api.post("/triggers/preview", {"trigger": 5}, 400)["errors"][0]["field"] == "trigger"


def test_a_preview_ends_when_the_caller_goes_away(api: Api, played: Stage, dashboard: DashboardProcess) -> None:
    """Left while it waits for the database, it gives up at the next portion instead of judging for nobody."""
    with played.engine.begin() as holder:
        holder.execute(text("lock table transactions in access exclusive mode"))
        with pytest.raises(httpx.ReadTimeout):
            api.client.post("/triggers/preview", json=MORE, timeout=2)
    assert eventually(lambda: '"status": 499' in dashboard.log())
    assert amounts(api.post("/triggers/preview", MORE))["Inbox"] == (4950, 6930, 1980)
