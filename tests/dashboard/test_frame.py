"""What holds for every route: who is let in, what is refused how, and what every answer carries."""

import json

import httpx
import pytest

from tests.dashboard.contract import OPERATIONS
from tests.dashboard.running import Api, DashboardProcess
from tests.stage import Stage

ENTRY = {"name": "Inbox", "external_key": "prod_inbox"}


def test_nobody_is_let_in_without_a_working_key(api: Api, dashboard: DashboardProcess) -> None:
    """No credentials, an unknown key, a wrong secret, a bearer token and nonsense all get the same 401."""
    good = api.headers["Authorization"]
    answers = [
        httpx.get(f"{dashboard.url}/api/v2/product_book", headers=headers)
        for headers in (
            {},
            {"Authorization": "Basic " + "A" * 40},
            {"Authorization": good[:-4] + "AAA="},
            {"Authorization": "Bearer mem_x"},
            {"Authorization": "Basic"},
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json() == {
        "message": "the credentials are missing or do not open this",
        "status": 401,
        "errors": [],
    }
    assert answers[0].headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/product_book", 405), ("GET", "/product_book/pbook_none", 404)],
)
def test_what_is_not_there_is_said_in_the_common_form(api: Api, method: str, path: str, status: int) -> None:
    """Unknown paths, methods and keys are answered as documents with a message."""
    document = api.call(method, path, status)
    assert set(document) == {"message", "status", "errors"}


def test_monitors_may_ask_with_head(dashboard: DashboardProcess) -> None:
    """`/healthz` and `/readyz` answer HEAD as they answer GET, with nothing behind the headers."""
    for path in ("/healthz", "/readyz"):
        answer = httpx.head(f"{dashboard.url}{path}")
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_path_says_which_methods_it_has(api: Api) -> None:
    """405 names all methods of the path."""
    assert api.client.delete("/product_book").headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 100_000, "application/json", 400),
        (b'{"name": "\\ud800"}', "application/json", 400),
        (b'{"name": ' + b"9" * 10_000 + b"}", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
    ],
    ids=["cut", "deep_list", "deep_object", "surrogate", "digits", "no_utf8", "text", "large", "none", "list"],
)
def test_an_unreadable_body_is_the_callers_mistake(api: Api, content: bytes, kind: str, status: int) -> None:
    """Whatever bytes come as a body, the answer is a refusal and never a fault."""
    document = api.call("POST", "/product_book", status, content=content, headers={"Content-Type": kind})
    assert set(document) == {"message", "status", "errors"}


def test_metadata_keeps_numbers_and_truths_as_texts(api: Api) -> None:
    """As the providers' metadata has them, so that rules read one kind of thing; what is neither is refused."""
    said = {"seats": 5, "trial": True, "plan": "pro"}
    kept = {"seats": "5", "trial": "true", "plan": "pro"}
    assert api.post("/partnerships", {"partner_key": "ada", "metadata": said})["metadata"] == kept
    assert api.post("/customers", {"customer_key": "acme", "metadata": said})["metadata"] == kept
    posted = {"amount": 5, "currency": "usd", "customer_key": "acme", "metadata": said}
    assert api.post("/transactions", posted)["metadata"] == kept
    wrong: dict[str, object] = {"a": None, "b": [1], "c": {}, "d": 1.5, "e": 10**40}
    refusal = api.patch("/partnerships/ada", {"metadata": wrong}, 400)
    assert [each["field"] for each in refusal["errors"]] == [f"metadata.{name}" for name in wrong]


def test_what_is_wrong_with_a_body_is_said_in_its_own_words(api: Api) -> None:
    """A body that is no object, and a key that is too short, are refused in words of JSON and not of a library."""
    headers = {"Content-Type": "application/json"}
    (mistake,) = api.call("POST", "/product_book", 400, content=b"[]", headers=headers)["errors"]
    assert mistake == {"field": "body", "message": "must be a JSON object"}
    refusal = api.post("/transactions", {"key": "abc", "metadata": "x", "lines": [5]}, 400)
    said = {each["field"]: each["message"] for each in refusal["errors"]}
    assert said["key"] == "must have at least 4 characters"
    assert said["metadata"] == said["lines[0]"] == "must be a JSON object"


