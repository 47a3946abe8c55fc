"""A scene for every test of reconciliation."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.chargebee_site import ChargebeeSite
from tests.fake_chargebee import fake_chargebee
from tests.fake_stripe import FakeStripe, fake_stripe
from tests.reconciliation.chargebee_scene import scene_on
from tests.reconciliation.either import Either, at_chargebee, at_stripe
from tests.reconciliation.scene import Scene, SceneOf, reconciler_on, set_up
from tests.stripe_account import StripeAccount


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe over HTTP."""
    with fake_stripe() as running:
        yield running


@pytest.fixture
def scene(engine: Engine, fake: FakeStripe) -> Scene:
    """Nothing has happened yet."""
    scene = Scene(set_up(engine), StripeAccount(fake), None)  # type: ignore[arg-type]  # it needs the scene's clock
    scene.reconciler = reconciler_on(engine, fake, scene)
    return scene


@pytest.fixture
def site(engine: Engine) -> Iterator[SceneOf[ChargebeeSite]]:
    """The same program beside a Chargebee over HTTP; nothing has happened yet."""
    with fake_chargebee() as running:
        yield scene_on(set_up(engine), ChargebeeSite(running))


@pytest.fixture(params=["stripe", "chargebee"])
def either(request: pytest.FixtureRequest) -> Either:
    """One after the other."""
    if request.param == "stripe":
        return at_stripe(request.getfixturevalue("scene"))
    return at_chargebee(request.getfixturevalue("site"))
