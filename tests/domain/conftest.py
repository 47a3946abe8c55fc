"""Every test of the rules judges afresh: nothing is remembered from the test before it."""

import pytest

from domain import periods, windows

pytest.register_assert_rewrite("tests.domain.tables")


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """The calendar remembers its answers; a test must not see another's."""
    periods._shift_utc.cache_clear()
    windows._period_utc.cache_clear()
