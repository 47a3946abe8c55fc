"""Triggers: written as JSON, with every mistake at its path; tried on what has happened before they count."""

import json
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from dashboard.answers import SORTED_ERRORS
from dashboard.api import trigger_previews, triggers
from dashboard.fields import Key
from dashboard.pages.product_book import sold
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, mistakes_of, paged
from dashboard.pages.trigger_drafts import drafted
from dashboard.pages.typed import day_of, day_starts
from domain.errors import Rejected
from domain.triggers import TriggerEvent

router = manager_pages()

#: What a version says, in the order in which people read it.
_FIELDS = ("name", "event", "rules", "action", "offer", "position", "exclusive_group", "active")


@router.get("/triggers")
def find(page: ThisPage, filters: Annotated[triggers.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    asked = paged(filters)
    found = triggers.list_triggers(page, asked).data
    return page.show("triggers.html", filters=asked, found=found, events=list(TriggerEvent))


@router.get("/triggers/new")
def begin(page: ThisPage) -> Response:
    """A form for the usual, and an example to change for everything else."""
    return _editor(page, None, document=_text(triggers.DOCUMENT_EXAMPLE))


@router.post("/triggers/draft")
def draft(page: ThisPage) -> Response:
    """The form as a document in the editor, to be read, tried and saved there."""
    made = page.attempt(lambda: drafted(page.form, sold(page), page.settings.program_timezone))
    if isinstance(made, Mistakes):
        return _editor(page, None, document=_text(triggers.DOCUMENT_EXAMPLE), mistakes=made)
    return _editor(page, None, document=_text(made), is_drafted=True)


@router.post("/triggers/new")
def create(page: ThisPage) -> Response:
    """Save it: it counts from now on, or from its `effective_from`."""
    made = page.attempt(lambda: triggers.create(page, _document(page)))
    if isinstance(made, Mistakes):
        return _editor(page, None, mistakes=made)
    saved = made.data
    return page.done(f"/triggers/{saved.key}", f"Saved as version {saved.version}.{_warned(saved)}")


@router.post("/triggers/preview")
async def preview(page: ThisPage, request: Request) -> Response:
    """What the draft would have paid; nothing is saved."""
    key = page.form.get("replaces")
    try:
        draft = {name: value for name, value in _document(page).items() if name != "effective_from"}
        period = {"from": _start_of(page, "since"), "to": _start_of(page, "until"), "replaces": key}
        found = (await trigger_previews.preview_trigger(page, request, {**draft, **period})).data
    except SORTED_ERRORS as error:
        return await run_in_threadpool(_editor, page, key, mistakes=mistakes_of(request, error))
    return await run_in_threadpool(_editor, page, key, previewed=found)


@router.get("/triggers/{key:path}")
def read(page: ThisPage, key: Key) -> Response:
    """The version that counts now in the editor, what is planned beside it; before the first begins, the latest."""
    return _editor(page, key)


@router.post("/triggers/{key:path}")
def change(page: ThisPage, key: Key) -> Response:
    """A new version: what the editor says otherwise than the one it was opened with, or the same switched on or off.

    What it says as before is no change: saved from now on, it must not undo or bring forward what is planned.
    """
    switch = page.form.get("active")
    done = page.attempt(
        lambda: triggers.change(page, key, _changes(page, key) if switch is None else {"active": switch == "true"})
    )
    if isinstance(done, Mistakes):
        return _editor(page, key, mistakes=done)
    return page.done(page.address(), f"{done.message}: version {done.data.version}.{_warned(done.data)}")


def _editor(
    page: PageVisit,
    key: str | None,
    *,
    document: str | None = None,
    mistakes: Mistakes | None = None,
    previewed: trigger_previews.ShownPreview | None = None,
    is_drafted: bool = False,
) -> Response:
    """The editor with what was typed, else with what is saved."""
    item = triggers.read(page, key).data if key is not None else None
    versions = triggers.list_versions(page, key).data.items if key is not None else []
    current = next((each for each in versions if each.in_effect), versions[0] if versions else None)
    saved = _text(_said(current)) if current is not None else document
    typed = page.form.get("document", saved)
    return page.show(
        "trigger.html",
        item=item,
        current=current,
        versions=versions,
        document=typed,
        mistakes=mistakes,
        previewed=previewed,
        sold=sold(page) if item is None else [],
        is_drafted=is_drafted,
    )


def _changes(page: PageVisit, key: str) -> dict[str, Any]:
    document, opened = _document(page), page.form.get("version")
    versions = triggers.list_versions(page, key).data.items
    before = next((_said(each) for each in versions if str(each.version) == opened), {})
    return {name: value for name, value in document.items() if name not in before or value != _plain(before[name])}


def _said(version: triggers.TriggerVersion) -> dict[str, Any]:
    return {name: getattr(version, name) for name in _FIELDS}


def _plain(value: object) -> object:
    return value.model_dump() if isinstance(value, triggers.Offer) else value


def _document(page: PageVisit) -> dict[str, Any]:
    try:
        found = json.loads(page.form.get("document", ""))
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}, column {error.colno}: " if isinstance(error, json.JSONDecodeError) else ""
        said = {"type": "json_invalid", "loc": ("body",), "ctx": {"error": where + "it breaks off or goes wrong here"}}
        raise RequestValidationError([said]) from None
    if not isinstance(found, dict):
        raise Rejected("must be a JSON object in braces", "document")
    return found


def _text(document: dict[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in document.items()}, indent=2, ensure_ascii=False)


def _start_of(page: PageVisit, name: str) -> int | None:
    """The start of a day that a form names, in the program's zone."""
    given = page.form.get(name)
    return None if given is None else day_starts(day_of(given, name), page.settings.program_timezone)


def _warned(saved: triggers.ShownTrigger) -> str:
    return f" Warnings to look at: {len(saved.warnings)}." if saved.warnings else ""
