"""Every case of the corpus means what it says, whoever translates it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import Unreadable
from infra.providers.registry import TRANSLATORS
from infra.providers.stripe.translate import USED
from tests.corpus.cases import FOLDER, Case, cases, normal
from tests.corpus.stripe_cases import stripe_cases

ALL = [case for folder in sorted(FOLDER.iterdir()) if folder.is_dir() for case in cases(folder.name)]


def translated(provider: str, event: dict[str, Any]) -> Any:
    """What the provider's translator makes of an event."""
    kind, second = ("event_type", "occurred_at") if provider == "chargebee" else ("type", "created")
    at = datetime.fromtimestamp(event[second], UTC)
    try:
        return TRANSLATORS[provider](event[kind], event["id"], at, json.dumps(event).encode())
    except Unreadable as error:
        return error


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.provider}-{case.name}")
def test_a_case_means_what_it_says(case: Case) -> None:
    """The facts in the event are those expected, in their normal form."""
    assert normal(translated(case.provider, case.event)) == case.expect


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.provider}-{case.name}")
def test_a_case_is_kept_under_its_name(case: Case) -> None:
    """File, name and form agree, so that a case can be found and the corpus be read by other programs."""
    assert case.file.is_file()
    assert case.about.strip()
    assert case.file.read_text(encoding="utf-8") == case.text()


def test_the_stripe_half_is_what_builds_it() -> None:
    """The files are exactly the cases that are built, each under a name of its own."""
    built = {case.name: case for case in stripe_cases()}
    assert len(built) == len(stripe_cases())
    assert {case.name: case for case in cases("stripe")} == built


def test_every_used_type_has_a_case() -> None:
    """No type is read by the program without being shown in the corpus; of those that look alike, one is."""
    shown = {case.event["type"] for case in cases("stripe") if isinstance(case.expect, list)}
    assert {USED[each] for each in USED} == {USED[each] for each in shown}
