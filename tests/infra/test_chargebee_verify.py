"""Basic credentials: which header is one, and who is let in by it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.providers.chargebee.verify import (
    ChargebeeVerifier,
    Credentials,
    Refusal,
    authorization,
    fingerprint,
    read_header,
)

USERS = (("ann", "one:two"), ("bob", "drei"), ("ann", "another"))


@pytest.mark.parametrize("pair", USERS)
def test_any_configured_pair_is_believed(pair: tuple[str, str]) -> None:
    """Several passwords of one user may stand side by side while one is being replaced."""
    given_by = read_header(authorization(*pair).encode())
    assert isinstance(given_by, Credentials)
    assert ChargebeeVerifier(USERS).verify(given_by) == fingerprint(pair[0])


@pytest.mark.parametrize("crossed", [("bob", "one:two"), ("ann", "drei"), ("bob", "another"), ("", ""), ("ann", "")])
def test_the_user_of_one_with_the_password_of_another_is_nobody(crossed: tuple[str, str]) -> None:
    """Both parts must be of the same pair."""
    user, password = crossed
    assert ChargebeeVerifier(USERS).verify(Credentials(user.encode(), password.encode())) is Refusal.NO_MATCH


@pytest.mark.parametrize("users", [(), (("", "secret"),), (("ann", ""),), (("ann", "one"), ("bob", " "))])
def test_nothing_empty_lets_anybody_in(users: tuple[tuple[str, str], ...]) -> None:
    """A verifier without a user, or with an empty part, cannot be made."""
    with pytest.raises(ValueError, match="user"):
        ChargebeeVerifier(users)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_a_header_gives_back_what_was_put_in(user: bytes, password: bytes) -> None:
    """Any bytes come out as they went in, split at the first colon."""
    user = user.replace(b":", b"")
    header = b"Basic " + base64.b64encode(user + b":" + password)
    assert read_header(header) == Credentials(user, password)


@given(st.binary(max_size=200))
def test_no_header_raises(header: bytes) -> None:
    """Whatever a header holds, it is credentials or a reason."""
    assert isinstance(read_header(header), Credentials | Refusal)
    assert isinstance(read_header(b"Basic " + header), Credentials | Refusal)
