"""Idempotency-Key: one effect and one answer, however often and however simultaneously a request comes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import text

from dashboard.idempotency import KEPT_FOR, lock_of
from infra.access import create_api_key
from infra.unit_of_work import unit_of_work_on
from tests.dashboard.running import Api, DashboardProcess
from tests.stage import Stage

AT_ONCE = 8
#: A new token each time it is done: what is done twice is seen.
ADA = {"partner_key": "ada", "members": [{"member_key": "bob"}]}


def entry(name: str) -> dict[str, str]:
    """A body."""
    return {"name": name}


def test_of_simultaneous_requests_one_is_done(api: Api, stage: Stage) -> None:
    """Eight threads with one key: one effect, one audit row, eight equal answers."""

    def send(_: int) -> httpx.Response:
        with httpx.Client(base_url=api.client.base_url, headers=api.headers, timeout=30) as client:
            return client.post("/partnerships", json=ADA, headers={"Idempotency-Key": "once"})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(send, range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == AT_ONCE - 1
    assert stage.ask("select action from audit_log") == [("partnership.created",)]


def test_of_simultaneous_different_requests_one_is_done(api: Api) -> None:
    """Eight threads with one key and eight bodies: one is done, the others are refused with 409."""

    def send(number: int) -> int:
        with httpx.Client(base_url=api.client.base_url, headers=api.headers, timeout=30) as client:
            body = entry(f"Product {number}")
            return client.post("/product_book", json=body, headers={"Idempotency-Key": "once"}).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sorted(pool.map(send, range(AT_ONCE))) == [200] + [409] * (AT_ONCE - 1)
    assert len(api.get("/product_book")["items"]) == 1


def test_the_same_words_in_another_order_are_the_same_request(api: Api) -> None:
    """White space and the order of names say nothing; another value does, and so does another order of a list."""

    def send(content: str, status: int = 200) -> Any:
        headers = {"Content-Type": "application/json", "Idempotency-Key": "once"}
        return api.call("POST", "/product_book", status, content=content, headers=headers)

    made = send('{"name": "Inbox", "aliases": ["a", "b"]}')
    assert send('{ "aliases":["a","b"],\n"name":"\\u0049nbox"}') == made
    for other in ('{"name": "inbox", "aliases": ["a", "b"]}', '{"name": "Inbox", "aliases": ["b", "a"]}'):
        assert send(other, 409)["errors"][0]["field"] == "idempotency-key"


def test_a_request_in_the_way_is_waited_for_and_then_refused(api: Api, stage: Stage) -> None:
    """While another transaction holds the key for longer than anyone waits, the answer is 409 and nothing is done."""
    with stage.engine.begin() as connection:
        actor = f"key:{stage.ask('select public_key from api_keys')[0][0]}"
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": lock_of(actor, "held")})
        refusal = api.post("/product_book", entry("Inbox"), 409, idempotency_key="held")
    assert "still being worked on" in refusal["message"]
    assert api.post("/product_book", entry("Inbox"), idempotency_key="held")["name"] == "Inbox"


def test_what_was_refused_is_judged_anew(api: Api) -> None:
    """A request that changed nothing leaves its key free: once its cause is mended, it is done."""
    api.post("/partnerships/ada/tokens", {"member_key": "bob"}, 404, idempotency_key="again")
    api.post("/partnerships", ADA)
    assert api.post("/partnerships/ada/tokens", {"member_key": "bob"}, idempotency_key="again")["token"]


def test_a_key_is_its_callers_own(api: Api, dashboard: DashboardProcess, stage: Stage) -> None:
    """Another caller's request with the same key is another request, and sees nothing of the first."""
    with unit_of_work_on(stage.engine) as connection:
        key = create_api_key(connection, "other")
    first = api.post("/product_book", entry("Inbox"), idempotency_key="same")
    with Api(dashboard.url, (key.public_key, key.secret_key)) as other:
        second = other.post("/product_book", entry("Surveys"), idempotency_key="same")
    assert (first["name"], second["name"]) == ("Inbox", "Surveys")


def test_answers_are_forgotten_after_a_day(api: Api, stage: Stage) -> None:
    """A key that is older than a day is a new one, and what is old is cleared away by whoever comes next."""
    for number in range(5):
        api.post("/product_book", entry(f"Product {number}"), idempotency_key=f"key {number}")
    with stage.engine.begin() as connection:
        connection.execute(
            text("update idempotent_answers set created_at = created_at - cast(:age as interval)"),
            {"age": KEPT_FOR + timedelta(seconds=1)},
        )
    assert api.post("/product_book", entry("Other"), idempotency_key="key 0")["name"] == "Other"
    assert stage.ask("select idempotency_key from idempotent_answers") == [("key 0",)]


def test_an_unusable_key_is_refused_by_name(api: Api) -> None:
    """A key that is empty or longer than 255 characters is a mistake in the request."""
    for key in ("", "k" * 256):
        refusal = api.post("/product_book", entry("Inbox"), 400, idempotency_key=key)
        assert refusal["errors"][0]["field"] == "idempotency-key"
