"""Lists as files: each links to the CSV of what it lists, on all its pages, for whoever signed in."""

import csv
import io
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.dashboard.pages.browser import Browser
from tests.stage import Stage


def _file(browser: Browser, path: str) -> tuple[str, list[dict[str, str]]]:
    """Where a list's file is, and its rows."""
    (link,) = [link for link in browser.get(path).links if link.startswith("/exports/")]
    answer = browser.client.get(link)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    return link, list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize(
    ("path", "column", "values"),
    [
        ("/commissions", "amount", ["490", "1980"]),
        ("/commissions?reward_status=paid", "amount", []),
        ("/commissions?partner_key=ada&limit=1", "amount", ["490", "1980"]),
        ("/payments?customer_key=acme", "external_product_key", ["prod_gigakick_live_chat", "prod_gigakick_inbox"]),
        ("/payments?linked=false", "key", []),
        ("/customers?partner_key=ada", "customer_key", ["acme"]),
        ("/partners", "partner_key", ["ada"]),
        ("/products?status=churned", "external_product_key", ["prod_gigakick_live_chat"]),
        ("/product-book", "name", ["Inbox", "Knowledge Base", "Live Chat", "Surveys"]),
    ],
)
def test_a_list_leads_to_the_file_of_what_it_lists(
    grace: Browser, told: Stage, path: str, column: str, values: list[str]
) -> None:
    """The filters shown are the file's, and a page's size is not; that it was written is audited to the person."""
    if not values:  # an empty list has no file; the address of a full one with its filters does
        link, _ = _file(grace, urlsplit(path).path)
        answer = grace.client.get(link.partition("?")[0], params=parse_qs(urlsplit(path).query))
        assert list(csv.DictReader(io.StringIO(answer.text))) == []
        return
    link, rows = _file(grace, path)
    assert sorted(row[column] for row in rows) == sorted(values)
    kind = link.removeprefix("/exports/").partition("?")[0]
    written = told.ask("select actor, subject from audit_log where action = 'export.written'")
    assert written == [("person:grace@example.com", kind)]


def test_archived_entries_are_in_the_file_of_archived_ones_alone(grace: Browser, told: Stage) -> None:
    """The product book's list shows what is sold now, and so does its file."""
    told.tamper("update product_book set archived = true where external_key = 'prod_gigakick_inbox'")
    assert "Inbox" not in {row["name"] for row in _file(grace, "/product-book")[1]}
    assert [row["name"] for row in _file(grace, "/product-book?archived=true")[1]] == ["Inbox"]


def test_a_list_of_days_is_a_file_of_days(grace: Browser, told: Stage) -> None:
    """Days of the program's zone, both included, narrow the list and its file alike; a day that is none is refused."""
    ((paid_on,),) = told.ask("select occurred_at::date from transactions")
    for since, until, count in ((paid_on, paid_on, 2), ("0001-01-01", "9999-12-31", 2), ("2999-01-01", "", 0)):
        sheet = grace.press(grace.get("/payments"), "Show", since=str(since), until=str(until))
        links = [link for link in sheet.links if link.startswith("/exports/")]
        assert len(links) == (count > 0), (since, until)
        for link in links:
            assert len(list(csv.DictReader(io.StringIO(grace.client.get(link).text)))) == count
        assert sheet.form("Show").fields["since"] == str(since)
    refused = grace.get("/payments?since=2026-02-30", 400)
    assert "since must be a day, such as 2026-01-31" in refused.text


def test_approving_keeps_to_the_days(grace: Browser, told: Stage) -> None:
    """What is asked to be approved is of the days that the list shows."""
    sheet = grace.get("/commissions?since=2026-01-01")
    assert "Approve 2 pending" in grace.press(sheet, "Approve all pending of these ...").text
    assert "Nothing is pending here" in grace.get("/commissions/approve?until=2026-01-01").text


def test_a_file_is_nobody_elses(bob: Browser, stranger: Browser) -> None:
    """A partner's member finds none, and whoever is not signed in is led to the door."""
    assert bob.client.get("/exports/rewards").status_code == 404
    assert stranger.client.get("/exports/rewards").headers["location"].startswith("/sign-in")
