"""The company's program as recorded: catalogue, partners, triggers. Read whole, kept until its revision moves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from domain.case import Program
from domain.catalogue import Catalogue, Entry, EntryName
from domain.partners import Partner, PartnerVersion
from domain.transactions import Basis
from domain.triggers import Trigger, parse_trigger
from infra.rows import fetch
from infra.settings import Settings


class ProgramReader:
    """Reads the program when its revision has moved; one per process, not shared between threads."""

    def __init__(self, settings: Settings) -> None:
        self._basis = Basis(settings.commission_basis)
        self._lookback = timedelta(days=settings.attribution_lookback_days)
        self._zone = settings.program_timezone
        self._links_by_email = settings.match_customers_by_email
        #: The revision, and which write of its row that was: a restored database may count again from below.
        self._read: tuple[int, str] | None = None
        self._program: Program | None = None
        self._parsed: dict[tuple[str, int, datetime], Trigger] = {}

    def read(self, connection: Connection) -> Program:
        """The program as of now. Hold `infra.locks.share_program` to keep it so."""
        row = fetch(connection, "select revision, cast(xmin as text) as write from program_revision")[0]
        if self._program is None or self._read != (row.revision, row.write):
            self._program = Program(
                catalogue=_catalogue(connection),
                triggers=self._triggers(connection),
                partners=_partners(connection),
                basis=self._basis,
                lookback=self._lookback,
                zone=self._zone,
                links_by_email=self._links_by_email,
            )
            self._read = row.revision, row.write
        return self._program

    def _triggers(self, connection: Connection) -> dict[str, tuple[Trigger, ...]]:
        found: dict[str, list[Trigger]] = {}
        for row in fetch(connection, "select * from trigger_versions order by key, version"):
            place = (row.key, row.version, row.created_at)
            if place not in self._parsed:
                self._parsed[place] = trigger_of(row)
            found.setdefault(row.key, []).append(self._parsed[place])
        return {key: tuple(versions) for key, versions in found.items()}


def trigger_of(row: Any) -> Trigger:
    """A row of `trigger_versions` as a value."""
    return parse_trigger(row.definition).as_version(row.key, row.version, row.effective_from)


def _catalogue(connection: Connection) -> Catalogue:
    names: dict[str, list[EntryName]] = {}
    for row in fetch(connection, "select * from product_book_names order by key, version"):
        names.setdefault(row.key, []).append(EntryName(row.effective_from, row.name))
    entries = {
        row.key: Entry(row.key, names_in_time(names[row.key]), row.external_key, row.needs_review)
        for row in fetch(connection, "select * from product_book")
    }
    aliases = {row.alias: row.key for row in fetch(connection, "select * from product_book_aliases")}
    by_external_key = {entry.external_key: entry.key for entry in entries.values() if entry.external_key}
    return Catalogue(entries, by_external_key | aliases)


def names_in_time(names: Sequence[EntryName]) -> tuple[EntryName, ...]:
    """A history of names from its versions: later ones replace what they reach back over."""
    kept: list[EntryName] = []
    for name in names:
        kept = [] if name.effective_from is None else [k for k in kept if _before(k, name)]
        kept.append(name)
    return tuple(kept)


def _before(known: EntryName, later: EntryName) -> bool:
    assert later.effective_from is not None
    return known.effective_from is None or known.effective_from < later.effective_from


def _partners(connection: Connection) -> dict[str, Partner]:
    versions: dict[str, list[PartnerVersion]] = {}
    for row in fetch(connection, "select * from partner_versions order by partner_key, version"):
        version = PartnerVersion(row.effective_from, row.group, frozenset(row.tags), row.country, row.metadata)
        known = versions.setdefault(row.partner_key, [])
        since = version.effective_from
        versions[row.partner_key] = [
            k for k in known if since is not None and (k.effective_from is None or k.effective_from < since)
        ] + [version]
    return {
        row.partner_key: Partner(row.partner_key, row.joined_at, tuple(versions[row.partner_key]))
        for row in fetch(connection, "select * from partners")
    }
