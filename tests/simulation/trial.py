"""One history, played in three ways; what is wrong with any of them, or between them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from infra.database import make_engine
from infra.settings import Settings, load_settings
from tests.conftest import new_database
from tests.simulation.playing import Books, faults, play_at_once, play_in_order, play_shuffled, told_by
from tests.simulation.world import World
from tests.stage import Stage

Way = Callable[[Stage, World], None]

IN_ORDER: Way = play_in_order
AT_ONCE: Way = play_at_once


def play_shuffled_by_seed(stage: Stage, world: World) -> None:
    """Shuffled the same way every time."""
    play_shuffled(stage, world, Random(world.seed))


SHUFFLED: Way = play_shuffled_by_seed


def faults_of(server_url: str, template: str, world: World, ways: Sequence[Way]) -> list[str]:
    """Play a history in several ways, each on a database of its own; one sentence per fault or difference."""
    found: list[str] = []
    first: Books | None = None
    for play in ways:
        way = play.__name__
        with a_stage(server_url, template, settings_of(world)) as stage:
            play(stage, world)
            found += [f"{way}: {fault}" for fault in faults(stage, world)]
            books = told_by(stage)
        first = first or books
        found += [f"{way}: {difference}" for difference in _differences(first, books)]
    return found


def settings_of(world: World) -> Settings:
    """The settings that a history is played under."""
    return load_settings({"COMMISSION_BASIS": world.basis}, env_file=None)


@contextmanager
def a_stage(server_url: str, template: str, settings: Settings | None = None) -> Iterator[Stage]:
    """A stage on an empty database that is gone afterwards."""
    with new_database(server_url, template) as url:
        engine = make_engine(url, application_name="simulation", pool_size=2)
        try:
            yield Stage(engine, settings)
        finally:
            engine.dispose()


def _differences(first: Books, other: Books) -> list[str]:
    found = []
    for page, rows in first.items():
        before, after = set(map(repr, rows)), set(map(repr, other[page]))
        found += [f"{page} lacks {row}" for row in sorted(before - after)]
        found += [f"{page} has {row}" for row in sorted(after - before)]
    return found
