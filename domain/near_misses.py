"""Texts that look equal to a person and are not: matching stays exact, an explanation says what the eye misses."""

import unicodedata
from collections.abc import Iterable


def near_miss(actual: str, wanted: Iterable[str]) -> str | None:
    """`"inbox" differs from "Inbox" only in capitals` for the first wanted text it nearly is, else None.

    A text that is equal is no near miss.
    """
    for text in wanted:
        difference = difference_between(actual, text)
        if difference is not None:
            return f'"{actual}" differs from "{text}" only in {difference}'
    return None


def difference_between(one: str, other: str) -> str | None:
    """`capitals`, `white space`, both, or `letter encoding`; None if equal, or different in earnest."""
    if one == other or _plain(one) != _plain(other):
        return None
    names = []
    if _one_spaced(_composed(one)) != _one_spaced(_composed(other)):
        names.append("capitals")
    if _composed(one.casefold()) != _composed(other.casefold()):
        names.append("white space")
    return " and ".join(names) or "letter encoding"


def _plain(text: str) -> str:
    return _one_spaced(_composed(_composed(text).casefold()))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _one_spaced(text: str) -> str:
    return " ".join(text.split())
