"""In and out. Whoever is not let in is told the same, whatever was wrong with what they said.

The form itself is bound to the browser it was given to, so that nobody is signed in as somebody else by a link.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.routing import APIRoute
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.pages.cookies import (
    Side,
    door_cookie,
    drop_session,
    keep_door,
    keep_session,
    session_cookie,
)
from dashboard.pages.rendering import HEADERS, Templates
from dashboard.pages.routes import LOST, ThisPage, answer_page, door_proves, form_of, manager_pages, partner_pages
from dashboard.visits import BoundedRequest, Handler, Rooms, slot
from infra.audit import record_change
from infra.people import person_of
from infra.sessions import end, form_token, new_value, open_for_member, open_for_person
from infra.unit_of_work import unit_of_work_on

_REFUSED: Mapping[Side, str] = {
    Side.MANAGER: "This e-mail address and password do not sign anybody in. Check both and try again.",
    Side.PARTNER: "This token does not sign anybody in. Ask the company for a new one if it was revoked.",
}
_STALE = "This form was too old, or not made for your browser. Try again; cookies must be allowed."

_LOST = "You were signed out meanwhile, so nothing was changed. Sign in, then do it again."

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Somebody at the door."""

    request: Request
    side: Side
    rooms: Rooms
    connection: Connection
    form: Mapping[str, str]
    now: datetime

    def show(self, status: int = 200, problem: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """The form; what was typed as a password or token is not in it."""
        value = door_cookie(self.request, self.side) or new_value()
        templates: Templates = self.request.app.state.templates
        following = self.form.get("next") or self.request.query_params.get("next", "")
        shown = templates.answer(
            "sign_in.html",
            status,
            headers,
            side=self.side,
            page=None,
            form_token=form_token(value),
            following=_local(following, self.side),
            email=self.form.get("email", ""),
            problem=problem,
        )
        keep_door(self.request, shown, self.side, value)
        return shown


class _DoorRoute(APIRoute):
    """Wraps the forms that nobody needs to be signed in for."""

    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()

        async def door(request: Request) -> Response:
            side = Side.at(request.scope["path"])

            async def arrive(bounded: BoundedRequest) -> Response:
                form = await form_of(bounded)
                rooms: Rooms = request.app.state.rooms
                at_door = unit_of_work_on(rooms.engine)
                async with slot(rooms.connections), contextmanager_in_threadpool(at_door) as connection:
                    arrival = _Arrival(bounded, side, rooms, connection, form, rooms.clock())
                    request.scope["state"]["arrival"] = arrival
                    return await answer(bounded)

            return await answer_page(request, side, arrive)

        return door


def _this_arrival(request: Request) -> _Arrival:
    arrival: _Arrival = request.scope["state"]["arrival"]
    return arrival


ThisArrival = Annotated[_Arrival, Depends(_this_arrival)]

router = APIRouter(route_class=_DoorRoute, include_in_schema=False)


@router.get(Side.MANAGER.sign_in)
def ask_person(arrival: ThisArrival) -> Response:
    """The form for people of the company."""
    return arrival.show(problem=_lost(arrival))


@router.get(Side.PARTNER.sign_in)
def ask_member(arrival: ThisArrival) -> Response:
    """The form for members of partners."""
    return arrival.show(problem=_lost(arrival))


@router.post(Side.MANAGER.sign_in)
def let_person_in(arrival: ThisArrival) -> Response:
    """With an e-mail address and a password."""
    email = arrival.form.get("email", "")

    def let_in() -> str | None:
        person = person_of(arrival.connection, email, arrival.form.get("password", ""))
        if person is None:
            return None
        record_change(arrival.connection, actor=f"person:{person}", action="session.opened", subject=f"person:{person}")
        return open_for_person(arrival.connection, person, arrival.now)

    return _let_in(arrival, email.lower(), let_in)


@router.post(Side.PARTNER.sign_in)
def let_member_in(arrival: ThisArrival) -> Response:
    """With the token of a partner's member."""
    token = arrival.form.get("token", "")
    return _let_in(arrival, token, lambda: open_for_member(arrival.connection, token, arrival.now))


def _lost(arrival: _Arrival) -> str | None:
    return _LOST if LOST in arrival.request.query_params else None


def _let_in(arrival: _Arrival, name: str, let_in: Callable[[], str | None]) -> Response:
    request, side = arrival.request, arrival.side
    if not door_proves(request, side, arrival.form):
        return arrival.show(403, _STALE)
    address = request.client.host if request.client else ""
    if (wait_s := arrival.rooms.limits.wait_of_sign_in(address, name)) is not None:
        problem = f"That was tried too often. Wait {wait_s} seconds, then try again."
        return arrival.show(429, problem, {"retry-after": str(wait_s)})
    value = let_in()
    if value is None:
        _log.warning("sign_in.refused", side=side.value)
        return arrival.show(403, _REFUSED[side])
    if (before := session_cookie(request, side)) is not None:
        end(arrival.connection, before)
    answer = RedirectResponse(_local(arrival.form.get("next", ""), side), 303, HEADERS)
    keep_session(request, answer, side, value)
    return answer


def _local(path: str, side: Side) -> str:
    """Where to go on after signing in: a page of this side, and nowhere else."""
    below = path == side.home or path.startswith(side.home.rstrip("/") + "/")
    is_ours = below and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable()
    return path if is_ours else side.home


_out_of_manager, _out_of_partner = manager_pages(), partner_pages()


@_out_of_manager.post(Side.MANAGER.sign_out)
@_out_of_partner.post(Side.PARTNER.sign_out)
def leave(page: ThisPage) -> Response:
    """Sign out: the cookie opens nothing any more, wherever it was copied to."""
    end(page.connection, page.session.value)
    answer = RedirectResponse(page.side.sign_in, 303, HEADERS)
    drop_session(page.request, answer, page.side)
    return answer


router.include_router(_out_of_manager)
router.include_router(_out_of_partner)
