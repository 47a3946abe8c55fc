"""What partners see, and that nothing in it depends on what they must not know."""

from dataclasses import asdict, fields, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commissions import CommissionState
from domain.customers import Attribution
from domain.facts import ProductStatus
from domain.partner_view import (
    CommissionView,
    EarnedCommission,
    OwnColumns,
    OwnedProduct,
    ProductView,
    commissions_of,
    is_customer_of,
    products_of,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TOKYO = ZoneInfo("Asia/Tokyo")

INBOX = OwnedProduct("sub_1/inbox", "Inbox", "ada", "ada-1", ProductStatus.ACTIVE, NOON, 9900, "usd", 1)
SURVEYS = OwnedProduct("sub_2/surveys", "Surveys", "bob", "bob-1", ProductStatus.CHURNED, NOON - DAY, 3900, "usd", 2)
EARNED = EarnedCommission(
    key="cmsn_1",
    partner_key="ada",
    member_key="ada-1",
    trigger_key="trig_secret",
    trigger_version=7,
    customer="cust_1",
    product_name="Inbox",
    amount_minor=1980,
    currency="usd",
    state=CommissionState.PENDING,
    decline_reason=None,
    arithmetic="99.00 USD line x 20 % = 19.80 USD",
    offer="20 % of Inbox",
    earned_at=NOON,
)


def test_a_commission_shows_everything_but_its_trigger() -> None:
    """Amount, state, arithmetic, offer, customer, product and member are shown; the trigger is not."""
    (view,) = commissions_of("ada", [replace(EARNED, due_at=NOON + DAY, adjusts="cmsn_0")])
    hidden = {"partner_key", "trigger_key", "trigger_version"}
    booked = asdict(replace(EARNED, due_at=NOON + DAY, adjusts="cmsn_0"))
    assert asdict(view) == {name: value for name, value in booked.items() if name not in hidden}
    assert {field.name for field in fields(CommissionView)}.isdisjoint(hidden)


def test_commissions_of_others_are_passed_over() -> None:
    """A partner sees its own commissions only."""
    assert commissions_of("ada", [replace(EARNED, partner_key="bob")]) == []


@pytest.mark.parametrize("state", CommissionState)
def test_a_reason_is_shown_where_something_was_declined(state: CommissionState) -> None:
    """A decline reason is shown with a declined commission, and with no other."""
    (view,) = commissions_of("ada", [replace(EARNED, state=state, decline_reason="a refund is due")])
    assert view.state is state
    assert view.decline_reason == ("a refund is due" if state is CommissionState.DECLINED else None)


def test_commissions_are_newest_first() -> None:
    """The latest earned comes first, those of one moment in the order of their keys."""
    moments = {"a": NOON, "c": NOON + DAY, "b": NOON + DAY}
    earned = [replace(EARNED, key=key, earned_at=at) for key, at in moments.items()]
    assert [view.key for view in commissions_of("ada", earned)] == ["b", "c", "a"]
    assert [view.key for view in commissions_of("ada", reversed(earned))] == ["b", "c", "a"]


def test_own_products_have_all_columns_and_others_three() -> None:
    """Of what somebody else sold a partner sees the product, its status and the day it was bought."""
    own = OwnColumns("sub_1/inbox", 9900, "usd", 1, "ada", "ada-1", NOON)
    assert products_of("ada", [INBOX, SURVEYS], UTC) == [
        ProductView("Inbox", ProductStatus.ACTIVE, date(2026, 3, 1), own),
        ProductView("Surveys", ProductStatus.CHURNED, date(2026, 2, 28), None),
    ]


def test_nobodys_product_looks_like_anybody_elses() -> None:
    """Whether another partner or nobody sold a product cannot be seen."""
    nobodys = replace(SURVEYS, partner_key=None, member_key=None)
    assert repr(products_of("ada", [nobodys], UTC)) == repr(products_of("ada", [SURVEYS], UTC))


def test_the_day_is_the_programs() -> None:
    """The purchase date is the day in the program's time zone."""
    late = replace(SURVEYS, purchased_at=NOON.replace(hour=23))
    assert [view.purchased_on for view in products_of("ada", [late], TOKYO)] == [date(2026, 3, 2)]


def test_products_are_in_the_order_of_what_is_seen() -> None:
    """The latest day first, then by name and status; what was bought on no known day comes last."""
    products = [
        replace(INBOX, key="1", product_name="C", purchased_at=None),
        replace(INBOX, key="2", product_name="B", partner_key="bob"),
        replace(INBOX, key="3", product_name="A", purchased_at=NOON + timedelta(hours=1)),
        replace(INBOX, key="4", product_name="B", purchased_at=NOON - timedelta(hours=1)),
        replace(INBOX, key="5", product_name="B", status=ProductStatus.TRIAL, partner_key="bob"),
        replace(INBOX, key="6", product_name="Z", purchased_at=NOON + DAY),
    ]
    seen = [(view.product_name, view.status.value, view.own is not None) for view in products_of("ada", products, UTC)]
    assert seen == [
        ("Z", "active", True),
        ("A", "active", True),
        ("B", "active", False),
        ("B", "active", True),
        ("B", "trial", False),
        ("C", "active", True),
    ]


def test_what_never_started_is_not_had() -> None:
    """A subscription that never began is no product of the customer, and makes nobody its partner."""
    never = replace(INBOX, status=ProductStatus.NONE, purchased_at=None)
    assert products_of("ada", [never], UTC) == []
    assert not is_customer_of("ada", [], [never], NOON)


def test_a_customer_is_whose_it_was_or_who_sold_to_it() -> None:
    """An attribution that has begun, even one replaced since, or a product sold makes a customer theirs."""
    history = [Attribution(NOON, "ada", None), Attribution(NOON + DAY, "bob", None)]
    assert is_customer_of("ada", history, [], NOON + 9 * DAY)
    assert is_customer_of("bob", history, [], NOON + DAY)
    assert not is_customer_of("bob", history, [], NOON)
    assert not is_customer_of("cleo", history, [INBOX], NOON + DAY)
    assert is_customer_of("ada", [], [SURVEYS, INBOX], NOON)
    assert not is_customer_of("ada", [], [SURVEYS], NOON)


others = st.sampled_from(["bob", "cleo", None])
moments = st.one_of(st.none(), st.integers(0, 60).map(lambda hours: NOON + timedelta(hours=hours)))


def products_sold_by(partners: st.SearchStrategy[str | None]) -> st.SearchStrategy[OwnedProduct]:
    """Products with every column drawn."""
    return st.builds(
        OwnedProduct,
        key=st.uuids().map(str),
        product_name=st.sampled_from(["Inbox", "Surveys"]),
        partner_key=partners,
        member_key=st.sampled_from(["m1", "m2", None]),
        status=st.sampled_from(ProductStatus),
        purchased_at=moments,
        amount_minor=st.one_of(st.none(), st.integers(0, 9)),
        currency=st.sampled_from(["usd", "eur", None]),
        quantity=st.sampled_from([1, 2, None]),
    )


def disguise(product: OwnedProduct, as_another: OwnedProduct) -> OwnedProduct:
    """A product that reads the same to those who did not sell it, everything else about it being another's."""
    bought_at = product.purchased_at
    return replace(as_another, product_name=product.product_name, status=product.status, purchased_at=bought_at)


@settings(max_examples=60)
@given(st.lists(products_sold_by(st.one_of(st.just("ada"), others)), max_size=5), st.data())
def test_a_view_does_not_depend_on_the_other_side(customer: list[OwnedProduct], data: st.DataObject) -> None:
    """Whoever sold the other products, for however much, in whatever order they are kept: the same bytes are shown."""
    disguised = [
        product if product.partner_key == "ada" else disguise(product, data.draw(products_sold_by(others)))
        for product in customer
    ]
    shuffled = data.draw(st.permutations(disguised))
    assert repr(products_of("ada", shuffled, TOKYO)).encode() == repr(products_of("ada", customer, TOKYO)).encode()
    assert is_customer_of("ada", [], shuffled, NOON) is is_customer_of("ada", [], customer, NOON)


@settings(max_examples=30)
@given(st.integers(0, 23), st.integers(0, 23))
def test_what_others_sold_shows_a_day_and_no_moment(one: int, other: int) -> None:
    """Two products that others sold on one day stand in the same order whichever was bought first."""
    day = NOON.replace(hour=0)
    bought = [replace(SURVEYS, purchased_at=day + timedelta(hours=hour)) for hour in (one, other)]
    named = [replace(product, product_name=name) for product, name in zip(bought, "BA", strict=True)]
    assert [view.product_name for view in products_of("ada", named, UTC)] == ["A", "B"]


@settings(max_examples=30)
@given(st.text(max_size=5), st.integers(), st.integers())
def test_commissions_do_not_depend_on_the_trigger_or_on_others(trigger: str, version: int, amount: int) -> None:
    """Another trigger, another version and what others earn change nothing of what a partner sees."""
    plain = repr(commissions_of("ada", [EARNED])).encode()
    of_another = replace(EARNED, key="cmsn_2", partner_key="bob", amount_minor=amount)
    retold = replace(EARNED, trigger_key=trigger, trigger_version=version)
    assert repr(commissions_of("ada", [of_another, retold])).encode() == plain
