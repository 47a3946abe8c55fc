"""Chargebee's endpoint over real HTTP: who is let in, what is stored, and what nobody gets to know."""

import base64
import json
import secrets
from collections.abc import Iterator

import httpx
import pytest

from infra.bodies import decode
from infra.embedded import Addresses
from infra.providers.chargebee.verify import authorization, fingerprint
from tests.chargebee_bodies import event_body
from tests.webhooks.conftest import Query
from tests.webhooks.receiver_process import ReceiverProcess, running

PATH = "/webhooks/chargebee"
#: A password with colons, and one outside ASCII.
USERS = {"billing": "correct:horse:battery", "zweite": "schlüssel-staple-穀"}


@pytest.fixture(scope="module")
def receiver(
    receiver_database_url: str, server_addresses: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReceiverProcess]:
    """A running receiver that knows two users of Chargebee's."""
    users = ",".join(f"{user}:{password}" for user, password in USERS.items())
    settings = {"DATABASE_URL": receiver_database_url, "REDIS_URL": server_addresses.redis_url}
    with running(tmp_path_factory.mktemp("chargebee"), CHARGEBEE_WEBHOOK_USERS=users, **settings) as process:
        yield process


def deliver(receiver: ReceiverProcess, body: bytes, user: str = "billing", **headers: str) -> httpx.Response:
    """One delivery as Chargebee makes it."""
    allowed = {"authorization": authorization(user, USERS[user]), "content-type": "application/json;charset=UTF-8"}
    return receiver.client.post(PATH, content=body, headers={**allowed, **headers})


def new_key() -> str:
    """An event id nobody used."""
    return f"ev_{secrets.token_hex(12)}"


def basic(credentials: bytes) -> str:
    """A header with any bytes for credentials."""
    return "Basic " + base64.b64encode(credentials).decode()


def test_the_first_delivery_is_accepted_and_the_second_a_duplicate(receiver: ReceiverProcess, stored: Query) -> None:
    """200 `accepted`, then 200 `duplicate`, and one row with the exact bytes and fields."""
    key = new_key()
    body = event_body(key)
    answers = [deliver(receiver, body) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (200, {"status": "accepted"}),
        (200, {"status": "duplicate"}),
    ]
    rows = stored(
        "select provider, event_type, account, livemode, api_version, extract(epoch from occurred_at)::int, state,"
        " secret_fingerprint, body_codec, body, body_bytes from inbox where event_key = %s",
        key,
    )
    [(*fields, codec, kept, size)] = rows
    assert fields == [
        *("chargebee", "customer_changed", None, None, "v2", 1_776_000_000, "received"),
        fingerprint("billing"),
    ]
    assert decode(codec, kept, size) == body  # type: ignore[arg-type]


def test_every_configured_user_is_let_in_and_noted(receiver: ReceiverProcess, stored: Query) -> None:
    """Passwords with colons and outside ASCII work, in either case of the scheme; the row says whose it was."""
    for user, password in USERS.items():
        key = new_key()
        shouted = authorization(user, password).replace("Basic", "BASIC")
        assert deliver(receiver, event_body(key), user, authorization=shouted).status_code == 200
        assert stored("select secret_fingerprint from inbox where event_key = %s", key) == [(fingerprint(user),)]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no_header"),
        ("", "no_header"),
        ("Bearer correct:horse:battery", "malformed_header"),
        ("Basic", "malformed_header"),
        ("Basic !!!!", "malformed_header"),
        ("Basic YWJj=", "malformed_header"),
        (basic(b"billing"), "malformed_header"),
        (basic(b"a" * 4000), "malformed_header"),
        ("Basic =", "malformed_header"),
        (basic(b":"), "no_match"),
        (basic(b"billing:"), "no_match"),
        (basic(b"billing:correct"), "no_match"),
        (basic(b"billing:correct:horse"), "no_match"),
        (basic(b"billing:correct:horse:battery "), "no_match"),
        (basic(b"Billing:correct:horse:battery"), "no_match"),
        (basic(b"zweite:correct:horse:battery"), "no_match"),
        (basic(b":correct:horse:battery"), "no_match"),
        (basic("zweite:schlüssel-staple-穀".encode("utf-16")), "no_match"),
        (basic(b"billing:\xff\xfe\x00"), "no_match"),
        (basic("bïlling:pässword".encode()), "no_match"),
    ],
)
def test_whoever_is_not_known_gets_401_and_learns_nothing(
    receiver: ReceiverProcess, stored: Query, header: str | None, reason: str
) -> None:
    """Wrong, missing or odd credentials get one and the same 401, whatever is wrong; the counter says what was."""
    labels = {"provider": "chargebee", "status": "401", "reason": reason}
    before = receiver.metric("webhook_deliveries_total", **labels)
    key = new_key()
    headers = {} if header is None else {"authorization": header}
    answer = receiver.client.post(PATH, content=event_body(key), headers=headers)
    assert (answer.status_code, answer.content) == (401, b'{"status":"unauthorized"}')
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert receiver.metric("webhook_deliveries_total", **labels) == before + 1
    assert stored("select 1 from inbox where event_key = %s", key) == []


