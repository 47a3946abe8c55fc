"""A short campaign in every run; `make chaos` breaks the program for longer, in every way there is."""

from tests.chaos.business import draw_business
from tests.chaos.campaign import run_campaign
from tests.chaos.schedule import EVERY_S, Kind, draw_faults
from tests.simulation.in_memory import faults, play_at_once


def test_broken_under_load_it_loses_and_doubles_nothing() -> None:
    """A few seconds of faults under load: what was acknowledged is stored, done once, and worth what it should be."""
    verdict = run_campaign(3, 5, 30, quiet_within_s=60)
    assert verdict.off == []
    assert verdict.faults >= 1
    assert verdict.duplicates > 10
    assert verdict.commissions > 50


def test_a_seed_is_a_schedule() -> None:
    """The same seed breaks the same things at the same times, another one others; in time every kind has its turn."""
    assert draw_faults(7, 60) == draw_faults(7, 60) != draw_faults(8, 60)
    kinds = {fault.kind for fault in draw_faults(7, 2 * EVERY_S * len(Kind))}
    assert kinds == set(Kind)


def test_what_is_delivered_is_what_the_oracle_judges() -> None:
    """Each customer's events alone, without any fault, end in the books that the campaign expects of them."""
    business = draw_business(5, 300)
    assert len({delivery.event_key for delivery in business.deliveries}) < len(business.deliveries)
    for world in business.customers:
        assert faults(play_at_once(world), world) == []
