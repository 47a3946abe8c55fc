"""One request for a page, from its cookie to its commit. It is a visit as the API's, of somebody who signed in.

What the API would refuse as a document is refused here as a page, by the same sorting of errors.
"""

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Depends
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.access import PartnerMember, Person
from dashboard.answers import SORTED_ERRORS, FieldError, refusal_of
from dashboard.pages.cookies import Side, door_cookie, session_cookie
from dashboard.pages.rendering import HEADERS, Templates
from dashboard.pages.repeats import answer_before, keep_what_came, repeatable_form
from dashboard.pages.typed import Days, in_days
from dashboard.visits import BoundedRequest, Handler, Rooms, TooManyRequests, Visit, slot
from domain.errors import Rejected
from domain.problems import is_storable
from infra.access import Member
from infra.people import person_of
from infra.sessions import Session, add_notice, proves, session_of, set_notice
from infra.unit_of_work import unit_of_work_on

Model = TypeVar("Model", bound=BaseModel)
DayModel = TypeVar("DayModel", bound=Days)
Done = TypeVar("Done")

_FORM = "application/x-www-form-urlencoded"
_FIELDS_MAX = 200
#: Of a list, on one page.
ITEMS_SHOWN = 50
#: The name under which a form brings its token.
TOKEN = "form_token"  # noqa: S105 - a name
#: In the query of the way to the door, where a form came too late.
LOST = "lost"
PASSWORD = "password"  # noqa: S105 - a name
#: For so long after signing in, many things at once are done without asking for the password again.
_SURE_FOR = timedelta(minutes=30)

_DONE_BEFORE = "This was done already; sending the form once more changed nothing."
_ENDED_MESSAGE = "this form is not from your browser's session, or too old; go back, reload the page and try again"


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Why something was not done."""

    status: int
    message: str
    errors: list[FieldError]


class SignInNeeded(HTTPException):
    """303 to the form."""

    def __init__(self, where: str) -> None:
        super().__init__(303, "sign in first", {"location": where})


class FormRefused(HTTPException):
    """403: the form does not prove whose browser it is in."""

    def __init__(self) -> None:
        super().__init__(403, _ENDED_MESSAGE)


@dataclass(slots=True, kw_only=True)
class PageVisit(Visit):
    """A visit of somebody who signed in, with what their browser sent and what to answer it with."""

    templates: Templates
    request: Request
    session: Session
    side: Side
    #: The fields of a posted form that are not blank, each once.
    form: Mapping[str, str]

    def show(self, template: str, /, *, mistakes: Mistakes | None = None, **values: object) -> Response:
        """A page, with what was done before it, if it is the first after that; with mistakes, their status."""
        notice = self.session.notice
        if notice is not None:
            set_notice(self.connection, self.session, None)
        status = mistakes.status if mistakes is not None else 200
        return self.templates.answer(
            template, status, page=self, notice=notice, mistakes=mistakes, given=self.form, **values
        )

    def done(self, where: str, notice: str) -> Response:
        """To another page, which says so."""
        set_notice(self.connection, self.session, notice)
        return RedirectResponse(where, 303, HEADERS)

    def attempt(self, act: Callable[[], Done]) -> Done | Mistakes:
        """Do something and give what came of it, or do nothing of it: then what is wrong."""
        try:
            with self.connection.begin_nested():
                return act()
        except (Rejected, RequestValidationError) as error:
            return mistakes_of(self.request, error)

    @property
    def must_confirm(self) -> bool:
        """Whether what touches many things at once needs the password again."""
        return self.now - self.session.opened_at > _SURE_FOR

    def confirm(self) -> None:
        """Make sure that it is still the person who signed in. Raises Rejected."""
        if not self.must_confirm:
            return
        limits, who = self.request.app.state.rooms.limits, str(self.session.who)
        address = self.request.client.host if self.request.client else ""
        if (wait_s := limits.wait_of_sign_in(address, who)) is not None:
            raise TooManyRequests(wait_s)
        if person_of(self.connection, who, self.form.get(PASSWORD, "")) is None:
            raise Rejected(
                "is needed again, your own: you signed in a while ago, and this touches many things", PASSWORD
            )

    def body(self, model: type[Model], given: Mapping[str, object]) -> Model:
        """A body of the API. Raises RequestValidationError with every mistake."""
        try:
            return model.model_validate(given)
        except ValidationError as error:
            raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None

    def address(self, **changes: object) -> str:
        """This page's address with some of its query changed; None takes a part out."""
        kept = {**dict(parse_qsl(self.request.scope["query_string"].decode("latin-1"))), **changes}
        query = urlencode({name: str(value) for name, value in kept.items() if value is not None})
        # As it was sent: a key with slashes and dots, written out, would be another path.
        path = self.request.scope["raw_path"].decode("latin-1").partition("?")[0]
        return f"{path}{'?' if query else ''}{query}"

    @property
    def signed_in_as(self) -> str:
        """For the head of the page."""
        match self.who:
            case Person(email):
                return email
            case _:
                return f"{self.member.member_key} of {self.member.partner_key}"


