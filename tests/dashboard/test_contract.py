"""The API keeps what it says of itself, whatever is sent to it; routers that are added later are held to it as well."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans, one_of
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.dashboard.contract import OPERATIONS, is_for_members, named, operation
from tests.dashboard.running import Api, DashboardProcess
from tests.stage import Stage

EXAMPLES_PER_OPERATION = 20
KEEPS_THE_CONTRACT = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]

REFUSALS_OF_ALL = {"400", "401", "404", "409", "429", "500", "503"}


@pytest.mark.parametrize("place", OPERATIONS, ids=named)
def test_every_operation_has_an_example_and_says_how_it_refuses(place: tuple[str, str]) -> None:
    """Body and answer have examples; all common refusals are declared, with their one shape; there is a summary."""
    said = operation(*place)
    assert said.get("description")
    assert said["security"]
    bodies = list(said.get("requestBody", {}).get("content", {}).values())
    answers = list(said["responses"]["200"]["content"].values())
    assert all("example" in content for content in [*bodies, *answers]), place
    assert set(said["responses"]) >= REFUSALS_OF_ALL
    for status in REFUSALS_OF_ALL:
        (content,) = said["responses"][status]["content"].values()
        assert content["schema"]["$ref"].endswith("/Refusal")


@pytest.fixture
def described(dashboard: DashboardProcess) -> Any:
    """The running API as it describes itself."""
    return schemathesis.openapi.from_url(f"{dashboard.url}/api/openapi.json")


@pytest.mark.parametrize("place", OPERATIONS, ids=named)
def test_whatever_is_sent_the_contract_is_kept(
    place: tuple[str, str], described: Any, api: Api, member: Api, played: Stage
) -> None:
    """Made-up requests, right and wrong ones, end in a declared answer of the declared shape, and never in a fault."""
    method, path = place
    caller = member if is_for_members(*place) else api
    known = known_key(caller, path)
    answered: set[int] = set()

    @settings(
        max_examples=EXAMPLES_PER_OPERATION,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=one_of([described[path][method].as_strategy(mode) for mode in GenerationMode]), at_known=booleans())
    def play(case: Any, at_known: bool) -> None:
        if at_known and known is not None and "key" in (case.path_parameters or {}):
            case.path_parameters["key"] = known
        response = case.call(headers=caller.headers)
        case.validate_response(response, checks=KEEPS_THE_CONTRACT)
        answered.add(response.status_code)

    play()
    assert answered - {401, 403}


def known_key(caller: Api, path: str) -> str | None:
    """The key of something that is there, for a path below a list."""
    above, found, _ = path.removeprefix("/api/v2").partition("/{")
    if not found or ("GET", f"/api/v2{above}") not in OPERATIONS:
        return None
    items = caller.get(above).get("items", [])
    return str(items[0]["key"]) if items else None
