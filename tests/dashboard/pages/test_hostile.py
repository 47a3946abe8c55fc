"""Hostile texts in every field, and a walk over every link: all of it is shown as text, and nothing breaks."""

from collections import deque
from collections.abc import Iterator
from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from sqlalchemy import text

from domain import invariants
from infra.access import create_member_token
from infra.clock import system_clock
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from infra.sessions import open_for_member
from infra.unit_of_work import unit_of_work_on
from tests.dashboard.pages.browser import Browser, Sheet
from tests.dashboard.running import Api, DashboardProcess
from tests.stage import Stage

#: Ends a script, a comment, an attribute of either kind, a text area, and names a template's parts.
EVIL = "</script></textarea>--><img src=x onerror=alert(1)>\"'`{{7*7}}{% x %}&amp;\u202e"
#: A key that a path could take for something else.
KEY = "a/../b?c=d#e%2F&f\"<i>'"


@pytest.fixture
def town(api: Api, stage: Stage) -> Stage:
    """A program with hostile texts wherever somebody may write one, events of every state included."""
    _set_up(api)
    _pay(api)
    stage.play(
        [
            stripe.customer("cus_9", name=EVIL, email="x@example.com", metadata={"note": EVIL}),
            stripe.subscription("sub_9", customer="cus_9", items=[item("prod_9", amount=100)]),
            stripe.invoice_paid("in_9", customer="cus_9", subscription="sub_9", lines=[line("prod_9", 100)]),
        ]
    )
    _get_stuck(stage)
    api.post("/webhook_endpoints", {"url": "http://127.0.0.1:9/'<i>", "event_types": ["commission.created"]})
    with stage.engine.begin() as connection:
        told = """
            insert into webhook_deliveries (key, endpoint_key, event_type, subject, state, reason, payload, finished_at,
                next_attempt_at)
            select 'msg_' || state, key, 'commission.created', array['x'], state, :evil, :evil, now(), null
            from webhook_endpoints, unnest(array['dead', 'delivered']) state
        """
        connection.execute(text(told), {"evil": EVIL})
    return stage


def _set_up(api: Api) -> None:
    api.post("/product_book", {"name": EVIL, "description": EVIL, "external_key": KEY, "aliases": [f"alias{KEY}"]})
    members = [{"member_key": KEY, "name": EVIL}]
    texts = {"name": EVIL, "group": EVIL, "tags": [EVIL], "metadata": {EVIL: EVIL}}
    api.post("/partnerships", {"partner_key": KEY, **texts, "members": members})
    sold = {"field": "product.name", "op": "is_any_of", "value": [EVIL]}
    trigger = {
        "name": EVIL,
        "event": "transaction_created",
        "rules": {"any": [sold, {"not": {"field": "partner.group", "op": "is_any_of", "value": [EVIL]}}]},
        "action": {"type": "percent", "percent": "10"},
        "offer": {"description": EVIL},
        "exclusive_group": EVIL,
        "effective_from": 1,
    }
    api.post("/triggers", trigger)


def _pay(api: Api) -> None:
    whose = {"name": EVIL, "partner_key": KEY, "metadata": {"x": EVIL}, "attributed_at": 1}
    api.post("/customers", {"customer_key": KEY, **whose})
    paid = {"amount": 5000, "customer_key": KEY, "metadata": {EVIL: EVIL}}
    lines = [{"amount": 5000, "external_product_key": KEY}]
    api.post("/transactions", {**paid, "currency": "jpy", "key": f"pay{KEY}", "lines": lines})
    lines = [{"amount": 5000, "subscription_key": KEY}]
    api.post("/transactions", {**paid, "currency": "kwd", "key": "order-2", "lines": lines})


def _get_stuck(stage: Stage) -> None:
    stage.store([stripe.customer("cus_10", event_key="evt_10"), stripe.customer("cus_11", event_key="evt_11")])
    changes = (
        "update inbox set state = 'dead', next_attempt_at = null, finished_at = now() where event_key = 'evt_10'",
        "update inbox set state = 'waiting', next_attempt_at = now() + interval '1 hour' where event_key = 'evt_11'",
        "update inbox set reason = :evil, fingerprint = :key where event_key in ('evt_10', 'evt_11')",
        """
        insert into reconciliations (provider, scope, dry_run, requested_by, state, reason, created_at, finished_at)
        values ('stripe', 'whole', false, 'api', 'failed', :evil, now(), now())
        """,
        """
        insert into checks (started_at, finished_at, room, breaches) values (now(), now(), 'inbox', jsonb_build_array(
            jsonb_build_array(cast(:invariant as text), cast(:key as text), cast(:evil as text))))
        """,
    )
    named = {"evil": EVIL, "key": KEY, "invariant": invariants.ALL[0].__name__}
    with stage.engine.begin() as connection:
        for change in changes:
            connection.execute(text(change), {name: value for name, value in named.items() if f":{name}" in change})


@pytest.fixture
def member(dashboard: DashboardProcess, town: Stage) -> Iterator[Browser]:
    """A member of the hostile partner."""
    with unit_of_work_on(town.engine) as connection:
        _, token = create_member_token(connection, KEY, KEY)
        session = open_for_member(connection, token, system_clock())
    browser = Browser(dashboard.url, side="partner", session=session)
    yield browser
    browser.close()


