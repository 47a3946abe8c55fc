"""A few histories in every run; `python -m tests.simulation --seeds 0:1000` plays as many as there is time for."""

import pytest

from tests.simulation.histories import draw
from tests.simulation.oracle import expected
from tests.simulation.trial import AT_ONCE, IN_ORDER, SHUFFLED, faults_of


@pytest.mark.parametrize("seed", range(4))
def test_order_repetition_and_batches_change_nothing(server_url: str, template_database: str, seed: int) -> None:
    """A history played one by one, shuffled with repeats, and in one batch ends in the books the oracle expects."""
    assert faults_of(server_url, template_database, draw(seed, 2), (AT_ONCE, SHUFFLED, IN_ORDER)) == []


@pytest.mark.parametrize("seed", range(100, 108))
def test_one_customer_in_any_order(server_url: str, template_database: str, seed: int) -> None:
    """One customer's history, shuffled or in one batch, ends in the books that the oracle expects."""
    assert faults_of(server_url, template_database, draw(seed, 1), (AT_ONCE, SHUFFLED)) == []


def test_the_histories_are_worth_playing() -> None:
    """Among those played are commissions on lines and on the whole, and money taken back of both."""
    rows = [row for seed in range(4) for row in expected(draw(seed, 2))]
    kinds = {(line is not None, amount > 0) for _, _, line, _, amount, *_ in rows}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}
