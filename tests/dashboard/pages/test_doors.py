"""Signing in and out: who gets in, what they are told otherwise, and what a session is worth."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine, text

from dashboard.rate_limits import RateLimits
from infra.access import create_member_token, revoke_member_token
from infra.clock import system_clock
from infra.people import create_person
from infra.program_changes import create_partner
from infra.unit_of_work import unit_of_work_on
from tests.dashboard.pages.browser import Browser, Sheet
from tests.dashboard.pages.conftest import EMAIL, PASSWORD
from tests.dashboard.running import DashboardProcess
from tests.stage import LONG_AGO, Stage


@pytest.fixture
def person(dashboard: DashboardProcess, dashboard_engine: Engine) -> None:
    """Somebody who may sign in."""
    with unit_of_work_on(dashboard_engine) as connection:
        create_person(connection, EMAIL, PASSWORD)


def _try(browser: Browser, email: str, password: str, status: int = 403) -> Sheet:
    return browser.press(browser.get("/sign-in"), "Sign in", status, email=email, password=password)


@pytest.mark.usefixtures("person")
def test_a_person_signs_in_and_out(stranger: Browser, stage: Stage) -> None:
    """The right password leads to the page that was asked for; signing out ends the session for every copy of it."""
    door = stranger.client.get("/commissions?reward_status=pending", follow_redirects=True)
    sheet = stranger.press(Sheet(door), "Sign in", email=EMAIL.upper(), password=PASSWORD)
    assert str(sheet.answer.url).endswith("/commissions?reward_status=pending")
    copied = dict(stranger.client.cookies)
    stranger.press(sheet, "Sign out")
    again = httpx.get(f"{stranger.client.base_url}/commissions", cookies=copied)
    assert (again.status_code, again.headers["location"]) == (303, "/sign-in?next=%2Fcommissions")
    assert stage.ask("select action, subject from audit_log") == [("session.opened", f"person:{EMAIL}")]


@pytest.mark.usefixtures("person")
def test_a_wrong_password_and_an_unknown_address_are_told_the_same(stranger: Browser) -> None:
    """Status and page are the same, but for the address that was typed; the password is never shown again."""
    sheets = [_try(stranger, EMAIL, "x" * 20), _try(stranger, "nobody@example.com", "x" * 20)]
    shown = {sheet.html.replace(EMAIL, "...").replace("nobody@example.com", "...") for sheet in sheets}
    assert len(shown) == 1
    assert "do not sign anybody in" in sheets[0].text
    assert "x" * 20 not in sheets[0].html


@pytest.mark.usefixtures("person")
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(stranger: Browser) -> None:
    """HttpOnly and SameSite always; over https Secure, and named so that nothing without https can set it."""
    for headers, name, is_secure in (
        ({}, "attribution-manager-manager", False),
        ({"x-forwarded-proto": "https"}, "__Host-attribution-manager-manager", True),
    ):
        door = httpx.get(f"{stranger.client.base_url}/sign-in", headers=headers)
        fields = {**Sheet(door).forms[0].fields, "email": EMAIL, "password": PASSWORD}
        answer = httpx.post(
            f"{stranger.client.base_url}/sign-in", data=fields, cookies=dict(door.cookies), headers=headers
        )
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
        (cookie,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{name}=")]
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        assert ("Secure" in cookie.split("; ")) == is_secure


@pytest.mark.usefixtures("person")
def test_a_form_from_elsewhere_signs_nobody_in(stranger: Browser) -> None:
    """Without the token of the browser's own form, or sent by another site, the right password opens nothing."""
    stranger.get("/sign-in")
    right = {"email": EMAIL, "password": PASSWORD}
    for fields in (right, {**right, "form_token": "0" * 64}):
        assert stranger.client.post("/sign-in", data=fields).status_code == httpx.codes.FORBIDDEN
    fields = {**stranger.get("/sign-in").forms[0].fields, **right}
    refused = stranger.client.post("/sign-in", data=fields, headers={"sec-fetch-site": "cross-site"})
    assert refused.status_code == httpx.codes.FORBIDDEN
    assert stranger.client.get("/").status_code == httpx.codes.SEE_OTHER


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x"])
def test_signing_in_leads_nowhere_else(stranger: Browser, elsewhere: str) -> None:
    """An address outside the pages is forgotten: the first page follows."""
    fields = {**stranger.get("/sign-in").forms[0].fields, "email": EMAIL, "password": PASSWORD, "next": elsewhere}
    assert stranger.client.post("/sign-in", data=fields).headers["location"] == "/"


@pytest.mark.usefixtures("person")
def test_trying_often_has_to_wait(stranger: Browser) -> None:
    """Ten attempts as one person are answered, soon even the right password has to wait, and is told how long."""
    for _ in range(10):
        _try(stranger, EMAIL, "not this one at all")
    # A few more, where a minute ends in the middle of them.
    fields = {**stranger.get("/sign-in").forms[0].fields, "email": EMAIL, "password": "not this one at all"}
    answers = (stranger.client.post("/sign-in", data=fields).status_code for _ in range(15))
    assert httpx.codes.TOO_MANY_REQUESTS in answers
    refused = _try(stranger, EMAIL, PASSWORD, 429)
    assert 1 <= int(refused.answer.headers["retry-after"]) <= 60
    assert "tried too often" in refused.text


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize(
    "change",
    [
        "update people set disabled_at = now()",
        "update sessions set expires_at = now()",
        "delete from sessions",
    ],
)
def test_a_session_ends_with_what_it_rests_on(grace_in: Browser, stage: Stage, change: str) -> None:
    """A person shut out, a session too old and one ended elsewhere are nobody at the next request."""
    grace_in.get("/")
    with stage.engine.begin() as connection:
        connection.execute(text(change))
    assert grace_in.client.get("/").headers["location"] == "/sign-in"