class _PageRoute(APIRoute):
    """Wraps every endpoint of its router into a page visit."""

    side: ClassVar[Side]

    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()

        async def page(request: Request) -> Response:
            return await answer_page(request, self.side, lambda bounded: self._answer(bounded, answer))

        return page

    async def _answer(self, request: BoundedRequest, answer: Handler) -> Response:
        form = await form_of(request)
        rooms: Rooms = request.app.state.rooms
        async with (
            slot(rooms.connections),
            contextmanager_in_threadpool(self._visit(request, rooms, form)) as visit,
        ):
            request.scope["state"]["visit"] = visit
            answered = await _answer_once(visit, lambda: answer(request))
        if request.method != "GET":
            rooms.wake.ring()
        return answered

    @contextmanager
    def _visit(self, request: Request, rooms: Rooms, form: Mapping[str, str]) -> Iterator[PageVisit]:
        with unit_of_work_on(rooms.engine) as connection:
            now = rooms.clock()
            session = self._session(request, connection, now)
            who, logged_as = _who(session)
            request.scope["state"]["actor"] = logged_as
            if (wait_s := rooms.limits.wait_of_caller(logged_as)) is not None:
                raise TooManyRequests(wait_s)
            if request.method != "GET" and not proves(session.value, form.get(TOKEN, "")):
                raise FormRefused
            yield PageVisit(
                settings=rooms.settings,
                previewing=rooms.previewing,
                connection=connection,
                who=who,
                now=now,
                request_id=request.scope["state"]["request_id"],
                templates=request.app.state.templates,
                request=request,
                session=session,
                side=self.side,
                form=form,
            )

    def _session(self, request: Request, connection: Connection, now: datetime) -> Session:
        """The session of this side. Who is signed in on the other side only is told that there is nothing here."""
        found = {}
        for side in Side:
            value = session_cookie(request, side)
            found[side] = session_of(connection, value, now) if value else None
        session = found[self.side]
        if session is None and not any(found.values()):
            raise SignInNeeded(_sign_in_path(request, self.side))
        if session is None or isinstance(session.who, Member) != (self.side is Side.PARTNER):
            raise HTTPException(404)
        return session


async def _answer_once(page: PageVisit, answer: Callable[[], Coroutine[Any, Any, Response]]) -> Response:
    """What comes of the request, or came of the same form before; what was refused, or only shown, is not kept."""
    sent = repeatable_form(
        page.form, page.request.url.path, page.session.value, page.who.actor, beside={TOKEN, PASSWORD}
    )
    if sent is None:
        return await answer()
    earlier = await run_in_threadpool(answer_before, page.connection, sent, page.now)
    if earlier is not None:
        if earlier.status_code == 303:
            await run_in_threadpool(add_notice, page.connection, page.session, _DONE_BEFORE)
        return earlier
    came = await answer()
    if came.status_code == 303 or page.answer_is_secret:
        await run_in_threadpool(keep_what_came, page.connection, sent, came, page.now)
    return came


def _sign_in_path(request: Request, side: Side) -> str:
    if request.method != "GET":
        return f"{side.sign_in}?{urlencode({LOST: 'yes', 'next': _page_of_form(request)})}"
    if request.scope["path"] == side.home:
        return side.sign_in
    query = request.scope["query_string"].decode("latin-1")
    return f"{side.sign_in}?{urlencode({'next': request.scope['path'] + ('?' if query else '') + query})}"


