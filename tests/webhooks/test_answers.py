"""Every answer of the contract, over real HTTP."""

import json
import secrets
import time

import pytest

from infra.bodies import decode
from infra.providers.stripe.verify import fingerprint, sign
from tests.webhooks.conftest import Query
from tests.webhooks.receiver_process import (
    OLD_SECRET,
    SECRET,
    STRIPE,
    ReceiverProcess,
    event_body,
    post_head,
    signature,
)


def new_key() -> str:
    """An event id nobody used."""
    return f"evt_{secrets.token_hex(12)}"


def test_the_first_delivery_is_accepted_and_the_second_a_duplicate(receiver: ReceiverProcess, stored: Query) -> None:
    """200 `accepted`, then 200 `duplicate`, and one row with the exact bytes and fields."""
    key = new_key()
    body = event_body(key, account="acct_1")
    answers = [receiver.deliver(body) for _ in range(2)]
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
        *("stripe", "invoice.paid", "acct_1", False, "2026-03-25.dahlia", 1_776_000_000, "received"),
        fingerprint(SECRET),
    ]
    assert decode(codec, kept, size) == body  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/healthz", 200, None),
        ("GET", "/readyz", 200, None),
        ("GET", "/metrics", 200, None),
        ("HEAD", "/healthz", 200, None),
        ("HEAD", "/readyz", 200, None),
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("GET", STRIPE, 405, "POST"),
        ("HEAD", STRIPE, 405, "POST"),
        ("DELETE", STRIPE, 405, "POST"),
        ("POST", "/webhooks/chargebee", 404, None),
        ("POST", "/webhooks/nobody", 404, None),
        ("POST", "/webhooks/stripe/", 404, None),
        ("GET", "/", 404, None),
        ("POST", "/webhooks/stripe%0d%0aX-A:b", 404, None),
    ],
)
def test_paths_and_methods(receiver: ReceiverProcess, method: str, path: str, status: int, allow: str | None) -> None:
    """Each path knows its method; a provider without a secret has no path."""
    answer = receiver.client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no_header"),
        ({"stripe-signature": "t=1"}, "malformed_header"),
        ({"stripe-signature": "t=1,v1=" + "a" * 5000}, "malformed_header"),
        ({"stripe-signature": sign(b"{}", "whsec_somebody_elses", int(time.time()))}, "no_match"),
        ({"stripe-signature": sign(b"{}", SECRET, 1_000_000_000)}, "too_old"),
        ({"stripe-signature": sign(b"{}", SECRET, 4_000_000_000)}, "too_new"),
        ({"stripe-signature": sign(b"{}", SECRET, int(time.time()))}, "malformed_event"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals_are_all_alike_outside_and_counted_apart_inside(
    receiver: ReceiverProcess, headers: dict[str, str], reason: str
) -> None:
    """A bad delivery gets the same 400 whatever is wrong with it; the counter says what was."""
    labels = {"provider": "stripe", "status": "400", "reason": reason}
    before = receiver.metric("webhook_deliveries_total", **labels)
    answer = receiver.client.post(STRIPE, content=b"{}", headers=headers)
    assert (answer.status_code, answer.content) == (400, b'{"status":"bad_request"}')
    assert receiver.metric("webhook_deliveries_total", **labels) == before + 1


def test_either_secret_of_a_rotation_is_believed_and_noted(receiver: ReceiverProcess, stored: Query) -> None:
    """While two secrets are configured both work, and the row says which one it was."""
    for secret in (SECRET, OLD_SECRET):
        key = new_key()
        assert receiver.deliver(event_body(key), secret=secret).status_code == 200
        rows = stored("select secret_fingerprint from inbox where event_key = %s", key)
        assert rows == [(fingerprint(secret),)]


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br, gzip", 415), ("identity", 200)])
def test_no_encoded_body_is_unpacked(receiver: ReceiverProcess, encoding: str, status: int) -> None:
    """Any content encoding but identity gets 415."""
    body = event_body(new_key())
    answer = receiver.client.post(STRIPE, content=body, headers={**signature(body), "content-encoding": encoding})
    assert answer.status_code == status


def test_thin_events_are_stored_too(receiver: ReceiverProcess, stored: Query) -> None:
    """An event of the newer kind, without its object and with its time as text, is verified and stored."""
    key = new_key()
    body = json.dumps(
        {
            "id": key,
            "object": "v2.core.event",
            "type": "v1.billing.meter.error_report_triggered",
            "created": "2026-04-01T12:00:00.250Z",
            "livemode": True,
            "context": "acct_9",
            "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
        }
    ).encode()
    assert receiver.deliver(body).json() == {"status": "accepted"}
    rows = stored("select extract(epoch from occurred_at)::float8, account from inbox where event_key = %s", key)
    assert rows == [(1_775_044_800.25, "acct_9")]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"id":',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        event_body("evt_1", name="\x00").replace(b"evt_1", b"evt_\\u0000"),
        event_body("e" * 256),
        event_body("evt_1", amount=1).replace(b'"amount": 1', b'"amount": 1e400'),
        event_body("evt_1").replace(b'"type"', b'"id": "evt_2", "type"'),
        event_body("evt_1", name="x").replace(b'"x"', b'"\\ud800"'),
        event_body("evt_1", created=10**30),
        event_body("evt_1", created=True),
    ],
    ids=range(14),
)
def test_signed_nonsense_is_refused_and_not_stored(receiver: ReceiverProcess, stored: Query, broken: bytes) -> None:
    """A body that is no unambiguous event gets 400 even with a true signature, and leaves no row."""
    before = stored("select count(*) from inbox")
    assert receiver.deliver(broken).status_code == 400
    assert stored("select count(*) from inbox") == before


