"""What an entry that follows the provider's catalogue is called, and from when on."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from domain.catalogue import EntryName
from domain.catalogue_descriptions import Followed, first_difference, followed
from domain.facts import ProductDescribed, Source
from domain.known import BEGINNING

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)


def day(number: int) -> datetime:
    """Noon of a day of March."""
    return FIRST + timedelta(days=number - 1)


def said(number: int, name: str | None, event: str = "evt", **details: object) -> ProductDescribed:
    """What the provider said of the product on a day."""
    source = Source(0, day(number), 1, f"{event}_{number}")
    return ProductDescribed("stripe", "prod_inbox", source, name, **details)  # type: ignore[arg-type]


def names_of(text: str) -> tuple[EntryName, ...]:
    """`Mail, Inbox from 3`: the first from the beginning of time where no day is named."""
    found = []
    for part in filter(None, text.split(", ")):
        name, _, number = part.partition(" from ")
        found.append(EntryName(day(int(number)) if number else None, name))
    return tuple(found)


#: What a person named it, from which day on it follows (-: ever since), what the provider said, what it is called.
NAMES = """
prod_inbox           | - | 5 Inbox                   | Inbox
prod_inbox           | - | 5 Mail, 9 Inbox           | Mail, Inbox from 9
prod_inbox           | - | 5 Mail, 9 Mail            | Mail
prod_inbox           | - | 5 Mail, 9 Inbox, 12 Mail  | Mail, Inbox from 9, Mail from 12
Mine                 | 7 | 9 Inbox                   | Mine, Inbox from 9
Mine                 | 7 | 5 Inbox                   | Mine, Inbox from 7
Mine                 | 7 | 5 Inbox, 6 Mail           | Mine, Mail from 7
Mine                 | 7 | 5 Inbox, 6 Mine           | Mine
Mine                 | 7 | 7 Inbox                   | Mine, Inbox from 7
Mine, Ours from 6    | 7 | 9 Inbox                   | Mine, Ours from 6, Inbox from 9
Mine, Ours from 7    | 7 | 9 Inbox                   | Mine, Inbox from 9
Mine, Ours from 8    | 7 | 9 Inbox                   | Mine, Inbox from 9
Ours from 3          | 7 | 9 Inbox                   | Ours from 3, Inbox from 9
Ours from 8          | 7 | 9 Inbox                   | Inbox from 9
Mine                 | 7 | 9 -                       | Mine
"""


@pytest.mark.parametrize("row", NAMES.strip().splitlines())
def test_an_entry_takes_its_names_from_when_it_follows(row: str) -> None:
    """What a person set stays until then; whatever order the provider's words come in, the result is one."""
    own, since, words, expected = (part.strip() for part in row.split("|"))
    told = []
    for word in words.split(", "):
        number, name = word.split()
        told.append(said(int(number), None if name == "-" else name))
    for order in permutations([*told, told[0]]):
        found = followed(names_of(own), order, BEGINNING if since == "-" else day(int(since)))
        assert found is not None
        assert found.names == names_of(expected)


def test_nothing_said_is_nothing_to_follow() -> None:
    """An entry that the provider never spoke of stays as it is."""
    assert followed(names_of("Mine"), (), BEGINNING) is None


def test_the_newest_word_describes_and_archives_and_a_deletion_is_for_good() -> None:
    """A product may be sold again after it was archived, never after it was deleted."""
    old, new = said(1, "Inbox", description="old", archived=True), said(2, "Inbox", description="new")
    expected = Followed(names_of("Inbox"), "new", archived=False)
    assert followed((), [new, old], BEGINNING) == followed((), [old, new], BEGINNING) == expected
    assert followed((), [old], BEGINNING) == Followed(names_of("Inbox"), "old", archived=True)
    gone = said(1, "Inbox", "gone", deleted=True)
    assert followed((), [gone, new], BEGINNING) == Followed(names_of("Inbox"), "new", archived=True)


@pytest.mark.parametrize(
    ("before", "after", "since"),
    [
        ("Inbox", "Inbox", None),
        ("Inbox", "Mail", BEGINNING),
        ("Inbox from 3", "Inbox", None),
        ("Inbox", "Inbox, Mail from 5", day(5)),
        ("Inbox, Mail from 5", "Inbox, Mail from 3", day(3)),
        ("Inbox, Mail from 5", "Inbox, Mail from 5, Inbox from 9", day(9)),
        ("Inbox, Mail from 5", "Mail", BEGINNING),
    ],
)
def test_two_histories_differ_from_the_first_day_on_which_their_names_do(
    before: str, after: str, since: datetime | None
) -> None:
    """Told either way round; what was sold before that day is judged as it was."""
    assert first_difference(names_of(before), names_of(after)) == since
    assert first_difference(names_of(after), names_of(before)) == since
