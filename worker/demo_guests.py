"""Whom the demo lets in to the pages, with credentials made afresh: a program manager, a member of the story's partner.

What let them in before opens nothing any more, so that a demo played twice leaves one way in and not two.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection

from domain.errors import Conflict
from infra.access import create_member_token, revoke_tokens_of_member
from infra.clock import system_clock
from infra.people import change_password, create_person
from infra.program_changes import change_partner
from worker import story

EMAIL = "manager@gigakick.example"
MEMBER = "ada-lovelace"
_PASSWORD_BYTES = 12


@dataclass(frozen=True, slots=True)
class Guests:
    """What they sign in with; shown once."""

    email: str
    password: str
    token: str


def let_in(connection: Connection) -> Guests:
    """Let both in."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    try:
        create_person(connection, EMAIL, password, "The demo's program manager")
    except Conflict:
        change_password(connection, EMAIL, password)
    now = system_clock()
    change_partner(connection, story.PARTNER, {"members": [{"member_key": MEMBER, "name": "Ada Lovelace"}]}, now)
    revoke_tokens_of_member(connection, story.PARTNER, MEMBER, now)
    _, token = create_member_token(connection, story.PARTNER, MEMBER)
    return Guests(EMAIL, password, token)
