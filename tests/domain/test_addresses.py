"""Linking by e-mail: the earliest moment at which exactly one of our customers had the address."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from domain import ids
from domain.addresses import address_of, owner_of_address
from domain.facts import PERSONS_WORD, CustomerLinked, CustomerSeen, Source
from domain.known import BEGINNING, Changes, Known
from domain.record import record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOKBACK = timedelta(days=30)
ACME, OTHER = ids.customer_key("acme"), ids.customer_key("other")


def said(second: int, email: str | None, name: str = "cus_1", **details: str) -> CustomerSeen:
    """What was said of somebody at some second; the company's own customers by their own id."""
    source = Source(0, NOON + timedelta(seconds=second), 1, f"evt_{second}_{name}")
    if name in ("acme", "other"):
        return CustomerSeen("api", name, source, customer_key=name, email=email)
    return CustomerSeen("stripe", name, source, email=email, **details)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("email", "address"), [(" Ann@Acme.COM ", "ann@acme.com"), ("", None), ("  ", None), (None, None), ("Ä@x", "Ä@x")]
)
def test_spaces_around_it_and_capitals_do_not_count(email: str | None, address: str | None) -> None:
    """Those of ASCII; nothing is no address."""
    assert address_of(email) == address


@pytest.mark.parametrize(
    ("person", "customers", "owner"),
    [
        ([said(1, "a@x")], {"acme": [[said(2, "A@x ")]]}, "acme"),
        ([said(1, "a@x")], {"acme": [[said(2, "b@x")]]}, None),
        ([said(1, "a@x")], {"acme": [[said(2, "a@x")]], "other": [[said(2, "a@x")]]}, None),
        ([said(1, "a@x")], {"acme": [[said(2, "a@x"), said(2, "a@x")]]}, "acme"),
        # Shared later, or changed later: linked it stays.
        ([said(1, "a@x")], {"acme": [[said(2, "a@x")]], "other": [[said(3, "a@x")]]}, "acme"),
        ([said(1, "a@x"), said(9, "b@x")], {"acme": [[said(2, "a@x")]], "other": [[said(3, "b@x")]]}, "acme"),
        ([said(1, "a@x")], {"acme": [[said(2, "a@x"), said(3, "b@x")]]}, "acme"),
        # Given up by one of two, or before anybody asked.
        ([said(1, "a@x")], {"acme": [[said(2, "a@x"), said(5, None)]], "other": [[said(2, "a@x")]]}, "other"),
        ([said(4, "a@x")], {"acme": [[said(2, "a@x"), said(3, "b@x")]]}, None),
        ([said(1, None)], {"acme": [[said(2, None)]]}, None),
    ],
)
def test_whose_a_person_is(
    person: list[CustomerSeen], customers: dict[str, list[list[CustomerSeen]]], owner: str | None
) -> None:
    """The first who had the address alone."""
    assert owner_of_address(person, customers) == owner


Told = CustomerSeen | CustomerLinked


def one_by_one(*events: Told) -> tuple[Known, Changes]:
    """What is known after events that were told one by one, and what the last one changed."""
    known, changes = Known(descriptions={}), Changes()
    for event in events:
        changes = record([event], known, LOOKBACK)
        descriptions = {place: list(each) for place, each in (known.descriptions or {}).items()}
        for each in changes.descriptions:
            descriptions.setdefault((each.provider, each.provider_customer_key), []).append(each)
        claims = {**known.claims}
        for claim in changes.claims:
            claims[claim.subject] = (*claims.get(claim.subject, ()), claim)
        known = Known(
            {**known.provider_customers, **changes.provider_customers},
            {**known.customers, **changes.customers},
            claims,
            descriptions={place: tuple(each) for place, each in descriptions.items()},
        )
    return known, changes


def link(second: int, company_key: str) -> CustomerLinked:
    """A person's word on cus_1."""
    source = Source(PERSONS_WORD, NOON + timedelta(seconds=second), 1, f"evt_{second}_link")
    return CustomerLinked("stripe", "cus_1", source, company_key)


@pytest.mark.parametrize(
    ("events", "owner"),
    [
        ([said(1, "a@x"), said(2, "a@x", "acme")], ACME),
        ([said(1, "a@x"), said(2, "a@x", "acme"), said(3, "a@x", "other")], ACME),
        ([said(1, "a@x"), said(2, "a@x", "acme"), said(2, "a@x", "other")], None),
        ([said(1, "a@x"), said(2, "a@x", "acme"), said(3, "b@x", "acme"), said(4, "b@x")], ACME),
        ([said(1, "a@x", partner_key="ada"), said(2, "a@x", "acme")], ACME),
        ([said(1, "a@x", partner_key="ada"), said(2, "b@x", "acme")], ids.customer_key("cus_1")),
        ([said(1, "a@x"), said(2, "a@x", "acme"), said(3, "a@x", customer_key="other")], OTHER),
        ([said(1, "a@x"), said(2, "a@x", "acme"), link(0, "other")], OTHER),
        # Somebody who is linked by an address alone makes no address known.
        ([said(1, "a@x"), said(2, "a@x", "acme"), said(3, "b@x"), said(4, "b@x", "cus_2")], ACME),
    ],
)
def test_the_order_in_which_it_is_told_does_not_matter(events: list[Told], owner: str | None) -> None:
    """By metadata or a person before an address, by an address before a mere partner; told in every order."""
    for order in permutations(events):
        known, _ = one_by_one(*order)
        assert known.provider_customers[("stripe", "cus_1")].customer == owner
        assert known.provider_customers.get(("stripe", "cus_2")) is None or (
            known.provider_customers[("stripe", "cus_2")].customer is None
        )


def test_what_a_link_moves_is_judged_again_and_so_is_what_it_leaves() -> None:
    """Who loses a name and whoever bears it, from the beginning."""
    _, changes = one_by_one(said(1, "a@x"), said(3, "a@x", "acme"))
    assert changes.touched.customers[("stripe", "cus_1")] == (BEGINNING, "api:evt_3_acme")
    assert changes.touched.moved == {ACME: "api:evt_3_acme"}
    known, changes = one_by_one(said(1, "a@x"), said(3, "a@x", "acme"), said(3, "a@x", "other"))
    assert known.provider_customers[("stripe", "cus_1")].customer is None
    assert changes.touched.customers[("stripe", "cus_1")] == (BEGINNING, "api:evt_3_other")
    assert ACME in changes.touched.moved


def test_off_nobody_is_linked_by_an_address() -> None:
    """As long as the program does not say so."""
    changes = record([said(1, "a@x"), said(2, "a@x", "acme")], Known(), LOOKBACK)
    assert changes.provider_customers[("stripe", "cus_1")].customer is None
