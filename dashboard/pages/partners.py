"""Partners, their members, and the tokens that members come in with."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from dashboard.api import partnerships
from dashboard.fields import Key
from dashboard.lists import LIMIT_MAX, Page
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, lines_of, manager_pages, paged

router = manager_pages()

_TEXTS = ("name", "email", "group", "country")


@router.get("/partners")
def find(page: ThisPage, filters: Annotated[partnerships.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    return _list(page, filters)


@router.post("/partners")
def create(page: ThisPage) -> Response:
    """Add a partner."""
    given = {name: value for name, value in _given(page).items() if value}
    given["partner_key"] = page.form.get("partner_key", "")
    made = page.attempt(lambda: partnerships.create(page, page.body(partnerships.NewPartnership, given)))
    if isinstance(made, Mistakes):
        return _list(page, partnerships.Filters(), made)
    return page.done(_path(page, given["partner_key"]), f"{made.data.key}: {made.message}.")


@router.get("/partners/{key:path}")
def read(page: ThisPage, key: Key) -> Response:
    """One partner."""
    return _show(page, key)


@router.post("/partners/{key:path}/tokens")
def issue_token(page: ThisPage, key: Key) -> Response:
    """A token for a member, shown on this page and never again."""
    given = {"member_key": page.form.get("member_key", "")}
    made = page.attempt(lambda: partnerships.issue_token(page, key, page.body(partnerships.NewToken, given)))
    return _show(page, key, made) if isinstance(made, Mistakes) else _show(page, key, issued=made.data)


@router.post("/partners/{key:path}/revoked-tokens")
def revoke_token(page: ThisPage, key: Key) -> Response:
    """Let a token open nothing from now on; whoever signed in with it is signed out."""
    partnerships.revoke_token(page, key, page.form.get("token_key", ""))
    return page.done(_path(page, key), "The token opens nothing any more.")


@router.post("/partners/{key:path}/members")
def change_members(page: ThisPage, key: Key) -> Response:
    """Add a member, or take one out."""
    known = [member.model_dump() for member in partnerships.read(page, key).data.members]
    leaving = page.form.get("removed_member_key")
    if leaving is not None:
        members = [member for member in known if member["member_key"] != leaving]
    else:
        new = {"member_key": page.form.get("member_key", ""), "name": page.form.get("member_name")}
        members = [*known, {**new, "email": page.form.get("member_email")}]
    return _changed(page, key, {"members": members})


@router.post("/partners/{key:path}")
def change(page: ThisPage, key: Key) -> Response:
    """Change what describes the partner; group, tags and country count for what is paid from now on."""
    before = partnerships.read(page, key).data
    return _changed(page, key, {n: value for n, value in _given(page).items() if value != getattr(before, n)})


def _changed(page: PageVisit, key: str, given: dict[str, Any]) -> Response:
    done = page.attempt(lambda: partnerships.change(page, key, page.body(partnerships.PartnershipVersion, given)))
    return _show(page, key, done) if isinstance(done, Mistakes) else page.done(_path(page, key), "Saved.")


def _list(page: PageVisit, filters: partnerships.Filters, mistakes: Mistakes | None = None) -> Response:
    asked = paged(filters)
    found = partnerships.list_partnerships(page, asked).data
    return page.show("partners.html", filters=asked, found=found, mistakes=mistakes)


def _show(
    page: PageVisit, key: str, mistakes: Mistakes | None = None, issued: partnerships.IssuedToken | None = None
) -> Response:
    item = partnerships.read(page, key).data
    tokens = partnerships.list_tokens(page, key, Page(limit=LIMIT_MAX)).data
    return page.show("partner.html", item=item, tokens=tokens, issued=issued, mistakes=mistakes)


def _given(page: PageVisit) -> dict[str, Any]:
    return {**{name: page.form.get(name) for name in _TEXTS}, "tags": lines_of(page.form.get("tags", ""))}


def _path(page: PageVisit, key: str) -> str:
    return page.templates.path_to("/partners", key)
