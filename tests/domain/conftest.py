"""Every test of the rules judges afresh: nothing is remembered from the test before it.

`--hypothesis-profile mutation` is for `make mutate`, which only asks whether anything fails, and thousands of times.
"""

import pytest
from hypothesis import Phase, settings

from domain import periods, windows

settings.register_profile(
    "mutation", phases=(Phase.explicit, Phase.generate), database=None, print_blob=False, deadline=None
)


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """The calendar remembers its answers; a test must not see another's."""
    periods._shift_utc.cache_clear()
    windows._period_utc.cache_clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Under mutation the quick tests come first: tables, then whole histories, then properties."""
    if config.getoption("hypothesis_profile", None) == "mutation":
        items.sort(key=lambda item: (hasattr(item.obj, "hypothesis"), "seed" in item.fixturenames))
