"""A walk of every partner page as one partner, past everything of another's: nothing of it may show."""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from tests.dashboard import test_partner_leaks as over_the_api
from tests.dashboard.pages.browser import Browser
from tests.dashboard.pages.conftest import member_of
from tests.dashboard.running import DashboardProcess
from tests.dashboard.test_partner_leaks import ABSENT, CANARY, EARNED, PRICE
from tests.stage import Stage

#: Two partners with a customer in common, a canary in everything of the other's.
town = over_the_api.town

PATHS = ("/partner", "/partner/commissions", "/partner/customers")


@pytest.fixture
def ada(dashboard: DashboardProcess, town: Stage) -> Iterator[Browser]:
    """A member of ada's."""
    browser = member_of(dashboard, town.engine, "ada", "plain-member")
    yield browser
    browser.close()


def _keys(stage: Stage) -> list[str]:
    rows = stage.ask("""
        select key from commissions union select key from customers union select customer_key from customers
        union select key from triggers union select provider_customer_key from provider_customers
        union select subscription_key from products union select key from transactions
        union select partner_key from partners order by 1
    """)
    return [row[0] for row in rows]


def _asked(browser: Browser, path: str) -> tuple[int, str]:
    answer = browser.client.get(path)
    return answer.status_code, answer.text


def _walk(stage: Stage) -> list[str]:
    keys = [*_keys(stage), "acme", ABSENT]
    cursors = [urlencode({name: key}) for name in ("starting_after", "ending_before") for key in keys]
    lists = [f"{path}?{cursor}" for path in PATHS[1:] for cursor in cursors]
    return [*PATHS, *(f"/partner/customers/{quote(key, safe='')}" for key in keys), *lists]


def test_nothing_of_another_partner_shows_on_any_page(ada: Browser, town: Stage) -> None:
    """No canary and no amount of the other's is on any page, but in an address that the asker has typed themselves."""
    secrets = {CANARY, str(PRICE), str(EARNED), "4,321.00", "432.10"}
    statuses = set()
    for path in _walk(town):
        status, html = _asked(ada, path)
        statuses.add(status)
        assert not {secret for secret in secrets if secret in html}, path
    assert statuses == {200, 400, 404}


def test_a_page_of_anothers_customer_is_the_page_of_none(ada: Browser, town: Stage) -> None:
    """Same status and same bytes, whoever's the customer or the cursor is, and whether they are there at all."""
    foreign = [key for key in _keys(town) if CANARY in key]
    assert len(foreign) >= 8
    lists = ("/partner/customers?starting_after={}", "/partner/commissions?ending_before={}")
    for key in foreign:
        for path in ("/partner/customers/{}", *lists):
            assert _asked(ada, path.format(quote(key, safe=""))) == _asked(ada, path.format(ABSENT)), (path, key)


def test_others_products_show_name_status_and_day_alone(ada: Browser, town: Stage) -> None:
    """Of what somebody else sold to a customer of theirs, the other columns are empty."""
    rows = {row[0]: row for row in ada.get("/partner/customers/acme").cells}
    assert rows["Inbox"][3:5] == ["99.00 USD", "ada"]
    assert rows["Live Chat"][3:] == ["", "", ""]
    assert rows["Live Chat"][1] == "active"
