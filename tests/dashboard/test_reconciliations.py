"""`/reconciliations`: asked for over HTTP, done by whoever works on runs, read with its report."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine

from infra.access import create_api_key
from infra.clock import system_clock
from infra.embedded import Addresses
from infra.providers.stripe.client import StripeApi
from infra.reconciliation.reconciler import Reconciler
from infra.reconciliation.stripe_provider import StripeProvider
from infra.unit_of_work import unit_of_work_on
from tests.dashboard.running import Api, running
from tests.fake_stripe import FakeStripe, fake_stripe
from tests.reconciliation.scene import DAY, bought, set_up
from tests.stripe_account import StripeAccount


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe over HTTP."""
    with fake_stripe() as running_fake:
        yield running_fake


@pytest.fixture
def keyed_api(
    engine: Engine,
    database_url: str,
    server_addresses: Addresses,
    fake: FakeStripe,
    tmp_path: Path,
) -> Iterator[Api]:
    """The API of a program that has a key for the fake and one for Chargebee, on a database of its own."""
    with unit_of_work_on(engine) as connection:
        key = create_api_key(connection, "tests")
    with running(
        tmp_path,
        DATABASE_URL=database_url,
        REDIS_URL=server_addresses.redis_url,
        STRIPE_API_KEY="sk_test_" + "x" * 24,
        STRIPE_API_BASE=fake.api_base,
        CHARGEBEE_SITE="acme-test",
        CHARGEBEE_API_KEY="test_key",
    ) as process:
        caller = Api(process.url, (key.public_key, key.secret_key))
        yield caller
        caller.client.close()


def test_a_run_is_asked_for_done_and_read(keyed_api: Api, engine: Engine, fake: FakeStripe) -> None:
    """The answer comes at once and nothing has been asked of the provider; the report is there when it is over."""
    stage = set_up(engine)
    StripeAccount(fake).happens(*bought(1, system_clock() - DAY))
    asked = keyed_api.post("/reconciliations", {"provider": "stripe", "scope": "events"})
    assert (asked["state"], asked["requested_by"], asked["report"], asked["since"]) == ("requested", "api", None, None)
    assert not fake.requests
    assert keyed_api.post("/reconciliations", {"provider": "stripe", "scope": "events"})["key"] == asked["key"]
    other = keyed_api.post("/reconciliations", {"provider": "stripe", "dry_run": True, "since": 1767225600000})
    assert (other["dry_run"], other["since"], other["scope"]) == (True, 1767225600000, "whole")
    api = StripeApi("sk_test_" + "x" * 24, fake.api_base, network_retries_max=0)
    later = count(2, 2)
    clock = lambda: system_clock() + timedelta(seconds=next(later))  # noqa: E731 - every look is a little later
    reconciler = Reconciler(engine, stage.settings, {"stripe": StripeProvider(api)}, clock)
    for _ in range(10):
        reconciler.work(slice_s=0)
        stage.drainer.sweep()
    done = keyed_api.get(f"/reconciliations/{asked['key']}")
    assert (done["state"], done["report"]["events"]["missing"]) == ("finished", 3)
    listed = keyed_api.get("/reconciliations", limit=1)
    assert (listed["items"][0]["key"], listed["has_more"]) == (other["key"], True)
    assert keyed_api.get("/reconciliations", starting_after=other["key"])["items"] == [done]
    assert keyed_api.get("/reconciliations", provider="chargebee")["items"] == []


def test_chargebees_books_may_be_asked_for_too(keyed_api: Api) -> None:
    """With a site and a key, a run about Chargebee is asked for like one about Stripe."""
    asked = keyed_api.post("/reconciliations", {"provider": "chargebee", "scope": "events"})
    assert (asked["provider"], asked["state"]) == ("chargebee", "requested")
    assert keyed_api.get("/reconciliations", provider="chargebee")["items"] == [asked]


def test_what_cannot_be_done_is_refused_by_name(api: Api) -> None:
    """Without a key, with a time to come, for a provider nobody knows: each mistake names its field."""
    refused = api.post("/reconciliations", {"provider": "stripe"}, status=400)
    assert [(each["field"], "STRIPE_API_KEY" in each["message"]) for each in refused["errors"]] == [("provider", True)]
    refused = api.post("/reconciliations", {"provider": "chargebee"}, status=400)
    assert "CHARGEBEE_SITE and CHARGEBEE_API_KEY" in refused["errors"][0]["message"]
    refused = api.post("/reconciliations", {"provider": "paypal", "dry_run": "yes", "since": -1}, status=400)
    assert sorted(each["field"] for each in refused["errors"]) == ["dry_run", "provider", "since"]
    assert api.get("/reconciliations") == {"items": [], "has_more": False}
    api.get("/reconciliations/77", status=404)
    api.get("/reconciliations/x", status=404)
