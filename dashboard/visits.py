"""One request of a known caller, from its credentials to its commit: one transaction, or nothing.

The route owns the transaction, not the endpoint: whatever an endpoint raises rolls everything back, and what it
returns is kept for repeats (`dashboard.idempotency`) and committed before the first byte of the answer leaves.
"""

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NoReturn

import anyio
import msgspec
from fastapi import APIRouter, Depends, Security
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import HTTPBasic, HTTPBearer
from sqlalchemy import Connection, Engine
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dashboard import access
from dashboard.access import Caller, PartnerMember, Person, Unauthorized
from dashboard.answers import Refusal
from dashboard.idempotency import earlier_answer, keep_answer, repeatable
from dashboard.rate_limits import RateLimits
from domain.errors import TryLater
from infra.audit import record_change
from infra.broker import Wake
from infra.clock import Clock
from infra.program import ProgramReader
from infra.settings import Settings
from infra.unit_of_work import unit_of_work_on

BODY_BYTES_MAX = 1024 * 1024
BODY_WITHIN_S = 10.0
#: How long a request waits for one of the connections before it is sent away.
_CONNECTION_WITHIN_S = 5.0

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(slots=True)
class Rooms:
    """What all requests share. `connections` has as many slots as the engine has connections."""

    settings: Settings
    engine: Engine
    #: For what reads for minutes; a request that finds none free is sent away at once.
    previewing: Engine
    limits: RateLimits
    #: Rung after whatever may have left work for the workers.
    wake: Wake
    clock: Clock
    connections: anyio.Semaphore


class TooManyRequests(HTTPException):
    """429."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(429, f"too many requests; wait {wait_s} s before the next", {"retry-after": str(wait_s)})


@dataclass(slots=True)
class Visit:
    """What an endpoint works with. `now` is one moment for the whole request."""

    settings: Settings
    previewing: Engine
    connection: Connection
    who: Caller | PartnerMember | Person
    now: datetime
    request_id: str
    #: Set by an endpoint whose answer is shown once: for repeats it is kept sealed.
    answer_is_secret: bool = False

    @property
    def member(self) -> PartnerMember:
        """Who calls a route of `member_routes`."""
        assert isinstance(self.who, PartnerMember)
        return self.who

    def audit(self, action: str, subject: str, **details: object) -> None:
        """Write down that the caller did this (`product_book.created`); details name fields, not their values."""
        record_change(
            self.connection,
            actor=self.who.actor,
            action=action,
            subject=subject,
            details=details,
            request_id=self.request_id,
        )

    def program_reader(self) -> ProgramReader:
        """Reads the program as this transaction sees it, uncommitted changes included, and keeps nothing of it."""
        return ProgramReader(self.settings)


class BoundedRequest(Request):
    """Its body is read once, within bounds, and decoded without recursing deeper than the stack allows."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await self._read()
        return self._body

    async def _read(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            with anyio.fail_after(BODY_WITHIN_S):
                async for chunk in self.stream():
                    size += len(chunk)
                    if size > BODY_BYTES_MAX:
                        raise HTTPException(413, f"the body is larger than {BODY_BYTES_MAX:,} bytes")
                    chunks.append(chunk)
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_WITHIN_S:.0f} s") from None
        except ClientDisconnect:
            raise HTTPException(400, "the body ended early") from None
        return b"".join(chunks)

    async def json(self) -> Any:
        try:
            return msgspec.json.decode(await self.body())
        except (msgspec.DecodeError, RecursionError) as error:
            # What FastAPI makes an error of the body of.
            raise json.JSONDecodeError(str(error), "", 0) from None


