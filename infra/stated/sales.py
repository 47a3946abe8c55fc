"""Whose a customer or a product is, as a request says it. A misspelt partner is told what was meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.case import Program
from domain.customers import Attribution
from domain.near_misses import near_miss
from domain.problems import Problems

#: Fields that are about whose it is.
_ABOUT: Final = ("partner_key", "member_key", "attributed_at")


@dataclass(frozen=True, slots=True)
class Sale:
    """Said anew: it is this partner's, and this member's of it."""

    partner_key: str | None = None
    member_key: str | None = None


#: Nothing is said that was not so before.
NOTHING_NEW: Final = Sale()


def said_of_sale(given: Mapping[str, Any], current: Attribution | None, program: Program, problems: Problems) -> Sale:
    """What a request says of whose it is, given whose it is now; `NOTHING_NEW` where that says nothing else."""
    if "partner_key" in given and given["partner_key"] is None:
        problems.add("partner_key", "cannot be taken away; name the partner whose it is from now on")
        return NOTHING_NEW
    about = [name for name in _ABOUT if name in given]
    if not about:
        return NOTHING_NEW
    partner = given.get("partner_key") or (current.partner_key if current is not None else None)
    if partner is None:
        problems.add(about[0], "is about a partner: name partner_key as well")
        return NOTHING_NEW
    if partner not in program.partners and "partner_key" in given:
        hint = near_miss(partner, sorted(program.partners))
        problems.add("partner_key", hint or f'"{partner}" is no partner; add it under /partnerships first')
    is_theirs = current is not None and current.partner_key == partner
    kept = current.member_key if current is not None and is_theirs else None
    member = given.get("member_key", kept)
    if is_theirs and member == kept and given.get("attributed_at") is None:
        return NOTHING_NEW
    return Sale(partner, member)
