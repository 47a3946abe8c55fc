"""The list of faults and attacks is complete, and leads to tests that are there."""

import re

import pytest

from tests.test_meaning import TESTS, pointers

PAGE = TESTS.parent / "docs" / "faults.md"
ROWS = {
    found[1]: line
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if (found := re.match(r"\| ([FS]\d+) \|", line))
}


def test_no_fault_is_left_out() -> None:
    """All eighty faults and twenty-five attacks have a row, in order, each once."""
    numbers = re.findall(r"^\| ([FS]\d+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert numbers == [f"F{n:02}" for n in range(1, 81)] + [f"S{n}" for n in range(1, 26)]


@pytest.mark.parametrize("number", ROWS)
def test_every_fault_leads_to_a_test(number: str) -> None:
    """Each row names a test, and its file has it under that name."""
    named = pointers(ROWS[number])
    assert named, "no test is named"
    for file, name in named:
        assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8"), f"{file} has no {name}"