def test_a_header_with_raw_bytes_or_twice_is_no_way_in(receiver: ReceiverProcess) -> None:
    """Bytes outside ASCII in the header, or two headers of which one is right, get 401 and never 500."""
    right = authorization("billing", USERS["billing"]).encode()
    for lines in (b"Authorization: Basic \xff\xfe\xfc", b"Authorization: %b\r\nAuthorization: %b" % (right, right)):
        head = b"POST /webhooks/chargebee HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n"
        status = receiver.talk(head + lines + b"\r\n\r\n{}").split(b" ")[1]
        assert status in (b"400", b"401"), lines


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"id":"ev_1"}',
        event_body("ev_x", occurred_at=None),
        event_body("ev_x", event_type=None),
        event_body("ev_x", occurred_at="1776000000"),
        event_body("ev_x", occurred_at=17),
        event_body("ev_x", occurred_at=1.5e9),
        event_body("ev\n_x"),
        event_body("ev_x" * 100),
        event_body("ev_x", event_type=["a"]),
        event_body("ev_x", api_version=2),
        event_body("ev_x", source={}),
        event_body("ev_x", object="customer"),
        event_body("ev_x").replace(b'"id": "ev_x"', b'"id": "ev_x", "id": "ev_y"'),
        event_body("ev_x").replace(b'"cust_1"', b'"cust_1", "a": NaN'),
        event_body("ev_x").replace(b'"cust_1"', b'"cust_1", "a": 1e400'),
        event_body("ev_x").replace(b'"cust_1"', b'"cust_1", "a": "\\ud800"'),
        event_body("ev_x").replace(b'"cust_1"', b"[" * 100_000 + b"]" * 100_000),
    ],
    ids=range(21),
)
def test_what_is_not_one_event_is_refused(receiver: ReceiverProcess, body: bytes) -> None:
    """From a known user too: no JSON, no event, a key twice, or a number, a text or a depth that no reader can hold."""
    answer = deliver(receiver, body)
    assert (answer.status_code, answer.content) == (400, b'{"status":"bad_request"}')


def test_unknown_types_and_versions_are_stored(receiver: ReceiverProcess, stored: Query) -> None:
    """What this program cannot use yet is accepted all the same: deciding that is the worker's business."""
    for fields in ({"event_type": "rate_limited"}, {"api_version": "v1"}, {"api_version": None}, {"source": None}):
        key = new_key()
        assert deliver(receiver, event_body(key, **fields)).json() == {"status": "accepted"}
        assert stored("select state from inbox where event_key = %s", key) == [("received",)]


def test_no_secret_and_no_body_reaches_the_log(receiver: ReceiverProcess) -> None:
    """Neither a password nor a key in the query string nor anything of a body is logged, in any form."""
    canary = f"canary-{secrets.token_hex(8)}"
    body = event_body(new_key(), content={"customer": {"id": canary}})
    assert deliver(receiver, body).status_code == 200
    answer = receiver.client.post(f"{PATH}?key={canary}", content=body, headers={"authorization": basic(b"x:y")})
    assert answer.status_code == 401
    logged = receiver.log()
    encoded = authorization("billing", USERS["billing"]).removeprefix("Basic ")
    assert "batch.committed" in logged
    assert not [secret for secret in (canary, encoded, *USERS.values()) if secret in logged]


def test_the_counters_say_who_delivered(receiver: ReceiverProcess) -> None:
    """Believed deliveries are counted by the user's fingerprint, which no password can be worked out of."""
    before = receiver.metric("webhook_verified_total", provider="chargebee", secret_fingerprint=fingerprint("billing"))
    deliver(receiver, event_body(new_key()))
    after = receiver.metric("webhook_verified_total", provider="chargebee", secret_fingerprint=fingerprint("billing"))
    assert after == before + 1


def test_the_bytes_are_kept_as_they_came(receiver: ReceiverProcess, stored: Query) -> None:
    """Spaces, escapes and characters outside ASCII are stored as sent."""
    key = new_key()
    body = event_body(key, content={"customer": {"id": "ä\u2028/"}}).replace(b": ", b" :  ")
    assert deliver(receiver, body).status_code == 200
    [(codec, kept, size)] = stored("select body_codec, body, body_bytes from inbox where event_key = %s", key)
    kept_body = decode(codec, kept, size)  # type: ignore[arg-type]
    assert kept_body == body
    assert json.loads(kept_body)["content"]["customer"]["id"] == "ä\u2028/"
