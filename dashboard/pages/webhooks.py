"""Webhooks to the company's own systems: where they go, and what became of each. A secret is shown once, when made."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from dashboard.api import webhook_deliveries, webhook_endpoints
from dashboard.fields import Key
from dashboard.lists import LIMIT_MAX, Page
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, paged
from dashboard.pages.typed import number_of
from infra.outgoing.deliveries import DeliveryState
from infra.outgoing.endpoints import EVENT_TYPES

router = manager_pages()

#: Of an endpoint, on its own page; their list shows all.
_NEWEST = 10
#: For how many hours an earlier secret may go on signing, as a form offers it.
_OVERLAPS = {"24": "for a day", "72": "for three days", "168": "for a week", "0": "not at all: it got into wrong hands"}


@router.get("/webhook-endpoints")
def find(page: ThisPage) -> Response:
    """All of them: there are few."""
    return _list(page)


@router.post("/webhook-endpoints")
def register(page: ThisPage) -> Response:
    """Register one; its secret is on this page and on no other."""
    given = {"url": page.form.get("url", ""), "event_types": _chosen(page), "active": "paused" not in page.form}
    made = page.attempt(lambda: webhook_endpoints.register(page, page.body(webhook_endpoints.NewEndpoint, given)).data)
    return _list(page, made) if isinstance(made, Mistakes) else _show(page, made.key, secret=made.secret)


@router.get("/webhook-endpoints/{key}")
def read(page: ThisPage, key: Key) -> Response:
    """One, with what it was told last."""
    return _show(page, key)


@router.post("/webhook-endpoints/{key}")
def change(page: ThisPage, key: Key) -> Response:
    """Another address or other events for it, or whether it is told anything at all."""
    switch = page.form.get("active")
    given: dict[str, Any] = {"active": switch == "true"}
    if switch is None:
        given = {"url": page.form.get("url", ""), "event_types": _chosen(page)}
    done = page.attempt(lambda: webhook_endpoints.change(page, key, page.body(webhook_endpoints.EndpointChange, given)))
    if isinstance(done, Mistakes):
        return _show(page, key, mistakes=done)
    said = {None: "Saved.", "true": "It is told again; what waited for it is on its way."}
    return page.done(page.address(), said.get(switch, "It is told nothing until somebody resumes it."))


@router.post("/webhook-endpoints/{key}/secrets")
def rotate(page: ThisPage, key: Key) -> Response:
    """Give it another secret, which is on this page and on no other."""
    given = {"overlap_hours": number_of(page.form.get("overlap_hours", ""))}
    made = page.attempt(lambda: webhook_endpoints.rotate(page, key, page.body(webhook_endpoints.Rotation, given)).data)
    return _show(page, key, mistakes=made) if isinstance(made, Mistakes) else _show(page, key, secret=made.secret)


@router.post("/webhook-endpoints/{key}/deleted")
def delete(page: ThisPage, key: Key) -> Response:
    """Forget it and its secret."""
    url = webhook_endpoints.read(page, key).data.url
    webhook_endpoints.delete(page, key)
    return page.done("/webhook-endpoints", f"{url} is told no more, and its secret is erased.")


@router.get("/webhook-deliveries")
def deliveries(page: ThisPage, filters: Annotated[webhook_deliveries.Filters, Query()]) -> Response:
    """The newest first, those that fit."""
    asked = paged(filters)
    return page.show(
        "webhook_deliveries.html",
        filters=asked,
        found=webhook_deliveries.list_deliveries(page, asked).data,
        endpoints=_endpoints(page),
        **_choices(),
    )


@router.get("/webhook-deliveries/{key}")
def read_delivery(page: ThisPage, key: Key) -> Response:
    """One, with the very text that was signed."""
    item = webhook_deliveries.read(page, key).data
    return page.show("webhook_delivery.html", item=item, endpoint=_endpoints(page).get(item.endpoint_key))


@router.post("/webhook-deliveries/{key}")
def send_again(page: ThisPage, key: Key) -> Response:
    """Send it once more; why that is refused stands on its page."""
    done = page.attempt(lambda: webhook_deliveries.send_again(page, key))
    if not isinstance(done, Mistakes):
        return page.done(page.address(), "It is due now; load this page again in a moment.")
    item = webhook_deliveries.read(page, key).data
    endpoint = _endpoints(page).get(item.endpoint_key)
    return page.show("webhook_delivery.html", item=item, endpoint=endpoint, mistakes=done)


def _list(page: PageVisit, mistakes: Mistakes | None = None) -> Response:
    return page.show("webhook_endpoints.html", found=[*_endpoints(page).values()], mistakes=mistakes, **_choices())


def _show(page: PageVisit, key: str, *, secret: str | None = None, mistakes: Mistakes | None = None) -> Response:
    item = webhook_endpoints.read(page, key).data
    told = webhook_deliveries.Filters(limit=_NEWEST, endpoint_key=key)
    return page.show(
        "webhook_endpoint.html",
        item=item,
        secret=secret,
        told=webhook_deliveries.list_deliveries(page, told).data,
        mistakes=mistakes,
        chosen=_chosen(page) if mistakes and "overlap_hours" not in page.form else item.event_types,
        overlaps=_OVERLAPS,
        **_choices(),
    )


def _endpoints(page: PageVisit) -> dict[str, webhook_endpoints.Endpoint]:
    found = webhook_endpoints.list_endpoints(page, Page(limit=LIMIT_MAX)).data.items
    return {each.key: each for each in found}


def _chosen(page: PageVisit) -> list[str]:
    return [name for name in EVENT_TYPES if name in page.form]


def _choices() -> dict[str, Any]:
    return {"event_types": list(EVENT_TYPES), "delivery_states": [each.value for each in DeliveryState]}