@pytest.fixture
def grace_in(stranger: Browser, person: None) -> Browser:
    """The person, signed in by the form."""
    _try(stranger, EMAIL, PASSWORD, 200)
    return stranger


def test_a_member_comes_in_with_a_token_until_it_is_revoked(stranger: Browser, stage: Stage) -> None:
    """The token opens the partner's pages and no other; once revoked, the session it opened is over too."""
    with unit_of_work_on(stage.engine) as connection:
        create_partner(connection, "ada", {"members": [{"member_key": "bob"}]}, LONG_AGO)
        key, token = create_member_token(connection, "ada", "bob")
    wrong = stranger.press(stranger.get("/partner/sign-in"), "Sign in", 403, token="mem_wrong")
    assert "does not sign anybody in" in wrong.text
    sheet = stranger.press(stranger.get("/partner/sign-in"), "Sign in", token=token)
    assert "bob of ada" in sheet.text
    assert token not in sheet.html
    with unit_of_work_on(stage.engine) as connection:
        revoke_member_token(connection, "ada", key, system_clock())
    assert stranger.client.get("/partner").headers["location"] == "/partner/sign-in"


@pytest.mark.usefixtures("person")
def test_nothing_of_a_person_is_logged(grace_in: Browser, dashboard: DashboardProcess) -> None:
    """Neither the address nor the password nor the session is in the log; who asks is known by a digest."""
    grace_in.get("/commissions")
    log = dashboard.log()
    secrets = [EMAIL, PASSWORD, *dict(grace_in.client.cookies).values()]
    assert not [each for each in secrets if each in log]
    assert '"actor": "person:' in log or '"actor":"person:' in log


def test_spaces_are_a_part_of_a_password(stranger: Browser, stage: Stage) -> None:
    """What a person chose at the command line opens the page, spaces at its ends included."""
    with unit_of_work_on(stage.engine) as connection:
        create_person(connection, EMAIL, "  spaces at both ends ")
    _try(stranger, EMAIL, "spaces at both ends")
    assert "Sign out" in _try(stranger, EMAIL, "  spaces at both ends ", 200).text


def test_a_fault_is_a_page_without_detail(grace_in: Browser, stage: Stage) -> None:
    """What goes wrong in the program is told as a number to look for in the log, and as nothing else."""
    stage.tamper("alter table checks rename column breaches to other_breaches")
    stage.tamper("insert into checks (started_at, finished_at, room) values (now(), now(), 'inbox')")
    try:
        sheet = grace_in.get("/", 500)
    finally:
        stage.tamper("alter table checks rename column other_breaches to breaches")
    assert f"written down as request {sheet.answer.headers['x-request-id']}" in sheet.text
    assert "breaches" not in sheet.html


def test_sessions_are_kept_as_digests_and_cleared_away(grace_in: Browser, stage: Stage) -> None:
    """The table holds nothing that opens anything, and a session that is over is gone at the next sign-in."""
    value = dict(grace_in.client.cookies)["attribution-manager-manager"]
    (row,) = stage.ask("select encode(digest, 'escape'), email, expires_at - created_at from sessions")
    assert value not in row[0]
    assert row[2] == timedelta(hours=12)
    stage.tamper("update sessions set expires_at = now() - interval '1 second'")
    _try(grace_in, EMAIL, PASSWORD, 200)
    assert len(stage.ask("select 1 from sessions")) == 1


def test_attempts_are_counted_without_redis_too() -> None:
    """While Redis is away, callers are not turned away, but whoever tries to sign in is counted all the same."""
    limits = RateLimits("redis://127.0.0.1:1", 1)
    assert [limits.wait_of_caller("key:x") for _ in range(3)] == [None] * 3
    waits = [limits.wait_of_sign_in("192.0.2.1", "grace") for _ in range(25)]
    assert waits[:10] == [None] * 10
    assert waits[24] is not None
    limits.close()


@pytest.mark.usefixtures("person")
def test_a_form_that_comes_too_late_is_said_to_be_lost(grace_in: Browser, stage: Stage) -> None:
    """The door says that nothing was changed and leads back to the form's page, if that is one of ours."""
    form = grace_in.get("/partners").form("Add")
    with stage.engine.begin() as connection:
        connection.execute(text("delete from sessions"))
    fields, here = {**form.fields, "partner_key": "ada"}, str(grace_in.client.base_url).rstrip("/")
    for page, following in ((f"{here}/partners?tag=x", "/partners?tag=x"), ("https://evil.example//evil", "/")):
        door = grace_in.client.post("/partners", data=fields, headers={"referer": page}).headers["location"]
        sheet = grace_in.get(door)
        assert "nothing was changed" in sheet.text
        assert sheet.form("Sign in").fields["next"] == following
    assert stage.ask("select count(*) from partners") == [(0,)]