class _VisitRoute(APIRoute):
    """Wraps every endpoint of its router into a visit."""

    identify: Callable[[Connection, str | None], Caller | PartnerMember]
    challenge: str

    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()

        async def visit(request: Request) -> Response:
            bounded = BoundedRequest(request.scope, request.receive)
            if "authorization" not in request.headers:
                await run_in_threadpool(self._turn_away, bounded)
            body = await bounded.body()
            if body:
                _require_json(bounded)
            rooms: Rooms = request.app.state.rooms
            async with slot(rooms.connections), contextmanager_in_threadpool(self._visit(bounded)) as visit:
                request.scope["state"]["visit"] = visit
                answered = await _answer_once(bounded, body, visit, answer)
            if request.method != "GET":
                rooms.wake.ring()
            return answered

        return visit

    @contextmanager
    def _visit(self, request: Request) -> Iterator[Visit]:
        rooms: Rooms = request.app.state.rooms
        with unit_of_work_on(rooms.engine) as connection:
            try:
                who = type(self).identify(connection, request.headers.get("authorization"))
            except Unauthorized:
                self._turn_away(request)
            request.scope["state"]["actor"] = who.actor
            if (wait_s := rooms.limits.wait_of_caller(who.actor)) is not None:
                raise TooManyRequests(wait_s)
            request_id = request.scope["state"]["request_id"]
            yield Visit(rooms.settings, rooms.previewing, connection, who, rooms.clock(), request_id)

    def _turn_away(self, request: Request) -> NoReturn:
        rooms: Rooms = request.app.state.rooms
        if (wait_s := rooms.limits.wait_of_stranger(request.client.host if request.client else "")) is not None:
            raise TooManyRequests(wait_s)
        raise Unauthorized(self.challenge)


class _KeyRoute(_VisitRoute):
    identify = staticmethod(access.caller_of)
    challenge = access.BASIC_CHALLENGE


class _TokenRoute(_VisitRoute):
    identify = staticmethod(access.partner_member_of)
    challenge = access.BEARER_CHALLENGE


@asynccontextmanager
async def slot(connections: anyio.Semaphore) -> AsyncIterator[None]:
    """One of the connections, for the length of the block. Raises TryLater when none comes free in time."""
    try:
        with anyio.fail_after(_CONNECTION_WITHIN_S):
            await connections.acquire()
    except TimeoutError:
        raise TryLater("too many requests are being answered") from None
    try:
        yield
    finally:
        connections.release()


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the body must be JSON, with the header Content-Type: application/json")


async def _answer_once(request: Request, body: bytes, visit: Visit, answer: Handler) -> Response:
    """The answer of the endpoint, or the one that the same request got before."""
    asked = repeatable(request, body, visit.who.actor)
    if asked is None:
        return await answer(request)
    earlier = await run_in_threadpool(earlier_answer, visit.connection, asked, visit.now)
    if earlier is not None:
        return earlier
    made = await answer(request)
    await run_in_threadpool(keep_answer, visit.connection, asked, made, is_secret=visit.answer_is_secret, now=visit.now)
    return made


def _this_visit(request: Request) -> Visit:
    visit: Visit = request.scope["state"]["visit"]
    return visit


#: The parameter of every endpoint: `visit: ThisVisit`.
ThisVisit = Annotated[Visit, Depends(_this_visit)]

_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Something in the request is wrong; every mistake is listed."},
    401: {"description": "No credentials, or none that open this."},
    404: {"description": "There is no such thing."},
    408: {"description": "The body did not arrive in time."},
    409: {
        "description": "Something that is there says otherwise, or the Idempotency-Key was used for another request."
    },
    413: {"description": "The body is larger than 1 MiB."},
    415: {"description": "The body is not JSON."},
    429: {"description": "Too many requests; see Retry-After."},
    500: {"description": "A fault of this program; the message names the request id."},
    503: {"description": "The database is busy or away; see Retry-After."},
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {**response, "model": Refusal} for status, response in _REFUSALS.items()
}


def manager_routes(prefix: str, tag: str) -> APIRouter:
    """A router for programs with an API key."""
    scheme = HTTPBasic(scheme_name="api_key", description="Public key and secret key.", auto_error=False)
    return APIRouter(
        prefix=prefix, tags=[tag], route_class=_KeyRoute, responses=REFUSALS, dependencies=[Security(scheme)]
    )


def member_routes(prefix: str, tag: str) -> APIRouter:
    """A router for members of partners with a token."""
    scheme = HTTPBearer(scheme_name="member_token", description="Token of one member.", auto_error=False)
    return APIRouter(
        prefix=prefix, tags=[tag], route_class=_TokenRoute, responses=REFUSALS, dependencies=[Security(scheme)]
    )
