"""Secrets of webhook endpoints at rest: whoever reads the database cannot sign, and whoever has the key can."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from infra.outgoing.messenger import Messenger, PostReport
from infra.outgoing.seals import Seal, SealBroken, new_key, seal_all
from infra.settings import SettingsError, load_settings
from infra.unit_of_work import unit_of_work_on
from tests.infra.told import deliveries, pay, registered, ten_percent_of_inbox
from tests.stage import Stage
from tests.webhook_target import WebhookTarget, webhook_target
from tests.worker.command_line import Attribution
from tests.worker.conftest import attribution

__all__ = ("attribution",)

KEY, OLDER_KEY = new_key(), new_key()


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """A program in which ada earns 10 % of Inbox; nothing has happened yet."""
    return ten_percent_of_inbox(engine)


def posted(stage: Stage, *keys: str) -> PostReport:
    """Deliver what is due, with these keys set."""
    environment = {"WEBHOOK_TARGETS_ALLOWED": "127.0.0.0/8", "SEALING_KEYS": ",".join(keys)}
    return Messenger(stage.engine, load_settings(environment, env_file=None)).run()


def lies_open(stage: Stage, target: WebhookTarget) -> bool:
    """Whether the secret can be read in the table."""
    rows = stage.ask("select secret from webhook_endpoints where secret is not null")
    return any(target.secret.removeprefix("whsec_") in secret for (secret,) in rows)


def test_a_sealed_secret_signs_and_cannot_be_read(stage: Stage, target: WebhookTarget) -> None:
    """The table does not hold it; the worker, which has the key, signs with it, and the library verifies that."""
    registered(stage, target, seal=Seal([KEY]))
    assert not lies_open(stage, target)
    pay(stage)
    assert posted(stage, KEY) == PostReport(delivered_count=1)
    assert target.received[0].verified


def test_a_key_is_replaced_without_a_gap(stage: Stage, target: WebhookTarget) -> None:
    """With the new one first and the old one behind it both open; sealed anew, the old one is needed no more."""
    registered(stage, target, seal=Seal([OLDER_KEY]))
    pay(stage, 1)
    assert posted(stage, KEY, OLDER_KEY) == PostReport(delivered_count=1)
    with unit_of_work_on(stage.engine) as connection:
        assert seal_all(connection, Seal([KEY, OLDER_KEY])) == 1
    pay(stage, 2)
    assert posted(stage, KEY) == PostReport(delivered_count=1)
    assert [received.verified for received in target.received] == [True, True]


def test_without_the_key_it_waits_and_others_are_told(stage: Stage, target: WebhookTarget) -> None:
    """What cannot be signed is tried again, for a reason that names the setting; nothing is sent unsigned."""
    sealed = registered(stage, target, seal=Seal([OLDER_KEY]))
    with webhook_target() as other:
        registered(stage, other, seal=Seal([KEY]))
        pay(stage)
        assert posted(stage, KEY) == PostReport(delivered_count=1, failed_count=1)
        assert [received.verified for received in other.received] == [True]
    assert target.received == []
    (waiting,) = deliveries(stage, "pending")
    assert waiting["endpoint_key"] == sealed
    assert waiting["reason"] == "its secret cannot be opened; SEALING_KEYS lacks the key that sealed it"
    assert waiting["next_attempt_at"] is not None


def test_what_cannot_be_opened_is_not_sealed_over(stage: Stage, target: WebhookTarget) -> None:
    """Sealing anew without the older key changes nothing at all."""
    registered(stage, target, seal=Seal([OLDER_KEY]))
    before = stage.ask("select secret from webhook_endpoints")
    with pytest.raises(SealBroken), unit_of_work_on(stage.engine) as connection:
        seal_all(connection, Seal([KEY]))
    assert stage.ask("select secret from webhook_endpoints") == before


def test_what_lay_open_is_sealed_by_command(attribution: Attribution, stage: Stage, target: WebhookTarget) -> None:
    """A key is printed, set, and seals what was there before; without one the command says what to do."""
    registered(stage, target)
    assert lies_open(stage, target)
    refused = attribution("webhooks", "seal")
    assert (refused.code, "`attribution webhooks new-key` prints" in refused.err) == (1, True)
    key = attribution("webhooks", "new-key").out.strip()
    assert attribution("webhooks", "seal", SEALING_KEYS=key).out == "1 secret is sealed with the first key.\n"
    assert not lies_open(stage, target)
    pay(stage)
    assert posted(stage, key) == PostReport(delivered_count=1)
    assert target.received[0].verified
    assert stage.ask("select actor, action from audit_log") == [("operator", "webhook_endpoints.sealed")]


def test_a_bad_key_is_named_and_not_shown(tmp_path: Path) -> None:
    """At the start, by its place among the keys; and a key may be in a file of its own."""
    with pytest.raises(SettingsError, match="SEALING_KEYS: key 2 of 2 is not 32 bytes") as caught:
        load_settings({"SEALING_KEYS": f"{KEY},too-short-a-key"}, env_file=None)
    assert "too-short" not in str(caught.value)
    (tmp_path / "key").write_text(f"{KEY}\n")
    settings = load_settings({"SEALING_KEYS_FILE": str(tmp_path / "key")}, env_file=None)
    assert settings.sealing_keys == (KEY,)
    assert KEY not in repr(settings)
