"""`/partnerships`: partners of the program, their members, and the tokens that members come in with."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, Items, answered
from dashboard.fields import Body, Country, Email, Key, Metadata, Milliseconds, ShortText, moment
from dashboard.lists import Page, Period, Wanted, listed
from dashboard.visits import ThisVisit, Visit, manager_routes
from domain.errors import Missing
from domain.windows import epoch_ms
from infra.access import create_member_token, revoke_member_token
from infra.program_changes import change_partner, create_partner
from infra.rows import fetch

router = manager_routes("/partnerships", "partnerships")

_SAID: dict[str, Any] = {
    "name": "Ada Consulting",
    "email": "partners@ada.example",
    "group": "resellers",
    "tags": ["europe", "gold"],
    "country": "DE",
    "joined_at": 1767225600000,
    "members": [{"member_key": "bob", "name": "Bob", "email": "bob@ada.example"}],
    "metadata": {"crm": "A-17"},
}


class Member(Body):
    """Somebody of the partner."""

    member_key: Key
    name: ShortText | None = None
    email: Email | None = None


class PartnershipChange(Body):
    """What to change: a field that is left out stays; null clears it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"group": "resellers", "tags": ["gold"]}]})

    name: ShortText | None = None
    email: Email | None = None
    group: ShortText | None = Field(default=None, description="Rules read it as `partner.group`.")
    tags: list[ShortText] = Field(default=[], max_length=100, description="All of them: others are taken off.")
    country: Country | None = Field(default=None, description="ISO 3166, upper case.")
    joined_at: Milliseconds = Field(default=0)
    members: list[Member] = Field(default=[], max_length=1_000, description="All of them: others are removed.")
    metadata: Metadata = Field(default={}, description="All of it: what is left out goes.")


class PartnershipVersion(PartnershipChange):
    """What to change, and from when on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"group": "resellers", "tags": ["gold"]}]})

    effective_from: Milliseconds | None = Field(
        default=None, description="From when on group, tags, country and metadata hold; now if left out."
    )


class NewPartnership(PartnershipChange):
    """A partner to add."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"partner_key": "ada", **_SAID}]})

    partner_key: Key = Field(description="The company's own id of the partner; never changes.")
    joined_at: Milliseconds | None = Field(default=None, description="Now if left out.")  # type: ignore[assignment]


class Partnership(BaseModel):
    """A partner, as it was last said to be."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key": "ada", "partner_key": "ada", **_SAID, "created_at": 1767225600000}]}
    )

    key: str = Field(description="The same as `partner_key`.")
    partner_key: str
    name: str | None
    email: str | None
    group: str | None
    tags: list[str]
    country: str | None
    joined_at: int
    members: list[Member]
    metadata: dict[str, str]
    created_at: int


class NewToken(Body):
    """For whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"member_key": "bob"}]})

    member_key: Key


class Token(BaseModel):
    """A token as it is kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"key": "tok_0a1b2c3d4e5f", "member_key": "bob", "created_at": 1767225600000, "revoked_at": None}
            ]
        }
    )

    key: str
    member_key: str
    created_at: int
    revoked_at: int | None


class IssuedToken(BaseModel):
    """A token as it is shown once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key": "tok_0a1b2c3d4e5f", "token": "mem_...", "member_key": "bob"}]}
    )

    key: str
    token: str = Field(description="Shown now and never again: for `Authorization: Bearer` on /partner/...")
    member_key: str


class Which(Period):
    """Which partners."""

    group: ShortText | None = None
    tag: ShortText | None = None


class Filters(Which, Page):
    """Which partners, a page of them."""


_SELECT = """
    select p.partner_key as key, p.partner_key, p.name, p.email, p.joined_at, p.created_at, v."group", v.tags,
        v.country, v.metadata, coalesce((
            select json_agg(json_build_object('member_key', m.member_key, 'name', m.name, 'email', m.email)
                order by m.member_key)
            from partner_members m where m.partner_key = p.partner_key and m.removed_at is null
        ), '[]') as members
    from partners p left join lateral (
        select * from partner_versions v where v.partner_key = p.partner_key order by version desc limit 1
    ) v on true
"""


