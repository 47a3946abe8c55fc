"""Commissions: found, read, moved one by one, or approved or marked as paid together after they were looked at."""

from collections import defaultdict
from typing import Annotated, NamedTuple

import msgspec
from fastapi import Query
from starlette.responses import Response

from dashboard.api import rewards
from dashboard.fields import Key
from dashboard.lists import LIMIT_MAX
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, paged, within
from dashboard.pages.typed import Days
from domain.commissions import CommissionState
from domain.errors import Rejected
from infra.ledger.moves import move_seen

router = manager_pages()


class Found(rewards.Filters, Days):
    """Filters of the list."""


Filters = Annotated[Found, Query()]


class Step(NamedTuple):
    """What many commissions are taken through at once."""

    before: CommissionState
    to: CommissionState


_APPROVE = Step(CommissionState.PENDING, CommissionState.APPROVED)
_PAY = Step(CommissionState.APPROVED, CommissionState.PAID)


@router.get("/commissions")
def find(page: ThisPage, filters: Filters) -> Response:
    """The newest first, those that fit."""
    asked = within(page, paged(filters))
    return page.show("commissions.html", filters=asked, found=rewards.list_rewards(page, asked).data)


@router.get("/commissions/approve")
def look_before_approving(page: ThisPage, filters: Filters) -> Response:
    """Those that are pending and fit, the oldest first, with what they come to."""
    return _ask(page, _APPROVE, within(page, filters))


@router.post("/commissions/approve")
def approve_seen(page: ThisPage) -> Response:
    """Approve what was on that page."""
    return _move_seen(page, _APPROVE)


@router.get("/commissions/pay")
def look_before_paying(page: ThisPage, filters: Filters) -> Response:
    """Those that are approved and fit, the oldest first, with what each partner gets."""
    return _ask(page, _PAY, within(page, filters))


@router.post("/commissions/pay")
def mark_seen_as_paid(page: ThisPage) -> Response:
    """Mark what was on that page as paid."""
    return _move_seen(page, _PAY)


@router.get("/commissions/{key:path}")
def read(page: ThisPage, key: Key) -> Response:
    """One, with its entries and where it may be moved."""
    return page.show("commission.html", item=rewards.read(page, key).data)


@router.post("/commissions/{key:path}")
def change(page: ThisPage, key: Key) -> Response:
    """Move it; a move that is not legal, or lacks its reason, is refused with what is missing."""
    given = {name: page.form[name] for name in ("reward_status", "decline_reason") if name in page.form}
    done = page.attempt(lambda: rewards.change(page, key, page.body(rewards.Move, given)))
    if isinstance(done, Mistakes):
        return page.show("commission.html", item=rewards.read(page, key).data, mistakes=done)
    return page.done(page.address(), f"Done: {done.message}")


def _move_seen(page: PageVisit, step: Step) -> Response:
    """Move what was on that page, as it was on that page: what has changed since stays as it is."""
    try:
        seen = msgspec.json.decode(page.form.get("seen", ""), type=dict[str, int])
    except msgspec.DecodeError:
        raise Rejected("is not what the page has sent; open it again", "seen") from None
    page.confirm()
    if len(seen) > LIMIT_MAX:
        raise Rejected(f"names more than {LIMIT_MAX} commissions", "seen")
    moved = move_seen(page.connection, seen, *step)
    for key in moved:
        page.audit("reward.moved", key, **{"from": step.before, "to": step.to})
    left = len(seen) - len(moved)
    said = f"{len(moved)} {step.to}" + (f"; {left} have changed since, or are being worked on: look again" * (left > 0))
    return page.done(f"/commissions?reward_status={step.before}", said)


def _ask(page: PageVisit, step: Step, filters: Found) -> Response:
    chosen = {"reward_status": step.before, "limit": LIMIT_MAX, "order_by": "created_at"}
    asked = filters.model_copy(update=chosen)
    found = rewards.list_rewards(page, asked).data
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for each in found.items:
        sums[each.partner_key, each.currency] += each.amount
    totals: dict[str, int] = defaultdict(int)
    for (_, currency), amount in sums.items():
        totals[currency] += amount
    seen = msgspec.json.encode({each.key: each.amount for each in found.items}).decode()
    return page.show(
        "together.html", to=step.to, filters=asked, found=found, sums=sorted(sums.items()), totals=totals, seen=seen
    )