def _page_of_form(request: Request) -> str:
    """Where a form was filled in, as the browser says; signing in leads there if it is one of our pages."""
    parts = urlsplit(request.headers.get("referer", ""))
    return parts._replace(scheme="", netloc="", fragment="").geturl() if parts.netloc else ""


def _who(session: Session) -> tuple[Person | PartnerMember, str]:
    match session.who:
        case Member(partner_key, member_key):
            member = PartnerMember(partner_key, member_key)
            return member, member.actor
        case email:
            person = Person(email)
            return person, person.logged_as


async def form_of(request: BoundedRequest) -> dict[str, str]:
    """The fields of a posted form that are not blank; none of a GET. Raises HTTPException for anything else."""
    if request.method == "GET":
        return {}
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise FormRefused
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != _FORM:
        raise HTTPException(415, "pages take forms only")
    try:
        fields = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise HTTPException(400, "the form holds bytes that are no text, or too many fields") from None
    if not all(is_storable(name) and is_storable(value) for name, value in fields):
        raise HTTPException(400, "the form holds characters that nothing here is called by")
    return {name: _tidied(name, value) for name, value in fields if value.strip()}


def _tidied(name: str, value: str) -> str:
    """Without the spaces around it, but for a password, of which they are a part."""
    return value if name == PASSWORD else value.replace("\r\n", "\n").strip()


async def answer_page(
    request: Request, side: Side, answer: Callable[[BoundedRequest], Coroutine[Any, Any, Response]]
) -> Response:
    """The answer to a request without blanks in its query; errors as pages."""
    query = parse_qsl(request.scope["query_string"].decode("latin-1"))
    request.scope["query_string"] = urlencode([(name, value) for name, value in query if value.strip()]).encode()
    try:
        return await answer(BoundedRequest(request.scope, request.receive))
    except SORTED_ERRORS as error:
        return problem_page(request, side, error)


def mistakes_of(request: Request, error: Exception) -> Mistakes:
    """An error as the API would answer it."""
    document = json.loads(bytes(refusal_of(request, error).body))
    return Mistakes(document["status"], document["message"], [FieldError(**each) for each in document["errors"]])


def problem_page(request: Request, side: Side, error: Exception) -> Response:
    """An error as a page that says what to do; a redirection as itself."""
    refusal = refusal_of(request, error)
    kept = {name: value for name, value in refusal.headers.items() if name in ("location", "retry-after", "allow")}
    if "location" in kept:
        return Response(status_code=refusal.status_code, headers={**HEADERS, **kept})
    templates: Templates = request.app.state.templates
    page = request.scope["state"].get("visit")
    mistakes = mistakes_of(request, error)
    return templates.answer(
        "problem.html", refusal.status_code, kept, side=side, mistakes=mistakes, page=page, notice=None
    )


def failure_page(templates: Templates, side: Side, message: str) -> Response:
    """A fault of ours, as a page."""
    return templates.answer("problem.html", 500, side=side, mistakes=Mistakes(500, message, []), page=None)


def paged(filters: Model) -> Model:
    """Filters of a list, with as many items as a page shows unless its address says otherwise."""
    return filters if "limit" in filters.model_fields_set else filters.model_copy(update={"limit": ITEMS_SHOWN})


def within(page: PageVisit, filters: DayModel) -> DayModel:
    """Filters with the days that they name as bounds."""
    return filters.model_copy(update=in_days(filters, page.settings.program_timezone))


def lines_of(text: str) -> list[str]:
    """The lines of a text area that are not blank."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def door_proves(request: Request, side: Side, form: Mapping[str, str]) -> bool:
    """Whether a sign-in form was given to this very browser."""
    value = door_cookie(request, side)
    return value is not None and proves(value, form.get(TOKEN, ""))


def _this_page(request: Request) -> PageVisit:
    visit: PageVisit = request.scope["state"]["visit"]
    return visit


#: The parameter of every endpoint: `page: ThisPage`.
ThisPage = Annotated[PageVisit, Depends(_this_page)]


class _CompanyRoute(_PageRoute):
    side = Side.MANAGER


class _PartnerRoute(_PageRoute):
    side = Side.PARTNER


def manager_pages() -> APIRouter:
    """A router for people of the company."""
    return APIRouter(route_class=_CompanyRoute, include_in_schema=False)


def partner_pages() -> APIRouter:
    """A router for members of partners."""
    return APIRouter(route_class=_PartnerRoute, include_in_schema=False)
