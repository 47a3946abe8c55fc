"""The product book: what the company sells, and which entry a provider's line belongs to.

Matching is exact and case-sensitive, by price id first, then by product id. A sold product that the book lacks gets
an entry marked `needs_review`; its name is the provider's id until somebody names it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain import ids
from domain.near_misses import difference_between


@dataclass(frozen=True, slots=True)
class EntryName:
    """What an entry was called from `effective_from` on; None: since the beginning of time."""

    effective_from: datetime | None
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One product book entry with the history of its name, oldest first."""

    key: str
    names: tuple[EntryName, ...]
    external_key: str | None = None
    #: Made by the program and not looked at by anybody yet; it follows the provider's catalogue.
    needs_review: bool = False

    def name_at(self, at: datetime) -> str:
        """The name in force at `at`; the first known name holds from the beginning of time."""
        in_force = [n.name for n in self.names if n.effective_from is None or n.effective_from <= at]
        return in_force[-1] if in_force else self.names[0].name


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Entries by key, and the provider ids (product ids and aliases) that lead to them."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    by_external_key: Mapping[str, str] = field(default_factory=dict)

    def match(self, price_keys: Sequence[str], product_key: str | None) -> Entry | None:
        """The entry for a line: by any of its price ids, in order, else by its product id, else by the entry's own key:
        that is what the company calls a product which no provider has an id for.
        """
        for external in (*price_keys, *((product_key,) if product_key else ())):
            if (key := self.by_external_key.get(external)) is not None:
                return self.entries[key]
        return self.entries.get(product_key) if product_key else None

    def with_entries(self, added: Iterable[Entry]) -> "Catalogue":
        """This catalogue and the entries it lacked."""
        new = [entry for entry in added if entry.key not in self.entries]
        return Catalogue(
            {**self.entries, **{entry.key: entry for entry in new}},
            {**{e.external_key: e.key for e in new if e.external_key}, **self.by_external_key},
        )

    def near_miss(self, external_key: str) -> str | None:
        """A sentence naming an id of the book that differs from this one only in capitals or white space."""
        for other in sorted(self.by_external_key):
            if (difference := difference_between(external_key, other)) is not None:
                name = self.entries[self.by_external_key[other]].names[-1].name
                nearest = f'"{other}" ({name}) differs only in {difference}'
                return f'"{external_key}" matches no product book entry; {nearest}'
        return None


def placeholder(provider: str, product_key: str) -> Entry:
    """The entry for a sold product nobody has described yet; its key is derived, so making it twice makes one."""
    key = ids.product_book_key(provider, product_key)
    return Entry(key, (EntryName(None, product_key),), external_key=product_key, needs_review=True)
