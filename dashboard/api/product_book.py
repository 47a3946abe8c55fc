"""`/product_book`: what the company sells, and which provider ids lead to it."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Body, Flag, Key, LongText, ShortText
from dashboard.lists import Page, Period, Wanted, listed
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Missing, Rejected
from domain.windows import epoch_ms
from infra.catalogue_changes import follow_provider
from infra.program_changes import change_entry, create_entry
from infra.rows import fetch

router = manager_routes("/product_book", "product book")

_EXAMPLE: dict[str, Any] = {
    "name": "Inbox",
    "description": "A shared inbox for the whole team",
    "external_key": "prod_inbox",
    "aliases": ["price_inbox_monthly", "price_inbox_yearly"],
    "archived": False,
}


class Entry(BaseModel):
    """A product book entry."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "pbook_0a1b2c3d4e5f60718293",
                    **_EXAMPLE,
                    "needs_review": False,
                    "follows_provider": False,
                    "created_at": 1767225600000,
                }
            ]
        }
    )

    key: str
    name: str = Field(description="Its name now; rules read the name of the moment judged.")
    description: str | None
    external_key: str | None = Field(description="The provider's product id; null: only aliases lead here.")
    aliases: list[str] = Field(description="Further provider ids that lead here: prices, Chargebee item prices.")
    archived: bool = Field(description="Sold no more: left out of lists, and still matching what is billed.")
    needs_review: bool = Field(description="Made for a sold product that nobody had described.")
    follows_provider: bool = Field(description="Called what the provider's catalogue says, until a person says more.")
    created_at: int


class EntryChange(Body):
    """What to change: a field that is left out stays; null clears a description or an external_key."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Team Inbox", "archived": False}]})

    name: ShortText = Field(default="", description="Holds from now on.")
    description: LongText | None = None
    external_key: Key | None = Field(default=None, description="The provider's product id.")
    aliases: list[Key] = Field(default=[], max_length=1_000, description="All of them: others are removed.")
    archived: Flag = False
    follows_provider: Flag = Field(default=False, description="Keep name and description as the provider says them.")


class NewEntry(EntryChange):
    """An entry to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: ShortText = Field(description="Holds from the beginning of time.")


class Which(Period):
    """Which entries."""

    archived: bool | None = Field(default=False, description="false: those sold now; true: those archived.")
    needs_review: bool | None = Field(default=None, description="true: those that nobody has described yet.")
    external_key: Key | None = Field(default=None, description="The one that this provider id leads to, by any way.")


class Filters(Which, Page):
    """Which entries, a page of them."""


_SELECT = """
    select b.key, b.external_key, b.description, b.archived, b.needs_review, b.created_at,
        b.follows_provider_from is not null as follows_provider,
        (select n.name from product_book_names n where n.key = b.key order by n.version desc limit 1) as name,
        array(select a.alias from product_book_aliases a where a.key = b.key order by a.alias) as aliases
    from product_book b
"""


_CONDITIONS = {
    "archived": "archived = :archived",
    "needs_review": "needs_review = :needs_review",
    "external_key": "external_key = :external_key or :external_key = any(aliases)",
}


def wanted(visit: Visit, which: Which) -> Wanted:
    """Those that fit, whichever page."""
    given = {name: value for name in _CONDITIONS if (value := getattr(which, name)) is not None}
    return Wanted(_SELECT, [_CONDITIONS[name] for name in given], given)


@router.get("")
def list_entries(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[Entry]]:
    """List the product book; archived entries only on demand."""
    asked = wanted(visit, filters)
    return listed(visit.connection, _SELECT, filters, _item, conditions=asked.conditions, **asked.parameters)


@router.post("")
def create(visit: ThisVisit, body: NewEntry) -> Answer[Entry]:
    """Add an entry, or describe the one with this `external_key` that waits for review. Again the same is no change."""
    saved = create_entry(visit.connection, _said(body), visit.now)
    _follow(visit, saved.key, body)
    if saved.created or saved.changed:
        visit.audit(
            "product_book.created" if saved.created else "product_book.changed", saved.key, fields=saved.changed
        )
    return answered(_read(visit, saved.key), "created" if saved.created else "it was there already")


@router.get("/{key}")
def read(visit: ThisVisit, key: Key) -> Answer[Entry]:
    """One entry."""
    return answered(_read(visit, key), "found")


@router.patch("/{key}")
def change(visit: ThisVisit, key: Key, body: EntryChange) -> Answer[Entry]:
    """Change an entry. A new name holds from now on; provider ids hold for what was billed before, too."""
    changed = change_entry(visit.connection, key, _said(body), visit.now)
    if _follow(visit, key, body):
        changed = (*changed, "follows_provider")
    if changed:
        visit.audit("product_book.changed", key, fields=changed)
    return answered(_read(visit, key), "changed" if changed else "nothing to change")


def _said(body: EntryChange) -> dict[str, Any]:
    return {name: value for name, value in body.sent().items() if name != "follows_provider"}


def _follow(visit: Visit, key: str, body: EntryChange) -> bool:
    """Begin or end following the provider, if the body says so and it is not so already."""
    entry = _read(visit, key)
    if "follows_provider" not in body.model_fields_set or entry.follows_provider == body.follows_provider:
        return False
    if entry.external_key is None:
        raise Rejected("needs an external_key: by it the provider's catalogue names the product", "follows_provider")
    said = "select distinct provider from product_descriptions where product_key = :key"
    providers = [row.provider for row in fetch(visit.connection, said, key=entry.external_key)]
    for provider in providers or ["stripe"]:
        follow_provider(visit.connection, provider, entry.external_key, follow=body.follows_provider, now=visit.now)
    return True


def _read(visit: Visit, key: str) -> Entry:
    found = fetch(visit.connection, f"{_SELECT} where b.key = :key", key=key)
    if not found:
        raise Missing(f"there is no product book entry {key}", "key")
    return _item(found[0])


def _item(row: Any) -> Entry:
    return Entry(**{**row._mapping, "created_at": epoch_ms(row.created_at)})
