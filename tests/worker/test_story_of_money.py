"""Whose the money is, and what happens to it when some is given back: tables, played forwards and backwards."""

import pytest
from sqlalchemy import Engine

from tests.scenario import CATALOGUE, OFFERS, scenario
from tests.stage import Stage

STORIES = {
    "a customer whom nobody knows yet is judged when the link arrives": OFFERS
    + """
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-03   customer  cus_1
expect          nothing
on 2026-03-04   customer  cus_1 is acme of ada
expect          19.80 USD to ada for Inbox in in_1, pending
""",
    "an attribution reaches back thirty days and no further": OFFERS
    + """
on 2026-02-20   customer  cus_1 is acme
on 2026-02-27   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-03   stripe    in_2 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-31   customer  cus_1 is acme of ada
expect          19.80 USD to ada for Inbox in in_2, pending
""",
    "reassigning a customer never moves what was earned": OFFERS
    + """
on 2026-03-01   customer  cus_1 is acme of ada by ann
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-20   customer  cus_1 is acme of bob
on 2026-03-21   stripe    in_2 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-19   stripe    in_3 of cus_1 paid 99.00 USD Inbox on sub_1                  # told late
expect          19.80 USD to ada's ann for Inbox in in_1, pending
expect          19.80 USD to bob for Inbox in in_2, pending
expect          19.80 USD to ada's ann for Inbox in in_3, pending
""",
    "of two team members the one named at the time earns, whoever was heard of first": OFFERS
    + """
on 2026-03-20   customer  cus_1 is acme of ada by ben
on 2026-03-10   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
expect          19.80 USD to ada's ben for Inbox in in_1, pending
on 2026-03-05   customer  cus_1 is acme of ada by ann                                  # told late
expect          19.80 USD to ada's ann for Inbox in in_1, pending
""",
    "a subscription of its own partner pays that partner, whoever has the customer": OFFERS
    + """
on 2026-01-01   trigger   all: 1 percent of every payment
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1 + 49.00 USD Live Chat on sub_2
on 2026-03-02   stripe    sub_1 of cus_1 through bob active: Inbox 99.00 USD
expect          19.80 USD to bob for Inbox in in_1, pending
expect          4.90 USD to ada for Live Chat in in_1, pending
expect          1.48 USD to ada for all in in_1, pending
""",
    "a subscription of its own partner is judged when its customer is linked, though nobody has the customer": OFFERS
    + """
on 2026-03-02   stripe    sub_1 of cus_1 through bob active: Inbox 99.00 USD
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
expect          nothing
on 2026-03-03   customer  cus_1 is acme
expect          19.80 USD to bob for Inbox in in_1, pending
""",
    "one customer under two ids of the provider is one customer, until it is not": OFFERS
    + """
on 2026-03-01   customer  cus_1 is acme of ada
on 2026-03-02   customer  cus_2 is acme
on 2026-03-03   stripe    in_1 of cus_2 paid 99.00 USD Inbox on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
on 2026-03-04   customer  cus_1 is other of ada
expect          nothing
""",
    "a downgrade is credited under the terms that paid the charge": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-05   trigger   inbox: 50 percent of Inbox
on 2026-03-06   customer  cus_1 of bob
on 2026-03-16   stripe    in_2 of cus_1 paid -49.50 USD Inbox on sub_1 + 60.00 USD Live Chat on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
expect          -9.90 USD to ada for Inbox in in_2, pending
expect          6.00 USD to bob for Live Chat in in_2, pending
""",
    "credits never take back more than was earned": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-10   stripe    in_2 of cus_1 paid -60.00 USD Inbox on sub_1
on 2026-03-20   stripe    in_3 of cus_1 paid -60.00 USD Inbox on sub_1
on 2026-03-30   stripe    in_4 of cus_1 paid -60.00 USD Inbox on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
expect          -12.00 USD to ada for Inbox in in_2, pending
expect          -7.80 USD to ada for Inbox in in_3, pending
""",
    "credits of two products on one invoice share what the whole of it earned": """
on 2026-01-01   trigger   all: 10 percent of every payment
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 60.00 USD Inbox on sub_1 + 40.00 USD Live Chat on sub_2
on 2026-03-10   stripe    in_2 of cus_1 paid -70.00 USD Inbox on sub_1
on 2026-03-20   stripe    in_3 of cus_1 paid -70.00 USD Live Chat on sub_2
expect          10.00 USD to ada for all in in_1, pending
expect          -7.00 USD to ada for all in in_2, pending
expect          -3.00 USD to ada for all in in_3, pending
""",
    "a credit takes from the latest charge, and a late one leaves the earlier alone": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-04-10   stripe    in_3 of cus_1 paid -99.00 USD Inbox on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
expect          -19.80 USD to ada for Inbox in in_3, pending
on 2026-04-02   stripe    in_2 of cus_1 paid 10.00 USD Inbox on sub_1                  # told late
expect          19.80 USD to ada for Inbox in in_1, pending
expect          2.00 USD to ada for Inbox in in_2, pending
expect          -2.00 USD to ada for Inbox in in_3, pending
""",
    "a credit follows its charge when the product book changes what was charged": """
on 2026-01-01   trigger   bundle: 50 percent of Bundle
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 100.00 USD Inbox at price_bundle on sub_1
on 2026-03-12   stripe    in_2 of cus_1 paid -100.00 USD Inbox on sub_1
expect          nothing
on 2026-03-20   product   Bundle, also price_bundle
expect          50.00 USD to ada for Inbox in in_1, pending
expect          -50.00 USD to ada for Inbox in in_2, pending
""",
    "nothing is taken back of what was never earned": OFFERS
    + """
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-06-01   customer  cus_1 of ada
on 2026-06-02   stripe    in_2 of cus_1 paid -99.00 USD Inbox on sub_1
expect          nothing
""",
    "discounts count, and every currency is in its own minor unit": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox less 9.90 on sub_1
on 2026-03-02   stripe    in_2 of cus_1 paid 9925 JPY Inbox on sub_2
on 2026-03-02   stripe    in_3 of cus_1 paid 30.125 KWD Inbox on sub_3
expect          17.82 USD to ada for Inbox in in_1, pending
expect          1,985 JPY to ada for Inbox in in_2, pending
expect          6.025 KWD to ada for Inbox in in_3, pending
""",
    "halves of a cent go to the even cent": """
on 2026-01-01   trigger   inbox: 10 percent of Inbox
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 0.25 USD Inbox on sub_1
on 2026-03-03   stripe    in_2 of cus_1 paid 0.35 USD Inbox on sub_1
expect          0.02 USD to ada for Inbox in in_1, pending
expect          0.04 USD to ada for Inbox in in_2, pending
""",
    "charge and credit of one product on one invoice are netted": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1 + -49.00 USD Inbox on sub_1
expect          10.00 USD to ada for Inbox in in_1, pending
""",
}


@pytest.mark.parametrize("story", STORIES)
def test_story(engine: Engine, story: str) -> None:
    """The story ends as its table says, and every expectation on the way there holds."""
    assert scenario(CATALOGUE + STORIES[story]).play(Stage(engine)) > 0


@pytest.mark.parametrize("story", STORIES)
def test_story_backwards(engine: Engine, story: str) -> None:
    """The story ends the same when its events arrive in one batch, the last first, and then once more."""
    assert scenario(CATALOGUE + STORIES[story]).play_backwards(Stage(engine)) > 0
