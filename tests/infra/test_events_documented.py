"""docs/events.md and the translator's tables name the same types, and every example is there."""

import json
import re
from pathlib import Path

import pytest

from infra.providers.stripe.translate import NOT_USED, USED

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "events.md").read_text(encoding="utf-8")
STRIPE = PAGE.partition("\n## Stripe\n")[2].partition("\n## ")[0]
RECORDED = REPOSITORY.parent / "shared" / "payloads"


def rows(columns: int) -> dict[str, str]:
    """Type and last column of the tables with so many columns."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in STRIPE.splitlines() if "|" in line]
    return {row[0].strip("`"): row[-1] for row in cells if len(row) == columns and row[0].startswith("`")}


def test_every_used_type_is_documented() -> None:
    """The page's used types are exactly those that have a translator."""
    assert set(rows(5)) == set(USED)


def test_every_known_but_unused_type_is_documented() -> None:
    """The page's unused types are exactly those that are turned away by name."""
    assert set(rows(2)) == set(NOT_USED)


@pytest.mark.parametrize(("event_type", "shown"), rows(5).items())
def test_every_example_shows_its_type(event_type: str, shown: str) -> None:
    """The event that is pointed at is of that type, unless it stands for another that is read alike."""
    (name,) = re.findall(r"`([^`]+)`", shown)
    file = REPOSITORY / "tests" / name if name.startswith("corpus/") else RECORDED / name.removeprefix("payloads/")
    if name.startswith("payloads/") and not RECORDED.is_dir():
        pytest.skip("recorded payloads are not part of this checkout (../shared/payloads)")
    kept = json.loads(file.read_bytes())
    event = kept["event"] if name.startswith("corpus/") else kept
    if shown.startswith("like "):
        assert USED[event["type"]] is USED[event_type]
    else:
        assert event["type"] == event_type
