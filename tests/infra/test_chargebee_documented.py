"""The Chargebee half of docs/events.md points at cases that are there and show what they are said to show."""

import re
from pathlib import Path

import pytest

from tests.corpus.cases import Case, cases

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "events.md").read_text(encoding="utf-8").partition("\n## Chargebee\n")[2]
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]
CASES = {f"corpus/chargebee/{case.file.name}": case for case in cases("chargebee")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_row_is_shown_by_a_case(row: str) -> None:
    """The case that a row points at carries the resource that the row is about."""
    resources = re.findall(r"`(\w+)`", row.split("|")[1])
    shown: Case = CASES[re.findall(r"`(corpus/[^`]+)`", row)[0]]
    assert set(resources) & set(shown.event["content"])


def test_every_resource_that_is_read_has_a_row() -> None:
    """Whatever the corpus has a fact from is on the page."""
    read = {name for case in CASES.values() if isinstance(case.expect, list) for name in case.event["content"]}
    documented = {name for row in ROWS for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert {name.removesuffix("s") for name in read} == documented
