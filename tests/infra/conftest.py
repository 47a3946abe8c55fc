"""Somebody who is told by webhook, for every test that tells."""

from collections.abc import Iterator

import pytest

from tests.webhook_target import WebhookTarget, webhook_target


@pytest.fixture
def target() -> Iterator[WebhookTarget]:
    """Somebody to be told."""
    with webhook_target() as running:
        yield running