_CONDITIONS = {"group": '"group" = :group', "tag": ":tag = any(tags)"}


def wanted(visit: Visit, which: Which) -> Wanted:
    """Those that fit, whichever page."""
    given = {name: value for name in _CONDITIONS if (value := getattr(which, name)) is not None}
    return Wanted(_SELECT, [_CONDITIONS[name] for name in given], given)


@router.get("")
def list_partnerships(visit: ThisVisit, filters: Annotated[Filters, Query()]) -> Answer[Items[Partnership]]:
    """List the partners."""
    asked = wanted(visit, filters)
    return listed(visit.connection, _SELECT, filters, _item, conditions=asked.conditions, **asked.parameters)


@router.post("")
def create(visit: ThisVisit, body: NewPartnership) -> Answer[Partnership]:
    """Add a partner. Saying the same again changes nothing; saying something else of one that is there is refused."""
    created = create_partner(visit.connection, body.partner_key, _said(body), visit.now)
    if created:
        visit.audit("partnership.created", body.partner_key)
    return answered(_read(visit, body.partner_key), "created" if created else "it was there already")


@router.get("/{key}")
def read(visit: ThisVisit, key: Key) -> Answer[Partnership]:
    """One partner."""
    return answered(_read(visit, key), "found")


@router.patch("/{key}")
def change(visit: ThisVisit, key: Key, body: PartnershipVersion) -> Answer[Partnership]:
    """Change a partner. Group, tags, country and metadata are judged as of then: what was paid before stays."""
    since = moment(body.effective_from, "effective_from")
    changed = change_partner(visit.connection, key, _said(body), visit.now, since)
    if changed:
        visit.audit("partnership.changed", key, fields=changed)
    return answered(_read(visit, key), "changed" if changed else "nothing to change")


@router.get("/{key}/tokens")
def list_tokens(visit: ThisVisit, key: Key, page: Annotated[Page, Query()]) -> Answer[Items[Token]]:
    """List the tokens of a partner's members, revoked ones included; never the tokens themselves."""
    _read(visit, key)
    select = "select key, member_key, created_at, revoked_at from member_tokens where partner_key = :partner_key"
    return listed(visit.connection, select, page, _token, partner_key=key)


@router.post("/{key}/tokens")
def issue_token(visit: ThisVisit, key: Key, body: NewToken) -> Answer[IssuedToken]:
    """Make a token for a member. It is shown once: here, and to a repeat with the same Idempotency-Key."""
    _read(visit, key)
    token_key, token = create_member_token(visit.connection, key, body.member_key)
    visit.answer_is_secret = True
    visit.audit("member_token.created", token_key, partner_key=key, member_key=body.member_key)
    return answered(IssuedToken(key=token_key, token=token, member_key=body.member_key), "created; not shown again")


@router.delete("/{key}/tokens/{token_key}")
def revoke_token(visit: ThisVisit, key: Key, token_key: Key) -> Answer[Token]:
    """Let a token open nothing from now on."""
    if revoke_member_token(visit.connection, key, token_key, visit.now):
        visit.audit("member_token.revoked", token_key, partner_key=key)
    found = fetch(visit.connection, "select * from member_tokens where key = :key", key=token_key)
    return answered(_token(found[0]), "revoked")


def _said(body: PartnershipChange) -> dict[str, Any]:
    said = {name: value for name, value in body.sent().items() if name not in ("partner_key", "effective_from")}
    if "joined_at" in said:
        said["joined_at"] = moment(body.joined_at, "joined_at")
    return said


def _read(visit: Visit, key: str) -> Partnership:
    found = fetch(visit.connection, f"{_SELECT} where p.partner_key = :key", key=key)
    if not found:
        raise Missing(f"there is no partner {key}", "key")
    return _item(found[0])


def _item(row: Any) -> Partnership:
    times = {name: epoch_ms(getattr(row, name)) for name in ("joined_at", "created_at")}
    return Partnership(**{**row._mapping, **times})


def _token(row: Any) -> Token:
    revoked_at = row.revoked_at and epoch_ms(row.revoked_at)
    return Token(key=row.key, member_key=row.member_key, created_at=epoch_ms(row.created_at), revoked_at=revoked_at)