@pytest.mark.parametrize(("content", "fault"), [(b'{"name": "x"', "truncated"), (b'{"name": nope}', "(byte 1")])
def test_a_body_that_is_no_json_says_where_it_breaks_off(api: Api, content: bytes, fault: str) -> None:
    """The refusal is about the body as a whole and says what is wrong with it."""
    headers = {"Content-Type": "application/json"}
    (mistake,) = api.call("POST", "/product_book", 400, content=content, headers=headers)["errors"]
    assert mistake["field"] == "body"
    assert mistake["message"].startswith("is not JSON: ")
    assert fault in mistake["message"]


def test_every_mistake_is_named_at_once(api: Api) -> None:
    """Unknown fields, wrong types and missing fields come back together, each with its path."""
    refusal = api.post("/product_book", {"aliases": ["a", 7], "colour": "red", "archived": "yes"}, 400)
    assert {each["field"] for each in refusal["errors"]} == {"name", "aliases[1]", "colour", "archived"}


def test_a_repeated_key_gets_the_same_answer_once_done(api: Api) -> None:
    """The same Idempotency-Key and body get the first answer, byte for byte; another body gets 409."""
    headers = {"Idempotency-Key": "once"}
    first = api.client.post("/product_book", json=ENTRY, headers=headers)
    again = api.client.post("/product_book", json=ENTRY, headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert (
        "Idempotency-Key"
        in api.post("/product_book", {**ENTRY, "name": "Other"}, 409, idempotency_key="once")["message"]
    )


def test_each_request_has_an_id_and_one_line_in_the_log(api: Api, dashboard: DashboardProcess) -> None:
    """A usable X-Request-Id is kept, another replaced; the line names route, status and key, and no key of a thing."""
    answer = api.client.get("/product_book/pbook_secret_name", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert api.client.get("/product_book", headers={"X-Request-Id": "no good"}).headers["x-request-id"] != "no good"
    (line,) = [json.loads(line) for line in dashboard.log().splitlines() if '"mine-1"' in line]
    assert (line["event"], line["method"], line["status"]) == ("request.answered", "GET", 404)
    assert line["route"].endswith("/product_book/{key}")
    assert line["actor"].startswith("key:pub_")
    assert "pbook_secret_name" not in dashboard.log()


def test_what_changes_something_is_written_down(api: Api, stage: Stage) -> None:
    """Who, what, which fields and in which request; what was only looked at, or changed nothing, is not."""
    key = api.post("/product_book", ENTRY)["key"]
    api.patch(f"/product_book/{key}", {"description": "A secret plan"})
    api.patch(f"/product_book/{key}", {"description": "A secret plan"})
    api.get(f"/product_book/{key}")
    rows = stage.ask("select actor, action, subject, details ->> 'fields', request_id from audit_log order by id")
    assert [row[1:4] for row in rows] == [
        ("product_book.created", key, '["name", "external_key"]'),
        ("product_book.changed", key, '["description"]'),
    ]
    assert all(actor.startswith("key:pub_") and request_id for actor, *_, request_id in rows)


def test_the_description_needs_nothing_from_elsewhere(dashboard: DashboardProcess) -> None:
    """The page lists every operation, loads nothing, and runs no script."""
    answer = httpx.get(f"{dashboard.url}/api/docs", timeout=30)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "<script" not in answer.text
    assert "http" not in answer.text.replace("https://", "http://").split("<style>")[0]
    for method, path in OPERATIONS:
        assert f"<code>{method} {path}</code>" in answer.text


def test_every_answer_is_neither_kept_nor_guessed_at(api: Api, dashboard: DashboardProcess) -> None:
    """Good answers, refusals and unknown paths alike forbid caching and sniffing."""
    for answer in (
        api.client.get("/product_book"),
        api.client.get("/nothing"),
        httpx.get(f"{dashboard.url}/api/v2/product_book"),
        httpx.get(f"{dashboard.url}/%00"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]
