"""The map of what the program means leads to tests that are there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MAP = TESTS.parent / "docs" / "meaning.md"
SHORT = {
    "S": "domain/test_stories_of_rules.py",
    "O": "domain/test_stories_others_get_wrong.py",
    "W": "worker/test_story.py",
    "M": "worker/test_story_of_money.py",
    "T": "domain/test_stories_of_money.py",
}
POINTER = re.compile(r"`(?P<file>[\w/]+\.py): (?P<test>[^`]+)`|\b(?P<short>[SOWMT]): `(?P<story>[^`]+)`")


def pointers(line: str) -> list[tuple[str, str]]:
    """(file, test or story) of every pointer in a line."""
    return [
        (found["file"] or SHORT[found["short"]], found["test"] or found["story"]) for found in POINTER.finditer(line)
    ]


ROWS = [
    line
    for line in MAP.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| what is so", "| ---"))
]


def test_the_map_is_not_empty() -> None:
    """It has a row for every rule of meaning, and rows are found."""
    assert len(ROWS) > 60


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_rule_of_meaning_leads_to_a_test(row: str) -> None:
    """Each row names a test or a story, and its file has it under that name."""
    named = pointers(row)
    assert named, "no test is named"
    for file, name in named:
        text = (TESTS / file).read_text(encoding="utf-8")
        wanted = rf"def {name}\(" if name.startswith("test_") else rf"\"{re.escape(name)}\":"
        assert re.search(wanted, text), f"{file} has no {name}"
