"""A scene for every test of reconciliation."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.fake_stripe import FakeStripe, fake_stripe
from tests.reconciliation.scene import Scene, reconciler_on, set_up
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
