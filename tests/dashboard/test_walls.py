"""Who is let in where: every operation there is, walked by everybody who must not be let in."""

import re

import httpx
import pytest
from sqlalchemy import text

from infra.access import list_api_keys, revoke_api_key
from infra.clock import system_clock
from tests.dashboard.contract import DOCUMENT, OPERATIONS, is_for_members, named
from tests.dashboard.running import Api, DashboardProcess
from tests.stage import Stage

#: What is open to everybody: that it lives, whether it is ready, and how the API is described.
OPEN = {"/healthz", "/readyz", "/api/docs", "/api/openapi.json"}


def knock(url: str, place: tuple[str, str], headers: dict[str, str]) -> httpx.Response:
    """One request to an operation, its path filled in with a key that a real one could have."""
    method, path = place
    body: dict[str, str] | None = {} if method in ("POST", "PATCH", "PUT") else None
    return httpx.request(method, url + re.sub(r"\{\w+\}", "ada", path), headers=headers, json=body, timeout=30)


@pytest.mark.parametrize("place", OPERATIONS, ids=named)
def test_nobody_comes_in_by_the_wrong_door(
    place: tuple[str, str], dashboard: DashboardProcess, api: Api, member: Api
) -> None:
    """Without credentials, with the other side's, and with wrong ones, every operation gives the same 401."""
    wrong = api if is_for_members(*place) else member
    spoilt = {"Authorization": api.headers["Authorization"][:-8] + "AAAAAAA="}
    answers = [
        knock(dashboard.url, place, headers)
        for headers in ({}, wrong.headers, spoilt, {"Authorization": "Bearer mem_" + "A" * 43})
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["errors"] == []
    assert "www-authenticate" in answers[0].headers


@pytest.mark.parametrize("place", OPERATIONS, ids=named)
def test_the_right_door_opens(place: tuple[str, str], dashboard: DashboardProcess, api: Api, member: Api) -> None:
    """With the credentials that an operation asks for, the answer is never that they do not open it."""
    right = member if is_for_members(*place) else api
    assert knock(dashboard.url, place, right.headers).status_code not in (401, 403, 405)


def test_every_partner_path_is_a_members_and_no_other() -> None:
    """Tokens of members open what lies below /partner, and nothing else."""
    for method, path in OPERATIONS:
        assert is_for_members(method, path) == path.startswith("/api/v2/partner/"), path


def test_nothing_is_open_but_what_must_be(dashboard: DashboardProcess) -> None:
    """Beside the operations that are described, only health and the description answer strangers."""
    assert {path for path in OPEN if httpx.get(dashboard.url + path).status_code == httpx.codes.OK} == OPEN
    assert not OPEN & set(DOCUMENT["paths"])
    assert {path.split("/")[1] for path in DOCUMENT["paths"]} == {"api"}


def test_what_is_revoked_opens_nothing(api: Api, member: Api, stage: Stage) -> None:
    """From the moment it is revoked, a key or a token is as good as none."""
    api.get("/product_book")
    with stage.engine.begin() as connection:
        for key in list_api_keys(connection):
            assert revoke_api_key(connection, key.public_key, system_clock())
            assert not revoke_api_key(connection, key.public_key, system_clock())
        connection.execute(text("update member_tokens set revoked_at = now()"))
    api.get("/product_book", 401)
    for method, path in OPERATIONS:
        if is_for_members(method, path):
            member.call(method, path.removeprefix("/api/v2").replace("{key}", "ada"), 401)
