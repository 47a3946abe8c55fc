"""Derived keys are stored, so they may never change, and no two causes may share one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ids

CAUSE: dict[str, Any] = {
    "trigger": "trig_1",
    "occasion": "stripe:in_1",
    "line": "sub_1/prod_inbox",
    "partner": "ada",
    "currency": "usd",
    "instalment": 0,
    "part": 0,
}


def commission(**changes: Any) -> str:
    """The key of ada's commission on Inbox, but for these changes."""
    return ids.commission_key(**{**CAUSE, **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"trigger": "trig_2"},
        {"occasion": "stripe:in_2"},
        {"line": None},
        {"line": "sub_1/prod_chat"},
        {"partner": "bob"},
        {"currency": "eur"},
        {"instalment": 1},
        {"part": 1},
        {"event": "product_created"},
    ],
)
def test_a_commission_is_its_trigger_payment_line_partner_and_instalment(change: dict[str, Any]) -> None:
    """Whatever one of them differs in is another commission; the same of all of them is the same one."""
    assert commission(**change) != commission()
    assert commission(**change) == commission(**change)
    assert commission(event="transaction_created") == commission()


def test_keys_in_the_books_stay_as_they_are() -> None:
    """A key that changed would book everything a second time."""
    assert commission() == "cmsn_77984bca2845ff89fe2f"
    assert commission(line=None) == "cmsn_09b01a437917f217b923"
    assert commission(event="product_created") == "cmsn_6ac0c25eee1f293acace"
    assert ids.customer_key("acme") == "cust_fd834411077133aa771d"
    assert ids.product_book_key("stripe", "prod_inbox") == "pbook_06dce0b02871d126a8f9"
    assert ids.transaction_key("stripe", "in_1") == "stripe:in_1"
    assert ids.customer_subject("cust_1") == "customer:cust_1"
    assert ids.provider_customer_subject("stripe", "cus_1") == "stripe:customer:cus_1"
    assert ids.subscription_subject("stripe", "sub_1") == "stripe:subscription:sub_1"
    assert ids.partner_subject("ada") == "partner:ada"


def test_a_line_is_a_subscription_and_a_product() -> None:
    """Without a subscription the product alone; without a product the provider's own line."""
    assert ids.line_key("sub_1", "prod_inbox", "il_1") == ids.line_key("sub_1", "prod_inbox", "il_2")
    assert ids.line_key("sub_1", "prod_inbox", "il_1") == "sub_1/prod_inbox"
    assert ids.line_key(None, "prod_inbox", "il_1") == "-/prod_inbox"
    assert ids.line_key("sub_1", None, "il_1") == "line:il_1"


_causes = st.lists(st.text(alphabet="ab:1\x1f", max_size=4), min_size=1, max_size=3)


@given(_causes, _causes)
def test_different_causes_never_share_a_key(one: list[str], other: list[str]) -> None:
    """Not even where their texts joined would read the same."""
    assert (ids.derived("x", *one) == ids.derived("x", *other)) == (one == other)
