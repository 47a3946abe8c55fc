"""Offers: all that a partner ever learns of a trigger is its description, and whether it is meant for them.

Nothing here may tell two triggers apart whose offers read the same: no key, no version, no date.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from domain import ids
from domain.fields import Facts
from domain.partners import Partner
from domain.readings import partner_values
from domain.rules import could_hold
from domain.triggers import Trigger, in_force


@dataclass(frozen=True, slots=True)
class Offer:
    """What a partner can earn, in the words of the program manager."""

    #: Derived from the description alone: it tells nothing that the description does not.
    key: str
    description: str


def offers_for(partner: Partner, triggers: Iterable[tuple[Trigger, ...]], as_of: datetime, zone: tzinfo) -> list[Offer]:
    """The offers a partner is eligible for at a moment, each once, in the order the program manager chose.

    `triggers` gives each trigger as all its versions. An offer is shown unless the trigger's conditions on partners
    rule this one out; what it asks of products, customers and payments is yet to be seen.
    """
    facts = Facts({"partner": partner_values(partner, as_of)}, as_of, zone)
    places: dict[str, int] = {}
    for versions in triggers:
        trigger = in_force(versions, as_of)
        if trigger is None or trigger.offer_description is None:
            continue
        if could_hold(trigger.rules, facts, frozenset({"partner"})):
            place = places.setdefault(trigger.offer_description, trigger.position)
            places[trigger.offer_description] = min(place, trigger.position)
    ordered = sorted(places, key=lambda description: (places[description], description))
    return [Offer(ids.derived("offer", description), description) for description in ordered]
