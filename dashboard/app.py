"""The management API and the pages as one application, wired from the settings.

Routers are the modules of `dashboard.api` and `dashboard.pages`.
"""

import hashlib
import importlib
import pkgutil
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import structlog
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Match

from dashboard import api, documents, pages
from dashboard.answers import handle_errors, refusal_of, refused
from dashboard.edge import Edge, is_for_programs
from dashboard.pages.cookies import Side
from dashboard.pages.rendering import Templates
from dashboard.pages.routes import failure_page, problem_page
from dashboard.rate_limits import RateLimits
from dashboard.visits import Rooms
from infra.broker import Wake
from infra.clock import Clock, system_clock
from infra.database import make_engine
from infra.health import Health, health_of
from infra.settings import Settings

PREFIX = "/api/v2"
#: Also how many requests are worked on at once.
CONNECTIONS = 10
#: Previews at once.
PREVIEWS = 2
_STATEMENT_TIMEOUT_S = 15
_LOCK_TIMEOUT_S = 5

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_log = structlog.get_logger()


def create_app(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """The application. Needs `database_url` and `redis_url`."""
    assert settings.database_url is not None, "checked by whoever starts the process"
    assert settings.redis_url is not None, "checked by whoever starts the process"
    engine = make_engine(
        settings.database_url,
        application_name="dashboard",
        pool_size=CONNECTIONS,
        statement_timeout_s=_STATEMENT_TIMEOUT_S,
        lock_timeout_s=_LOCK_TIMEOUT_S,
    )
    previewing = make_engine(
        settings.database_url, application_name="dashboard-previews", pool_size=PREVIEWS, pool_timeout_s=1
    )
    asking = make_engine(settings.database_url, application_name="dashboard-health", pool_size=1, connect_timeout_s=3)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        limits = RateLimits(settings.redis_url or "", settings.api_requests_per_minute)
        wake = Wake(settings.redis_url or "")
        wake.start()
        app.state.rooms = Rooms(settings, engine, previewing, limits, wake, clock, anyio.Semaphore(CONNECTIONS))
        _log.info("dashboard.started")
        yield
        await run_in_threadpool(wake.stop)
        limits.close()
        for each in (engine, previewing, asking):
            each.dispose()
        _log.info("dashboard.stopped")

    app = FastAPI(
        title=documents.TITLE,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.health = health_of(asking)
    app.state.methods_at = lambda scope: _methods_at(app, scope)
    app.add_middleware(Edge)
    handle_errors(app)
    for module in pkgutil.iter_modules(api.__path__):
        app.include_router(importlib.import_module(f"{api.__name__}.{module.name}").router, prefix=PREFIX)
    _add_documents(app)
    _add_pages(app, settings)
    _add_health(app, app.state.health)
    return app


def _methods_at(app: FastAPI, scope: Mapping[str, Any]) -> list[str]:
    """The methods that a path has."""
    found = []
    for method in _METHODS:
        asked = {**scope, "method": method}
        if any(route.matches(asked)[0] is Match.FULL for route in app.routes):
            found.append(method)
    return found


def _add_documents(app: FastAPI) -> None:
    style = b64encode(hashlib.sha256(documents.STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; frame-ancestors 'none'"

    @app.get("/api/openapi.json", include_in_schema=False)
    def description() -> Response:
        return JSONResponse(app.openapi())

    @app.get("/api/docs", include_in_schema=False)
    def page() -> Response:
        return HTMLResponse(documents.page(app.openapi()), headers={"content-security-policy": policy})

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = documents.describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _add_pages(app: FastAPI, settings: Settings) -> None:
    app.state.templates = Templates(settings.program_timezone)
    for module in pkgutil.iter_modules(pages.__path__):
        router = getattr(importlib.import_module(f"{pages.__name__}.{module.name}"), "router", None)
        if router is not None:
            app.include_router(router)
    app.add_exception_handler(HTTPException, _no_page)
    app.state.failure_page = lambda path, message: failure_page(app.state.templates, Side.at(path), message)

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        found: Response | None = app.state.templates.static(name)
        if found is None:
            raise HTTPException(404)
        return found


def _no_page(request: Request, error: Exception) -> Response:
    """What is wrong with an address: as a document where programs ask, else as a page."""
    if is_for_programs(request.scope["path"]):
        return refusal_of(request, error)
    return problem_page(request, Side.at(request.scope["path"]), error)


def _add_health(app: FastAPI, health: Health) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        return PlainTextResponse("ok\n")

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        problem = await health.problem()
        return PlainTextResponse("ready\n") if problem is None else refused(503, problem)