def test_two_lengths_are_one_too_many(receiver: ReceiverProcess) -> None:
    """A request that says in two ways where its body ends is the last on its connection."""
    body = event_body(new_key())
    headers = [f"Stripe-Signature: {signature(body)['stripe-signature']}", "Transfer-Encoding: chunked"]
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = receiver.talk(post_head(6, headers) + chunked + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"connection: close" in answer
    twice = receiver.talk(post_head(6, [*headers[:1], "Content-Length: 7"]) + body)
    assert twice.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("codings", [["gzip, chunked"], ["chunked", "chunked"], ["identity", "chunked"]])
def test_a_body_is_in_chunks_or_as_it_is(receiver: ReceiverProcess, codings: list[str]) -> None:
    """Any transfer coding but one `chunked` gets 400: whoever stands between us may read it otherwise."""
    body = event_body(new_key())
    headers = [f"Stripe-Signature: {signature(body)['stripe-signature']}", "Connection: close"]
    head = post_head(None, [*headers, *(f"Transfer-Encoding: {coding}" for coding in codings)])
    answer = receiver.talk(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert answer.startswith(b"HTTP/1.1 400")


def test_a_body_in_chunks_is_the_same_body(receiver: ReceiverProcess) -> None:
    """A signed body sent in pieces of any size is accepted."""
    body = event_body(new_key())
    pieces = (body[at : at + 7] for at in range(0, len(body), 7))
    answer = receiver.client.post(STRIPE, content=pieces, headers=signature(body))
    assert answer.json() == {"status": "accepted"}


def test_neither_secrets_nor_bodies_are_in_the_log_or_the_metrics(receiver: ReceiverProcess) -> None:
    """After deliveries with a mail address in them, neither that nor any secret can be read anywhere."""
    key = new_key()
    receiver.deliver(event_body(key, email="canary@example.com"))
    receiver.deliver(event_body(new_key(), email="canary@example.com"), secret="whsec_somebody_elses")
    said = receiver.log() + receiver.client.get("/metrics").text
    assert key in said
    assert not any(word in said for word in ("canary", SECRET, OLD_SECRET, "v1="))
