"""The cookies of the pages: one per side, so that a manager and a partner's member can share a browser.

Over https their names begin with a prefix, with which browsers keep out what was set without https.
"""

from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response

from infra.sessions import LASTS

#: Given to whoever fills in a sign-in form, before there is a session.
_DOOR = "door"


class Side(StrEnum):
    """Whose pages."""

    MANAGER = "manager"
    PARTNER = "partner"

    @classmethod
    def at(cls, path: str) -> "Side":
        """Whose page is at this path."""
        return cls.PARTNER if path == "/partner" or path.startswith("/partner/") else cls.MANAGER

    @property
    def home(self) -> str:
        """Their first page; everything of theirs is below it."""
        return "/" if self is Side.MANAGER else "/partner"

    @property
    def sign_in(self) -> str:
        """Where they sign in."""
        return "/sign-in" if self is Side.MANAGER else "/partner/sign-in"

    @property
    def sign_out(self) -> str:
        """Where a form takes them out."""
        return "/sign-out" if self is Side.MANAGER else "/partner/sign-out"


def is_secure(request: Request) -> bool:
    """Whether the browser came over https, also where a proxy in front ends it."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip())


def session_cookie(request: Request, side: Side) -> str | None:
    """What the browser brought as its session."""
    return request.cookies.get(_name(request, side, side))


def keep_session(request: Request, response: Response, side: Side, value: str) -> None:
    """Let the browser keep its session, and forget the door's cookie."""
    _set(request, response, side, side, value, int(LASTS.total_seconds()))
    _set(request, response, side, _DOOR, "", 0)


def drop_session(request: Request, response: Response, side: Side) -> None:
    """Let the browser forget."""
    _set(request, response, side, side, "", 0)


def door_cookie(request: Request, side: Side) -> str | None:
    """What a browser that is not signed in was given with the sign-in form."""
    return request.cookies.get(_name(request, side, _DOOR))


def keep_door(request: Request, response: Response, side: Side, value: str) -> None:
    """Let the browser keep it until it signs in, an hour at most."""
    _set(request, response, side, _DOOR, value, 3600)


def _name(request: Request, side: Side, what: str) -> str:
    if not is_secure(request):
        return f"attribution-{side}-{what}"
    return f"{'__Host-' if side is Side.MANAGER else '__Secure-'}attribution-{side}-{what}"


def _set(request: Request, response: Response, side: Side, what: str, value: str, for_s: int) -> None:
    response.set_cookie(
        _name(request, side, what),
        value,
        max_age=for_s,
        path=side.home,
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )
