"""Two sides that keep the same books: what only one of them has, and what they have otherwise, kind by kind."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

TheirT = TypeVar("TheirT")
OurT = TypeVar("OurT")


class Kind(StrEnum):
    """What is compared."""

    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    #: What takes back of invoices; each is called as in `domain.facts.ReversalKind`.
    REFUND = "refund"
    CREDIT_NOTE = "credit_note"
    DISPUTE = "dispute"


#: The kinds that take back of what was paid.
REVERSALS = (Kind.REFUND, Kind.CREDIT_NOTE, Kind.DISPUTE)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that the provider has otherwise than we do; None: that side has no such thing."""

    key: str
    #: `status`, `items[prod_1].quantity`, `net`, `lines[sub_1/prod_1]`.
    field: str
    provider: str | int | None
    ours: str | int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of object on both sides; keys in order."""

    provider_count: int
    ours_count: int
    #: There, not here.
    missing: tuple[str, ...]
    #: Here, not there.
    extra: tuple[str, ...]
    different: tuple[Difference, ...]
    #: There, and here in the inbox, waiting for something that is named.
    waiting: tuple[str, ...] = ()


#: Of a kind that was not compared.
NOTHING = Comparison(0, 0, (), (), ())


def beside(
    there: Mapping[str, TheirT],
    here: Mapping[str, OurT],
    differences: Callable[[TheirT, OurT], Iterable[Difference]],
    waiting: Container[str] = (),
) -> Comparison:
    """Both sides by key, and what each pair differs in. What only waits here is not missing."""
    absent = sorted(there.keys() - here.keys())
    return Comparison(
        provider_count=len(there),
        ours_count=len(here),
        missing=tuple(key for key in absent if key not in waiting),
        extra=tuple(sorted(here.keys() - there.keys())),
        different=tuple(
            each for key in sorted(there.keys() & here.keys()) for each in differences(there[key], here[key])
        ),
        waiting=tuple(key for key in absent if key in waiting),
    )