def walk(browser: Browser, home: str) -> dict[str, Sheet]:
    """Every page that links lead to from `home`, by path and query; each once, and all of them there."""
    found: dict[str, Sheet] = {}
    ahead = deque([home])
    while ahead:
        path = ahead.popleft()
        if path in found or path in ("/partner/sign-in", "/api/docs"):
            continue
        if urlsplit(path).path.startswith("/exports/"):  # no page
            assert browser.client.get(path).headers["content-type"] == "text/csv; charset=utf-8"
            continue
        found[path] = browser.get(path)
        for link in found[path].links:
            parts = urlsplit(urljoin(f"http://here{path}", link))
            if not link.startswith("#"):
                ahead.append(f"{parts.path}{'?' if parts.query else ''}{parts.query}")
        assert len(found) < 400, "the pages go on for ever"
    return found


def _harmless(sheets: dict[str, Sheet]) -> int:
    """How many of these show the hostile text; none may hold it as anything but text."""
    allowed = {
        *("html", "head", "meta", "title", "link", "body", "a", "header", "div", "span", "form", "input", "button"),
        *("nav", "ul", "li", "main", "p", "h1", "h2", "h3", "dl", "dt", "dd", "table", "caption", "thead", "tbody"),
        *("tr", "th", "td", "time", "code", "pre", "label", "select", "option", "textarea", "details", "summary"),
        *("footer", "strong", "section", "br", "fieldset", "legend"),
    }
    showing = 0
    for path, sheet in sheets.items():
        assert {tag for tag, _ in sheet.tags} <= allowed, path
        assert not [name for _, found in sheet.tags for name in found if name.startswith("on")], path
        assert not [value for _, found in sheet.tags for value in found.values() if value and "javascript:" in value]
        assert len(sheet.ids) == len(set(sheet.ids)), (path, sorted(sheet.ids))
        showing += "onerror=alert(1)" in sheet.text
    return showing


def test_hostile_texts_are_shown_as_text_on_every_page(grace: Browser, town: Stage) -> None:
    """Every page that the first one leads to is there, and holds what was written as text, in no tag of its own."""
    sheets = walk(grace, "/")
    kinds = {path.strip("/").split("/")[0].split("?")[0] for path in sheets}
    assert kinds >= {
        *("commissions", "payments", "customers", "partners", "product-book", "triggers", "events", "dead-letters"),
        *("products", "reconciliations", "webhook-endpoints", "webhook-deliveries"),
    }
    assert _harmless(sheets) > 15
    assert any(path.endswith("/body") for path in sheets)


def test_a_form_leads_back_to_the_thing_it_was_for(grace: Browser, town: Stage) -> None:
    """Also where its key could be taken for another path, and with the hostile text typed anew."""
    own = "/customers/" + str(town.ask("select key from customers where customer_key = :key", key=KEY)[0][0])
    for path, back in ((f"/customers/{quote(KEY, safe='')}", own), (f"/partners/{quote(KEY, safe='')}",) * 2):
        sheet = grace.press(grace.get(path), "Save", name=f"{EVIL} again")
        assert unquote(sheet.answer.url.raw_path.decode()) == unquote(back)
        assert f"{EVIL} again" in sheet.text
    assert _harmless({path: sheet}) == 1


def test_the_partners_pages_take_it_as_well(member: Browser) -> None:
    """The offer, the commission, the customer and the product that a partner sees hold it as text."""
    sheets = walk(member, "/partner")
    assert _harmless(sheets) >= 3
    assert "500 JPY" in sheets["/partner/commissions"].text


def test_every_field_is_labelled_and_every_table_named(grace: Browser, town: Stage) -> None:
    """Inputs have a label, tables a caption and headings with their scope, pages one first heading and a language."""
    for path, sheet in walk(grace, "/").items():
        labelled = {found["for"] for tag, found in sheet.tags if tag == "label" and "for" in found}
        fields = [
            found
            for tag, found in sheet.tags
            if tag in ("input", "select", "textarea") and found.get("type") not in ("hidden", "checkbox")
        ]
        assert {found["id"] for found in fields} <= labelled, path
        tags = [tag for tag, _ in sheet.tags]
        assert tags.count("table") == tags.count("caption"), path
        assert all("scope" in found for tag, found in sheet.tags if tag == "th"), path
        assert tags.count("h1") == 1, path
        assert ("html", {"lang": "en"}) in sheet.tags


def test_amounts_have_the_decimals_of_their_currency(grace: Browser, town: Stage) -> None:
    """Yen have none, dinars three."""
    text_of = grace.get("/payments").text
    assert "5,000 JPY" in text_of
    assert "5.000 KWD" in text_of


@pytest.mark.parametrize("path", ["/customers/..%2F..%2Fsign-in", "/commissions/%3Cscript%3E", "/partner/x", "/a//b"])
def test_an_address_that_leads_nowhere_is_a_page(grace: Browser, path: str) -> None:
    """Nothing of the address is repeated in the answer as anything but text."""
    answer = grace.client.get(path, follow_redirects=True)
    assert answer.status_code in (200, 404)
    assert "<script" not in answer.text
