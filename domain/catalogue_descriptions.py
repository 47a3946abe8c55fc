"""What a provider's catalogue says of an entry that follows it: names over time, the newest description, archived.

Worked out from everything the provider ever said of the product, so neither order nor repetition matters. What a
person set before the entry began to follow stays in force until then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.catalogue import Entry, EntryName
from domain.facts import ProductDescribed
from domain.known import BEGINNING


@dataclass(frozen=True, slots=True)
class Followed:
    """What an entry is to be called and whether it is still sold; descriptions are the provider's newest words."""

    names: tuple[EntryName, ...]
    description: str | None
    archived: bool


def followed(own: Sequence[EntryName], said: Iterable[ProductDescribed], since: datetime) -> Followed | None:
    """What an entry with names of its `own` takes from the provider from `since` on; None: nothing was ever said.

    `since` is BEGINNING for an entry that nobody but the program has named: then the provider's first name holds
    from the beginning of time.
    """
    in_order = sorted(said, key=lambda each: each.source)
    if not in_order:
        return None
    return Followed(
        _names(own, in_order, since),
        in_order[-1].description,
        in_order[-1].archived or any(each.deleted for each in in_order),
    )


def _names(own: Sequence[EntryName], in_order: Sequence[ProductDescribed], since: datetime) -> tuple[EntryName, ...]:
    named = [(max(each.source.occurred_at, since), each.name) for each in in_order if each.name is not None]
    if not named:
        return tuple(own)
    if since <= BEGINNING:
        kept = [EntryName(None, named[0][1])]
    else:
        kept = [name for name in own if name.effective_from is None or name.effective_from < since]
    for moment, name in named:
        if kept and kept[-1].effective_from == moment:
            kept.pop()
        if not kept or kept[-1].name != name:
            kept.append(EntryName(moment, name))
    return tuple(kept)


def first_difference(before: Sequence[EntryName], after: Sequence[EntryName]) -> datetime | None:
    """From when on the two histories call an entry by different names; None: they never do."""
    moments = sorted({name.effective_from or BEGINNING for name in (*before, *after)})
    return next((moment for moment in moments if _at(before, moment) != _at(after, moment)), None)


def _at(names: Sequence[EntryName], moment: datetime) -> str:
    return Entry("", tuple(names)).name_at(moment)
