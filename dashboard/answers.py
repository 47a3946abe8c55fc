"""The two shapes of answer there are, and how each error becomes one. Bad input is always 400.

Success: `{"data", "message", "status"}`; error: `{"message", "status", "errors": [{"field", "message"}]}`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from dashboard.fields import SHAPES
from domain.errors import Conflict, Missing, Rejected, TryLater
from domain.problems import Problem, Problems, RejectedDocument
from infra.retries import LOCK_NOT_AVAILABLE, connection_was_lost, is_transient, sqlstate_of

T = TypeVar("T")

#: What a caller who was sent away should wait before asking again.
RETRY_AFTER_S = 5
_QUERY_CANCELLED = "57014"

_log = structlog.get_logger()


class Answer(BaseModel, Generic[T]):
    """A success."""

    data: T
    message: str = Field(description="A sentence for people.")
    status: int = Field(description="The HTTP status.")


class Items(BaseModel, Generic[T]):
    """One page of a list, newest first unless asked otherwise."""

    items: list[T]
    has_more: bool = Field(description="Whether more follow in the direction asked.")


class FieldError(BaseModel):
    """One mistake."""

    field: str = Field(description="Path of the field, such as `rules.all[1].value`; `body` for the whole.")
    message: str = Field(description="What is allowed there.")


class Refusal(BaseModel):
    """An error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"message": "name: is required", "status": 400, "errors": [{"field": "name", "message": "is required"}]}
            ]
        }
    )

    message: str = Field(description="A sentence for people: what was wrong and what to do.")
    status: int = Field(description="The HTTP status.")
    errors: list[FieldError] = Field(description="Every mistake in what was sent; empty if that was not the matter.")


def answered(data: T, message: str, status: int = 200) -> Answer[T]:
    """A success with a sentence for people."""
    return Answer(data=data, message=message, status=status)


def refused(
    status: int, message: str, errors: Sequence[Problem] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error as a finished response."""
    listed = [{"field": each.field, "message": each.message} for each in errors]
    return JSONResponse({"message": message, "status": status, "errors": listed}, status, headers)


def try_later(message: str, retry_after_s: int = RETRY_AFTER_S, status: int = 503) -> JSONResponse:
    """An error that the same request may not meet again after a while."""
    return refused(status, message, headers={"retry-after": str(retry_after_s)})


def handle_errors(app: FastAPI) -> None:
    """Give every error its answer; what is left over is answered without detail, see `dashboard.edge`."""
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)


def refusal_of(request: Request, error: Exception) -> JSONResponse:
    """The answer to one of `SORTED_ERRORS`. Raises the error where it is a fault of ours."""
    return next(answer for kind, answer in _ANSWERS.items() if isinstance(error, kind))(request, error)


def _rejected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Rejected)
    if isinstance(error, RejectedDocument):
        return _mistakes(error.problems)
    status = 404 if isinstance(error, Missing) else 409 if isinstance(error, Conflict) else 400
    problems = Problems()
    if error.field is not None:
        problems.add(error.field, str(error))
    message = f"{error.field}: {error}" if error.field is not None and status == 400 else str(error)
    return refused(status, message, problems.found)


def _postponed(request: Request, error: Exception) -> JSONResponse:
    return try_later(f"{error}; try again in a moment")


def _database(request: Request, error: Exception) -> JSONResponse:
    """The database is away or somebody holds a lock: try later. Anything else is a fault of ours."""
    if isinstance(error, DBAPIError):
        state = sqlstate_of(error)
        if not (is_transient(error) or connection_was_lost(error) or state in (LOCK_NOT_AVAILABLE, _QUERY_CANCELLED)):
            raise error
    _log.warning("database.unavailable", error=type(error).__name__)
    return try_later("the database is busy or away; try again in a moment")


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    messages = {404: "there is nothing at this path; /api/docs lists what there is", 405: "this path has other methods"}
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:
        headers["allow"] = ", ".join(request.app.state.methods_at(request.scope)) or headers.get("allow", "")
    plain = type(error) is HTTPException and error.detail in ("Not Found", "Method Not Allowed")
    message = messages.get(error.status_code, error.detail) if plain else error.detail
    return refused(error.status_code, message, headers=headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = Problems()
    for each in error.errors():
        place = each["loc"][:1] if each["type"] == "json_invalid" else each["loc"]
        problems.add(_path_of(place), _sentence_of(each))
    return _mistakes(problems.found)


def _mistakes(problems: Sequence[Problem]) -> JSONResponse:
    first = f"{problems[0].field}: {problems[0].message}"
    message = first if len(problems) == 1 else f"{len(problems)} things are wrong; {first}"
    return refused(400, message, problems)


def _path_of(location: Sequence[int | str]) -> str:
    """`members[0].name` of `("body", "members", 0, "name")`."""
    path = ""
    for step in location[1:]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path or str(location[0])


def _sentence_of(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == "missing":
        return "is required" if len(error["loc"]) > 1 else "a JSON object is required"
    if kind == "extra_forbidden":
        return "unknown field; /api/docs lists those there are"
    if kind == "json_invalid":
        return f"is not JSON: {error['ctx']['error']}"
    if kind in ("model_attributes_type", "dict_type"):
        return "must be a JSON object"
    if kind == "string_pattern_mismatch" and (shape := SHAPES.get(error["ctx"]["pattern"])) is not None:
        return shape
    message = str(error["msg"]).removeprefix("Value error, ")
    return re.sub(r"^(Input|String|List|Dictionary|Tuple|Value) should ", "must ", message)


_ANSWERS: Mapping[type[Exception], Callable[[Request, Exception], JSONResponse]] = {
    Rejected: _rejected,
    TryLater: _postponed,
    RequestValidationError: _invalid,
    HTTPException: _http,
    DBAPIError: _database,
    NoConnectionFree: _database,
}
#: Errors that are answered with what is wrong.
SORTED_ERRORS = tuple(_ANSWERS)
