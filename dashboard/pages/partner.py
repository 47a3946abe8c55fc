"""What a partner's members see: the answers of `/api/v2/partner`, and nothing that is not in them (decision 0029)."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dashboard.api import partner
from dashboard.fields import Key
from dashboard.pages.routes import ThisPage, paged, partner_pages

router = partner_pages()


@router.get("/partner")
def offers(page: ThisPage) -> Response:
    """What they can earn."""
    return page.show("partner_offers.html", found=partner.list_offers(page).data)


@router.get("/partner/commissions")
def commissions(page: ThisPage, filters: Annotated[partner.RewardsPage, Query()]) -> Response:
    """What they have earned, and what became of it."""
    asked = paged(filters)
    return page.show("partner_commissions.html", filters=asked, found=partner.list_rewards(page, asked).data)


@router.get("/partner/customers")
def customers(page: ThisPage, filters: Annotated[partner.CustomersPage, Query()]) -> Response:
    """Whom they brought."""
    asked = paged(filters)
    return page.show("partner_customers.html", filters=asked, found=partner.list_customers(page, asked).data)


@router.get("/partner/customers/{key:path}")
def products(page: ThisPage, key: Key) -> Response:
    """Everything that a customer of theirs has or had."""
    return page.show("partner_customer.html", named=key, found=partner.list_products(page, key).data)
