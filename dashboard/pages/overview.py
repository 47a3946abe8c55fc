"""The first page: how the inbox stands, what is earned, and what waits for a person."""

from starlette.responses import Response

from dashboard.api import (
    customers,
    dead_letters,
    events,
    product_book,
    reconciliations,
    status,
    webhook_deliveries,
    webhook_endpoints,
)
from dashboard.lists import LIMIT_MAX, Page
from dashboard.pages.routes import ThisPage, manager_pages
from infra.checks import last_finished
from infra.inbox import InboxState
from infra.outgoing.deliveries import DeliveryState
from infra.shown.rewards import totals

router = manager_pages()

#: Of each kind of thing that waits for a person, as many are named.
_NAMED = 5


@router.get("/")
def overview(page: ThisPage) -> Response:
    """Everything at a glance."""
    endpoints = webhook_endpoints.list_endpoints(page, Page(limit=LIMIT_MAX)).data.items
    undelivered = webhook_deliveries.Filters(limit=_NAMED, state=DeliveryState.DEAD)
    return page.show(
        "overview.html",
        inbox=status.read(page).data.model_dump(),
        totals=totals(page.connection),
        products=product_book.list_entries(page, product_book.Filters(limit=1, needs_review=False)).data.items,
        to_review=product_book.list_entries(page, product_book.Filters(limit=_NAMED, needs_review=True)).data.items,
        dead=dead_letters.list_groups(page, dead_letters.Filters(limit=_NAMED)).data.items,
        waiting=events.list_events(page, events.Filters(limit=_NAMED, state=InboxState.WAITING)).data.items,
        unlinked=customers.list_customers(page, customers.Filters(limit=_NAMED, linked=False)).data.items,
        stopped=[each for each in endpoints if each.stopped_reason is not None],
        undelivered=webhook_deliveries.list_deliveries(page, undelivered).data.items,
        check=last_finished(page.connection),
        reconciliations=reconciliations.list_reconciliations(page, reconciliations.Filters(limit=1)).data.items,
    )
