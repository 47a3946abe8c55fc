"""A few drawn histories against the oracle: the shortest way to see that a rule has broken."""

import pytest

from tests.simulation.in_memory import faults_of_seed


@pytest.mark.parametrize("seed", [8, 17, 23, 32, 75, 662])
def test_every_order_ends_in_the_books_the_oracle_expects(seed: int) -> None:
    """Told in order, shuffled with repeats and in one batch, a history ends right to the cent."""
    assert faults_of_seed(seed) == []
