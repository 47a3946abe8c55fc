"""How one delivery goes out: where it may not lead, under whose name, for how long, and what is kept of the answer."""

import json
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Engine

from infra.outgoing.deliveries import claim, find_delivery
from infra.outgoing.endpoints import find_endpoint
from infra.outgoing.messenger import PostReport
from tests.infra.told import deliveries, make_due, pay, posted, registered, ten_percent_of_inbox
from tests.stage import Stage
from tests.webhook_target import Plan, WebhookTarget, webhook_target


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """A program in which ada earns 10 % of Inbox; nothing has happened yet."""
    return ten_percent_of_inbox(engine)


def test_an_answer_without_an_end_is_cut_off(stage: Stage, target: WebhookTarget) -> None:
    """A header that comes a letter at a time, each in time, is given up when the time for the whole is over."""
    registered(stage, target)
    pay(stage)
    target.otherwise = Plan(drips=True)
    began_s = time.monotonic()
    posted(stage, timeout_s=1.0)
    assert 0.9 < time.monotonic() - began_s < 3
    assert deliveries(stage)[0]["reason"] == "no answer within 1 s"


def test_what_an_endpoint_says_is_neither_read_nor_kept(stage: Stage, target: WebhookTarget) -> None:
    """A body of any size and content does not matter: the status decides, and nothing of it is stored or logged."""
    registered(stage, target)
    pay(stage)
    target.otherwise = Plan(status=500, body=b"inner secrets" * 1_000_000)
    with structlog.testing.capture_logs() as logs:
        posted(stage)
    (kept,) = stage.ask("select webhook_deliveries::text from webhook_deliveries")[0]
    assert "inner" not in kept + str(logs)
    assert deliveries(stage)[0]["reason"] == "answered 500"


def test_a_redirect_is_not_followed(stage: Stage, target: WebhookTarget) -> None:
    """An endpoint that leads elsewhere has failed; nobody connects to where it leads."""
    registered(stage, target)
    pay(stage)
    with webhook_target() as elsewhere:
        target.plans = [Plan(status=302, headers={"location": elsewhere.url})]
        posted(stage)
        assert elsewhere.connection_count == 0
    assert "302; redirects are not followed" in str(deliveries(stage)[0]["reason"])


def test_an_address_that_may_not_be_reached_is_not_connected_to(stage: Stage, target: WebhookTarget) -> None:
    """Judged again when it is sent: a name that leads to loopback by then gets no connection, and says why."""
    registered(stage, target, url=f"http://localhost:{target.port}/")
    pay(stage)
    assert posted(stage, allowed="") == PostReport(failed_count=1)
    assert target.connection_count == 0
    assert "not public" in str(deliveries(stage)[0]["reason"])


def test_no_proxy_is_asked(stage: Stage, target: WebhookTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would connect to addresses nobody has judged: it is passed by."""
    with webhook_target() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        registered(stage, target)
        pay(stage)
        posted(stage)
        assert (len(target.received), proxy.connection_count) == (1, 0)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make a certificate")
def test_the_certificate_is_the_names_although_an_address_is_connected_to(
    stage: Stage, target: WebhookTarget, tmp_path: Path
) -> None:
    """TLS goes to the address that was judged under the name that was registered; a stranger's certificate ends it."""
    with webhook_target() as secure:
        trust = _speak_tls(secure, tmp_path)
        registered(stage, secure, url=f"https://localhost:{secure.port}/told")
        pay(stage)
        assert posted(stage) == PostReport(failed_count=1)
        assert "certificate is not valid" in str(deliveries(stage)[0]["reason"])
        assert secure.received == []
        make_due(stage)
        assert posted(stage, trust=trust) == PostReport(delivered_count=1)
        assert secure.received[0].headers["host"] == f"localhost:{secure.port}"


def _speak_tls(target: WebhookTarget, folder: Path) -> ssl.SSLContext:
    """Give a target a certificate for `localhost`, and no address; whom to trust to believe it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    target.wrap(server)
    return ssl.create_default_context(cafile=str(certificate))


def test_no_secret_is_shown_or_logged(stage: Stage, target: WebhookTarget) -> None:
    """The secret is in the answer to registering, and in no document, log line or representation after that."""
    key = registered(stage, target)
    pay(stage)
    target.otherwise = Plan(status=500)
    with structlog.testing.capture_logs() as logs:
        posted(stage)
    with stage.engine.begin() as connection:
        make_due(stage)
        shown = json.dumps([find_endpoint(connection, key), *deliveries(stage)])
        shown += json.dumps(find_delivery(connection, target.received[0].key)) + repr(claim(connection)) + str(logs)
    assert target.secret.startswith("whsec_")
    assert target.secret.removeprefix("whsec_") not in shown
