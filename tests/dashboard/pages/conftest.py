"""People in front of the pages of a real process: a program manager, a partner's member, and nobody."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from infra.access import create_member_token
from infra.clock import system_clock
from infra.people import create_person
from infra.program_changes import change_partner
from infra.sessions import open_for_member, open_for_person
from infra.unit_of_work import unit_of_work_on
from tests.dashboard.pages.browser import Browser
from tests.dashboard.running import DashboardProcess
from tests.stage import Stage
from worker import story

EMAIL, PASSWORD = "grace@example.com", "a password of some length"


@pytest.fixture
def grace(dashboard: DashboardProcess, dashboard_engine: Engine) -> Iterator[Browser]:
    """A program manager, signed in."""
    with unit_of_work_on(dashboard_engine) as connection:
        create_person(connection, EMAIL, PASSWORD, "Grace")
        session = open_for_person(connection, EMAIL, system_clock())
    browser = Browser(dashboard.url, session=session)
    yield browser
    browser.close()


@pytest.fixture
def stranger(dashboard: DashboardProcess) -> Iterator[Browser]:
    """Nobody yet."""
    browser = Browser(dashboard.url)
    yield browser
    browser.close()


@pytest.fixture
def told(stage: Stage) -> Stage:
    """The GigaKick story, as the demo plays it."""
    with unit_of_work_on(stage.engine) as connection:
        story.set_up(connection)
    stage.play(story.events())
    assert sorted(row[4] for row in stage.commissions()) == [490, 1980]
    return stage


def member_of(dashboard: DashboardProcess, engine: Engine, partner: str, member: str) -> Browser:
    """A member of a partner, signed in."""
    with unit_of_work_on(engine) as connection:
        _, token = create_member_token(connection, partner, member)
        session = open_for_member(connection, token, system_clock())
    return Browser(dashboard.url, side="partner", session=session)


@pytest.fixture
def bob(dashboard: DashboardProcess, told: Stage) -> Iterator[Browser]:
    """A member of ada, the story's partner, signed in."""
    with unit_of_work_on(told.engine) as connection:
        change_partner(connection, "ada", {"members": [{"member_key": "bob"}]}, system_clock())
    browser = member_of(dashboard, told.engine, "ada", "bob")
    yield browser
    browser.close()
