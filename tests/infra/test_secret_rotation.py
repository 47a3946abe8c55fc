"""Another secret for an endpoint: old and new sign side by side for a while, so that no receiver misses anything."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from domain.errors import Conflict, Missing
from infra.outgoing.endpoints import EARLIER_SECRETS_MAX, delete_endpoint, find_endpoint, rotate_secret
from infra.outgoing.messenger import PostReport
from infra.outgoing.seals import Seal, new_key, seal_all
from infra.unit_of_work import unit_of_work_on
from tests.infra.told import SEALING_KEY, deliveries, make_due, pay, posted, registered, ten_percent_of_inbox
from tests.stage import Stage
from tests.webhook_target import Plan, WebhookTarget

DAY = timedelta(days=1)


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """A program in which ada earns 10 % of Inbox; nothing has happened yet."""
    return ten_percent_of_inbox(engine)


def rotated(stage: Stage, key: str, overlap: timedelta = DAY, seal: Seal | None = None) -> str:
    """The endpoint's new secret."""
    with unit_of_work_on(stage.engine) as connection:
        return str(rotate_secret(connection, key, overlap=overlap, seal=seal or Seal())["secret"])


def told_with(stage: Stage, target: WebhookTarget, number: int) -> int:
    """How many signatures the one delivery of a new payment had, and that the target's secret verified it."""
    target.received.clear()
    pay(stage, number)
    assert posted(stage) == PostReport(delivered_count=1)
    (received,) = target.received
    assert received.verified
    return len(received.headers["webhook-signature"].split(" "))


def let_overlaps_end(stage: Stage) -> None:
    """The time of every earlier secret is up."""
    with stage.engine.begin() as connection:
        connection.execute(text("update webhook_earlier_secrets set signs_until = now()"))


def test_both_secrets_sign_until_the_overlap_ends(stage: Stage, target: WebhookTarget) -> None:
    """A receiver with the old one and a receiver with the new one verify; after the time the new one alone signs."""
    key = registered(stage, target)
    new = rotated(stage, key)
    assert new != target.secret
    assert told_with(stage, target, 1) == 2
    target.secret = new
    assert told_with(stage, target, 2) == 2
    let_overlaps_end(stage)
    assert told_with(stage, target, 3) == 1
    assert stage.ask("select count(*) from webhook_earlier_secrets") == [(0,)]


def test_a_delivery_that_comes_again_is_signed_with_what_holds_then(stage: Stage, target: WebhookTarget) -> None:
    """It failed under the old secret; tried again after a rotation without overlap, the new one signs it, alone."""
    key = registered(stage, target)
    pay(stage)
    target.plans = [Plan(status=503)]
    assert posted(stage) == PostReport(failed_count=1)
    target.secret = rotated(stage, key, timedelta(0))
    make_due(stage)
    assert posted(stage) == PostReport(delivered_count=1)
    assert [received.verified for received in target.received] == [True, True]
    assert " " not in target.received[1].headers["webhook-signature"]


def test_rotating_twice_leaves_the_first_secret_signing(stage: Stage, target: WebhookTarget) -> None:
    """Whoever pressed twice, or lost the first answer, has cut nobody off: all three sign."""
    key = registered(stage, target)
    rotated(stage, key)
    newest = rotated(stage, key)
    assert told_with(stage, target, 1) == 3
    target.secret = newest
    assert told_with(stage, target, 2) == 3


def test_without_an_overlap_every_earlier_secret_ends_at_once(stage: Stage, target: WebhookTarget) -> None:
    """Nothing is left of those that were still signing, and the endpoint says so."""
    key = registered(stage, target)
    rotated(stage, key)
    target.secret = rotated(stage, key, timedelta(0))
    assert told_with(stage, target, 1) == 1
    assert stage.ask("select count(*) from webhook_earlier_secrets") == [(0,)]
    with stage.engine.connect() as connection:
        assert find_endpoint(connection, key)["earlier_secret_until"] is None


def test_only_so_many_secrets_sign_at_a_time(stage: Stage, target: WebhookTarget) -> None:
    """One more rotation changes nothing and says when the first of them ends; without an overlap it is done."""
    key = registered(stage, target)
    for _ in range(EARLIER_SECRETS_MAX):
        rotated(stage, key)
    before = stage.ask("select secret from webhook_endpoints")
    with pytest.raises(Conflict, match=f"{EARLIER_SECRETS_MAX} earlier secrets still sign, the first until 20"):
        rotated(stage, key)
    assert stage.ask("select secret from webhook_endpoints") == before
    rotated(stage, key, timedelta(0))
    assert stage.ask("select count(*) from webhook_earlier_secrets") == [(0,)]


def test_earlier_secrets_are_sealed_like_the_present_one(stage: Stage, target: WebhookTarget) -> None:
    """Moved as it was stored, sealed anew with a new key, opened by the worker: and both of them sign."""
    older_key = new_key()
    key = registered(stage, target, seal=Seal([older_key]))
    rotated(stage, key, seal=Seal([older_key]))
    stored = [secret for (secret,) in stage.ask("select secret from webhook_earlier_secrets")]
    assert [secret.startswith("sealed:") for secret in stored] == [True]
    with unit_of_work_on(stage.engine) as connection:
        assert seal_all(connection, Seal([SEALING_KEY, older_key])) == 2
    assert told_with(stage, target, 1) == 2
    assert stage.ask("select secret from webhook_earlier_secrets") != [(stored[0],)]


def test_a_rotation_mends_an_endpoint_whose_secret_cannot_be_opened(stage: Stage, target: WebhookTarget) -> None:
    """Its key is lost: with a new secret it is told again, though the old one was to go on signing and cannot."""
    key = registered(stage, target, seal=Seal([new_key()]))
    pay(stage)
    assert posted(stage) == PostReport(failed_count=1)
    target.secret = rotated(stage, key, seal=Seal([SEALING_KEY]))
    make_due(stage)
    assert posted(stage) == PostReport(delivered_count=1)
    assert [received.verified for received in target.received] == [True]


def test_deleting_an_endpoint_erases_every_secret(stage: Stage, target: WebhookTarget) -> None:
    """The earlier ones go with the present one; what is not there cannot be rotated."""
    key = registered(stage, target)
    rotated(stage, key)
    with unit_of_work_on(stage.engine) as connection:
        delete_endpoint(connection, key)
    assert stage.ask("select secret from webhook_endpoints") == [(None,)]
    assert stage.ask("select count(*) from webhook_earlier_secrets") == [(0,)]
    with pytest.raises(Missing, match=key):
        rotated(stage, key)
    assert deliveries(stage) == []
