"""Folders for whole programs: reachable by the account that PostgreSQL runs as, and swept of processes afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import reachable_folder
from tests.end_to_end.program import nothing_left


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of this test's own; whatever ran in it is gone in the end."""
    with reachable_folder() as made:
        yield made
        assert nothing_left(made) == {}


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """A folder for what the tests of a module share; whatever ran in it is gone in the end."""
    with reachable_folder() as made:
        yield made
        assert nothing_left(made) == {}
