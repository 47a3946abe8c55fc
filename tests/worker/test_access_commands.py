"""`keys` and `users`: who may come in; secrets are shown once and never typed as arguments."""

import io
import sys

import argon2
import pytest
from sqlalchemy import Engine, text

from infra.access import holds_api_key
from infra.clock import system_clock
from infra.people import create_person, person_of
from infra.sessions import open_for_person
from infra.unit_of_work import unit_of_work_on
from tests.stage import Stage
from tests.worker.command_line import Attribution

PASSWORD = "correct horse battery"


def test_a_key_is_made_listed_and_revoked(attribution: Attribution, engine: Engine) -> None:
    """Its secret is printed once and opens the API; the list names it without; once revoked it opens nothing."""
    made = attribution("keys", "create", "--name", "shop", "--json").document
    assert set(made) == {"public_key", "secret_key"}
    with unit_of_work_on(engine) as connection:
        assert holds_api_key(connection, made["public_key"], made["secret_key"])
        assert not holds_api_key(connection, made["public_key"], made["secret_key"] + "x")
    listed = attribution("keys", "list", "--json")
    assert made["secret_key"] not in listed.out
    assert [(key["public_key"], key["name"], key["revoked_at"]) for key in listed.document] == [
        (made["public_key"], "shop", None)
    ]
    assert attribution("keys", "revoke", made["public_key"]).code == 0
    assert "already" in attribution("keys", "revoke", made["public_key"]).out
    with unit_of_work_on(engine) as connection:
        assert not holds_api_key(connection, made["public_key"], made["secret_key"])
    stage = Stage(engine)
    assert stage.ask("select action from audit_log order by id") == [("api_key.created",), ("api_key.revoked",)]
    assert stage.ask("select octet_length(secret_digest) from api_keys") == [(32,)]


def test_a_key_for_people_says_that_its_secret_is_not_shown_again(attribution: Attribution) -> None:
    """Without `--json` both keys are printed, and a word to keep them."""
    answer = attribution("keys", "create")
    assert answer.code == 0
    assert "pub_" in answer.out
    assert "sec_" in answer.out
    assert "not shown again" in answer.out


def test_an_unknown_key_is_told_with_the_way_out(attribution: Attribution) -> None:
    """Revoking what is not there fails with exit code 1 and says how to see what there is; a long name is 2."""
    answer = attribution("keys", "revoke", "pub_none")
    assert answer.code == 1
    assert "attribution keys list" in answer.err
    assert attribution("keys", "create", "--name", "n" * 201).code == 2


def test_a_person_is_added_with_a_password_from_standard_input(
    attribution: Attribution, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is kept as an Argon2id digest alone; the address in lower case; a second one is refused."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    assert attribution("users", "create", "Ada@Example.com", "--json").document == {"email": "ada@example.com"}
    ((email, digest),) = Stage(engine).ask("select email, password_digest from people")
    assert email == "ada@example.com"
    assert digest.startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(digest, PASSWORD)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    answer = attribution("users", "create", "ada@example.com")
    assert answer.code == 1
    assert "is a user already" in answer.err


@pytest.mark.parametrize(("email", "password"), [("ada", PASSWORD), ("a@b c", PASSWORD), ("ada@example.com", "short")])
def test_a_weak_password_or_a_wrong_address_is_refused(
    email: str, password: str, attribution: Attribution, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, a sentence saying what is allowed, nobody added, and the password printed nowhere."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
    answer = attribution("users", "create", email)
    assert answer.code == 1
    assert "must" in answer.err
    assert password not in answer.out + answer.err
    assert Stage(engine).ask("select email from people") == []


def test_a_person_gets_a_new_password_or_is_shut_out(
    attribution: Attribution, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new password is the only one that works, being shut out ends with it, and both sign out everywhere."""
    with engine.begin() as connection:
        create_person(connection, "ada@example.com", PASSWORD)
        open_for_person(connection, "ada@example.com", system_clock())
    assert attribution("users", "disable", "Ada@example.com").code == 0
    with engine.begin() as connection:
        assert person_of(connection, "ada@example.com", PASSWORD) is None
        assert connection.execute(text("select count(*) from sessions")).scalar() == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("another password\n"))
    assert attribution("users", "password", "ada@example.com").code == 0
    with engine.begin() as connection:
        assert person_of(connection, "ada@example.com", PASSWORD) is None
        assert person_of(connection, "ada@example.com", "another password") == "ada@example.com"
    answer = attribution("users", "disable", "nobody@example.com")
    assert answer.code == 1
    assert "attribution users create" in answer.err
    written = Stage(engine).ask("select action from audit_log order by id")
    assert written == [("person.disabled",), ("person.password_changed",)]
