"""Linking by e-mail, where the program turns that on: after a known id and after metadata, before a mere partner.

A provider's customer whom neither links is the one of ours who had its address, at the earliest moment at which exactly
one had it. From then on it is linked: that an address is changed, or shared, later undoes nothing. Worked out from all
that was ever said, so that the order in which it is heard does not matter.
"""

import string
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from domain.facts import CustomerSeen

#: Of one name of a customer, everything said.
Said = Sequence[CustomerSeen]

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def address_of(email: str | None) -> str | None:
    """An address as it is compared: without spaces around it, capitals aside. None: there is none."""
    return (email or "").strip(" ").translate(_LOWER) or None


def addresses_in(said: Iterable[CustomerSeen]) -> set[str]:
    """Every address that was ever said."""
    return {address for each in said if (address := address_of(each.email)) is not None}


def owner_of_address(person: Said, customers: Mapping[str, Sequence[Said]]) -> str | None:
    """Whose a person is by its address; `customers` has, per customer of ours, what was said under each of its names.

    Only names that something better than an address links.
    """
    names = [said for each in customers.values() for said in each]
    for at in sorted({each.source.occurred_at for said in (person, *names) for each in said}):
        address = _address_at(person, at)
        if address is None:
            continue
        having = [key for key, each in customers.items() if any(_address_at(said, at) == address for said in each)]
        if len(having) == 1:
            return having[0]
    return None


def _address_at(said: Said, at: datetime) -> str | None:
    """The address in force at a moment: of the newest word by then."""
    by_then = [each for each in said if each.source.occurred_at <= at]
    if not by_then:
        return None
    return address_of(max(by_then, key=lambda each: (each.source.occurred_at, each.source)).email)
