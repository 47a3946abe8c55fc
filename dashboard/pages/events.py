"""What came in and what became of it: replay it, or ignore it with a reason. Who reads a body is written down."""

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from dashboard.api import dead_letters, events
from dashboard.api.events import EventId
from dashboard.operations import DeadFilter, Done, Reason, Replay
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, paged
from infra.inbox import InboxState
from infra.replays import IGNORABLE
from infra.reports import body_of

router = manager_pages()

_BODY_CHARACTERS_MAX = 200_000


@router.get("/events")
def find(page: ThisPage, filters: Annotated[events.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    asked = paged(filters)
    return page.show("events.html", filters=asked, found=events.list_events(page, asked).data, states=list(InboxState))


@router.get("/events/{id}")
def read(page: ThisPage, id: EventId) -> Response:  # noqa: A002 - as the path calls it
    """One."""
    return _show(page, id)


@router.get("/events/{id}/body")
def read_body(page: ThisPage, id: EventId) -> Response:  # noqa: A002
    """What was received, as text. That somebody looked is written down: it may hold personal details."""
    number = events.read(page, id).data.id
    shown = body_of(page.connection, number).decode("utf-8", "replace")
    page.audit("event.body_shown", f"inbox:{number}")
    return page.show(
        "event_body.html", id=number, body=shown[:_BODY_CHARACTERS_MAX], cut=len(shown) > _BODY_CHARACTERS_MAX
    )


@router.post("/events/{id}/replay")
def replay(page: ThisPage, id: EventId) -> Response:  # noqa: A002
    """Make it due again, or say what that would change."""
    trial = "dry_run" in page.form
    done = events.replay(page, id, Replay(dry_run=trial)).data
    if trial:
        return _show(page, id, trial=done)
    return page.done(f"/events/{id}", "It is due again; a worker takes it in a moment.")


@router.post("/events/{id}/ignore")
def ignore(page: ThisPage, id: EventId) -> Response:  # noqa: A002
    """Put it aside."""
    reason = {name: page.form[name] for name in ("reason",) if name in page.form}
    done = page.attempt(lambda: events.ignore(page, id, page.body(Reason, reason)))
    if isinstance(done, Mistakes):
        return _show(page, id, mistakes=done)
    return page.done(f"/events/{id}", "It is ignored.")


def _show(page: PageVisit, event: str, *, mistakes: Mistakes | None = None, trial: object = None) -> Response:
    item = events.read(page, event).data
    can_be_ignored = item.state in IGNORABLE
    return page.show("event.html", item=item, can_be_ignored=can_be_ignored, mistakes=mistakes, trial=trial)


@router.get("/dead-letters")
def groups(page: ThisPage, filters: Annotated[dead_letters.Filters, Query()]) -> Response:
    """By what killed them."""
    asked = paged(filters)
    return page.show("dead_letters.html", filters=asked, found=dead_letters.list_groups(page, asked).data, trial=None)


@router.post("/dead-letters/{act}")
def act(page: ThisPage, act: Annotated[str, Path(pattern="^(replay|try|ignore)$")]) -> Response:
    """Replay a group, say what that would change, or put it aside."""
    given = {name: page.form[name] for name in ("fingerprint", "reason") if name in page.form}

    def do() -> Done:
        if act != "try":
            page.confirm()
        if act == "ignore":
            return dead_letters.ignore(page, page.body(dead_letters.Ignore, given)).data
        body = page.body(DeadFilter, {"dry_run": act == "try", **{k: v for k, v in given.items() if k != "reason"}})
        return dead_letters.replay(page, body).data

    done = page.attempt(do)
    mistakes = done if isinstance(done, Mistakes) else None
    if not isinstance(done, Mistakes) and act != "try":
        said = "ignored" if act == "ignore" else "due again"
        more = "; there are more of them: do it again" if done.after is not None else ""
        return page.done("/dead-letters", f"{done.count} {said}{more}.")
    filters = paged(dead_letters.Filters())
    return page.show(
        "dead_letters.html",
        filters=filters,
        found=dead_letters.list_groups(page, filters).data,
        trial=None if mistakes else done,
        mistakes=mistakes,
    )
