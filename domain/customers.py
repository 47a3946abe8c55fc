"""Who a customer belongs to, and as of when.

An attribution is folded from claims. The first reaches back, by default as far as the program's lookback; a later
one for another partner starts when it was learnt, so that reassigning never moves what was already earned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer of the company."""

    #: Ours, derived.
    key: str
    #: The company's own id.
    customer_key: str
    email: str | None = None
    name: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody said that `subject` belongs to a partner."""

    #: See `domain.ids`: a customer, a provider's customer or a subscription.
    subject: str
    partner_key: str
    member_key: str | None
    #: When it was said: the event's own time, never its arrival.
    learnt_at: datetime
    #: What said it: `stripe:evt_1`, `program:...`. Breaks ties.
    cause: str
    #: Given when the claim itself says from when it holds.
    effective_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attribution:
    """`partner_key` earns from `effective_from` until the next attribution begins."""

    effective_from: datetime
    partner_key: str
    member_key: str | None


def attributions(claims: Iterable[Claim], lookback: timedelta) -> tuple[Attribution, ...]:
    """Fold claims about one customer into its history, oldest first. Any order of claims gives the same history."""
    history: list[Attribution] = []
    for claim in sorted(claims, key=lambda c: (c.learnt_at, c.cause)):
        last = history[-1] if history else None
        if last and claim.effective_from is None and _names(claim) == (last.partner_key, last.member_key):
            continue
        default = claim.learnt_at if last else claim.learnt_at - lookback
        since = claim.effective_from or default
        history = [known for known in history if known.effective_from < since]
        history.append(Attribution(since, claim.partner_key, claim.member_key))
    return tuple(history)


def _names(claim: Claim) -> tuple[str, str | None]:
    return claim.partner_key, claim.member_key


def attribution_at(history: Sequence[Attribution], at: datetime) -> Attribution | None:
    """The attribution in force at `at`, or None before the first."""
    return next((known for known in reversed(history) if known.effective_from <= at), None)


def first_difference(old: Sequence[Attribution], new: Sequence[Attribution]) -> datetime | None:
    """From when on the two histories differ; None where they never do. What was earned before it stands."""
    if tuple(old) == tuple(new):
        return None
    changed = set(old) ^ set(new)
    return min(known.effective_from for known in changed)
