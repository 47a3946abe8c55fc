"""What holds for every page: who is let in, which forms count, what each answer carries."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dashboard import pages
from tests.dashboard.pages.browser import SESSION, Browser
from tests.stage import Stage
from worker import story

#: In paths: keys that there are, in the story.
KEYS = {
    "commissions": "cmsn_none",
    "payments": story.TRANSACTION,
    "customers": "acme",
    "partners": "ada",
    "products": "sub_gigakick_acme/prod_gigakick_inbox",
    "product-book": "pbook_none",
    "triggers": "trg_gigakick_inbox",
    "reconciliations": "1",
    "webhook-endpoints": "whep_none",
    "webhook-deliveries": "msg_none",
    "partner": "acme",
}
OPEN = {"/sign-in", "/partner/sign-in"}


def _routes() -> Iterator[tuple[str, str]]:
    """(method, path) of every page, with keys in their places."""
    modules = [
        importlib.import_module(f"{pages.__name__}.{each.name}") for each in pkgutil.iter_modules(pages.__path__)
    ]
    routers = [module.router for module in modules if hasattr(module, "router")]
    for path, method in sorted(set(_walk([route for router in routers for route in router.routes]))):
        if path not in OPEN:
            key = KEYS.get(path.strip("/").split("/")[0], "1")
            yield method, path.replace("{key:path}", key).replace("{key}", key).format(id=1, act="replay")


def _walk(routes: Any) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "methods"):
            yield from ((route.path, method) for method in route.methods)
        else:
            yield from _walk(route.original_router.routes)


ROUTES = list(_routes())
MANAGERS = [(method, path) for method, path in ROUTES if not re.match(r"/partner(/|$)", path)]
PARTNERS = [route for route in ROUTES if route not in MANAGERS]


def test_the_walk_knows_every_page() -> None:
    """There are pages of both sides, each with something to read and something to send."""
    assert len(MANAGERS) > 30
    assert {path for _, path in PARTNERS} >= {"/partner", "/partner/commissions", "/partner/customers/acme"}
    assert {method for method, _ in ROUTES} == {"GET", "POST"}


def test_nobody_is_led_to_the_door(stranger: Browser) -> None:
    """Every page, read or sent to, leads whoever is not signed in to the form of its own side."""
    for method, path in ROUTES:
        answer = stranger.client.request(method, path, data={"x": "y"} if method == "POST" else None)
        side = "/partner/sign-in" if (method, path) in PARTNERS else "/sign-in"
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, side), (method, path)


def test_each_side_has_nothing_on_the_other(bob: Browser, grace: Browser) -> None:
    """For a partner's member no page of the managers is there, whichever cookie they bring, and the other way round."""
    member = bob.client.cookies[SESSION["partner"]]
    person = grace.client.cookies[SESSION["manager"]]
    walks = [
        (MANAGERS, {SESSION["partner"]: member}),
        (MANAGERS, {SESSION["manager"]: member}),
        (PARTNERS, {SESSION["manager"]: person}),
        (PARTNERS, {SESSION["partner"]: person}),
    ]
    for routes, cookies in walks:
        for method, path in routes:
            data = {"x": "y"} if method == "POST" else None
            answer = httpx.request(method, f"{bob.client.base_url}{path}", cookies=cookies, data=data)
            assert answer.status_code == httpx.codes.NOT_FOUND, (method, path, answer.status_code)
            assert "Inbox" not in answer.text


def test_no_form_counts_without_the_token_of_its_session(grace: Browser, bob: Browser, told: Stage) -> None:
    """Nothing is done by a form without a token, with another session's, or sent from another site."""
    before = told.books()
    for browser, routes in ((grace, MANAGERS), (bob, PARTNERS)):
        other = (bob if browser is grace else grace).get("/partner" if browser is grace else "/").forms[0]
        for method, path in routes:
            if method == "GET":
                continue
            for fields in ({}, {"form_token": "x"}, {"form_token": other.fields["form_token"]}):
                assert browser.client.post(path, data=fields).status_code == httpx.codes.FORBIDDEN, path
            own = browser.get("/" if browser is grace else "/partner").forms[0].fields
            headers = {"sec-fetch-site": "cross-site"}
            assert browser.client.post(path, data=own, headers=headers).status_code == httpx.codes.FORBIDDEN, path
    assert told.books() == before
    assert told.ask("select action from audit_log") == []


@pytest.mark.parametrize("path", ["/", "/commissions", "/sign-in", "/partner/sign-in", "/nothing", "/commissions?x=1"])
def test_every_page_forbids_what_it_does_not_need(grace: Browser, path: str) -> None:
    """No script, no frame, nothing from elsewhere, nothing kept, nothing guessed."""
    answer = grace.client.get(path)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|//\w", answer.text)


def test_the_style_sheet_may_be_kept_because_its_name_changes(stranger: Browser) -> None:
    """The sheet is named by its content, kept for ever, and loads nothing itself; another name leads nowhere."""
    (path,) = [str(found["href"]) for tag, found in stranger.get("/sign-in").tags if found.get("rel") == "stylesheet"]
    sheet = stranger.client.get(path)
    assert "immutable" in sheet.headers["cache-control"]
    assert sheet.headers["content-type"] == "text/css; charset=utf-8"
    assert "url(" not in sheet.text
    assert "@import" not in sheet.text
    assert stranger.client.get("/static/pages.css").status_code == httpx.codes.NOT_FOUND
    assert stranger.client.get("/static/..%2Frendering.py").status_code == httpx.codes.NOT_FOUND


def test_what_is_not_a_form_is_refused(grace: Browser) -> None:
    """A body of another kind, of another size or of bytes that are no text is refused, as a page."""
    token = grace.get("/").forms[0].fields["form_token"]
    form = {"content-type": "application/x-www-form-urlencoded"}
    for content, headers, status in (
        (b"{}", {"content-type": "application/json"}, 415),
        (b"a=" + b"x" * 1024 * 1024, form, 413),
        (b"name=%FF&form_token=" + token.encode(), form, 400),
        (b"name=%00&form_token=" + token.encode(), form, 400),
        (b"&".join(b"a%d=1" % number for number in range(300)), form, 400),
    ):
        answer = grace.client.post("/product-book", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.text.startswith("<!doctype html>")
