"""Commissions: found, read, moved one by one, or approved together after they were looked at."""

from collections import defaultdict
from typing import Annotated

import msgspec
from fastapi import Query
from starlette.responses import Response

from dashboard.api import rewards
from dashboard.fields import Key
from dashboard.lists import LIMIT_MAX
from dashboard.pages.routes import Mistakes, ThisPage, manager_pages, paged, within
from dashboard.pages.typed import Days
from domain.commissions import CommissionState
from domain.errors import Rejected
from infra.ledger.moves import approve

router = manager_pages()


class Found(rewards.Filters, Days):
    """Filters of the list."""


Filters = Annotated[Found, Query()]


@router.get("/commissions")
def find(page: ThisPage, filters: Filters) -> Response:
    """The newest first, those that fit."""
    asked = within(page, paged(filters))
    return page.show("commissions.html", filters=asked, found=rewards.list_rewards(page, asked).data)


@router.get("/commissions/approve")
def look_before_approving(page: ThisPage, filters: Filters) -> Response:
    """Those that are pending and fit, the oldest first, with what they come to."""
    asked = within(page, filters).model_copy(
        update={"reward_status": CommissionState.PENDING, "limit": LIMIT_MAX, "order_by": "created_at"}
    )
    found = rewards.list_rewards(page, asked).data
    sums: dict[str, int] = defaultdict(int)
    for each in found.items:
        sums[each.currency] += each.amount
    seen = msgspec.json.encode({each.key: each.amount for each in found.items}).decode()
    return page.show("approve.html", filters=asked, found=found, sums=sums, seen=seen)


@router.post("/commissions/approve")
def approve_seen(page: ThisPage) -> Response:
    """Approve what was on that page, as it was on that page: what has changed since stays as it is."""
    try:
        seen = msgspec.json.decode(page.form.get("seen", ""), type=dict[str, int])
    except msgspec.DecodeError:
        raise Rejected("is not what the page has sent; open it again", "seen") from None
    page.confirm()
    if len(seen) > LIMIT_MAX:
        raise Rejected(f"names more than {LIMIT_MAX} commissions", "seen")
    moved = approve(page.connection, seen)
    for key in moved:
        page.audit("reward.moved", key, **{"from": CommissionState.PENDING, "to": CommissionState.APPROVED})
    left = len(seen) - len(moved)
    said = f"{len(moved)} approved" + (f"; {left} have changed since, or are being worked on: look again" * (left > 0))
    return page.done("/commissions?reward_status=pending", said)


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
