"""What partners and program managers ask about product attribution, as tables played forwards and backwards."""

import pytest
from sqlalchemy import Engine

from tests.scenario import CATALOGUE, OFFERS, scenario
from tests.stage import Stage

STORIES = {
    "two products on one subscription pay two commissions, told once or twice": OFFERS
    + """
on 2026-03-01   customer  cus_1 is acme of ada
on 2026-03-02   stripe    sub_1 of cus_1 active: Live Chat 49.00 USD, Inbox 99.00 USD
on 2026-03-02   stripe    in_1 of cus_1 paid 49.00 USD Live Chat on sub_1 + 99.00 USD Inbox on sub_1
expect          4.90 USD to ada for Live Chat in in_1, pending
expect          19.80 USD to ada for Inbox in in_1, pending
expect          sub_1/Live Chat active
expect          sub_1/Inbox active
on 2026-03-02   stripe    in_1 of cus_1 paid 49.00 USD Live Chat on sub_1 + 99.00 USD Inbox on sub_1
expect          4.90 USD to ada for Live Chat in in_1, pending
expect          19.80 USD to ada for Inbox in in_1, pending
""",
    "a product bought later pays from then on": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
on 2026-04-02   stripe    sub_1 of cus_1 active: Inbox 99.00 USD, Surveys 39.00 USD
on 2026-04-02   stripe    in_2 of cus_1 paid 99.00 USD Inbox on sub_1 + 39.00 USD Surveys on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
expect          19.80 USD to ada for Inbox in in_2, pending
expect          3.90 USD to ada for Surveys in in_2, pending
""",
    "a product taken off a subscription pays nothing new, and what it paid stays": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    sub_1 of cus_1 active: Inbox 99.00 USD, Live Chat 49.00 USD
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1 + 49.00 USD Live Chat on sub_1
on 2026-03-20   stripe    sub_1 of cus_1 active: Live Chat 49.00 USD
on 2026-04-02   stripe    in_2 of cus_1 paid 49.00 USD Live Chat on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
expect          4.90 USD to ada for Live Chat in in_1, pending
expect          4.90 USD to ada for Live Chat in in_2, pending
expect          sub_1/Inbox churned
expect          sub_1/Live Chat active
""",
    "a product swapped for another churns, and the other starts": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-20   stripe    sub_1 of cus_1 active: Knowledge Base 79.00 USD
expect          19.80 USD to ada for Inbox in in_1, pending
expect          sub_1/Inbox churned
expect          sub_1/Knowledge Base active
""",
    "a subscription that is leaving stays active until it is over, and takes nothing back": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-10   stripe    sub_1 of cus_1 leaving: Inbox 99.00 USD
expect          sub_1/Inbox active
on 2026-04-05   stripe    sub_1 of cus_1 canceled since 2026-04-02: Inbox 99.00 USD
on 2026-04-06   stripe    sub_1 of cus_1 active: Inbox 99.00 USD          # nothing revives it
expect          19.80 USD to ada for Inbox in in_1, pending
expect          sub_1/Inbox churned
""",
    "one product pays and the others do not": """
on 2026-01-01   trigger   inbox: 20 percent of Inbox
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1 + 49.00 USD Live Chat on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
""",
    "an old trigger without product rules pays once on the whole": """
on 2026-01-01   trigger   all: 10 percent of every payment
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1 + 49.00 USD Live Chat on sub_1 + 2.00 USD nothing
expect          15.00 USD to ada for all in in_1, pending
""",
    "a payment without any product pays on the whole, and nothing per product": OFFERS
    + """
on 2026-01-01   trigger   all: 10 percent of every payment
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 50.00 USD nothing
expect          5.00 USD to ada for all in in_1, pending
""",
    "a group's offer is for partners who were in the group when it was paid": """
on 2026-01-01   trigger   gold: 25 percent of Inbox, for group gold
on 2026-03-01   customer  cus_1 of ada
on 2026-03-01   customer  cus_2 of bob
on 2026-03-02   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-03-02   stripe    in_2 of cus_2 paid 100.00 USD Inbox on sub_2
expect          25.00 USD to ada for Inbox in in_1, pending
on 2026-03-10   partner   ada in silver
on 2026-03-10   partner   bob in gold tagged vip
on 2026-03-11   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-03-11   stripe    in_4 of cus_2 paid 100.00 USD Inbox on sub_2
expect          25.00 USD to ada for Inbox in in_1, pending
expect          25.00 USD to bob for Inbox in in_4, pending
""",
    "a tag's offer is for partners who carry the tag": """
on 2026-01-01   trigger   vip: 25 percent of Inbox, for tag vip
on 2026-03-01   customer  cus_1 of ada
on 2026-03-01   customer  cus_2 of bob
on 2026-03-02   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-03-02   stripe    in_2 of cus_2 paid 100.00 USD Inbox on sub_2
expect          25.00 USD to bob for Inbox in in_2, pending
""",
    "a status rule reads the status as of the payment": """
on 2026-01-01   trigger   active: 10 percent of Inbox, while active
on 2026-01-01   trigger   gone: 1 percent of Inbox, while churned
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    sub_1 of cus_1 trialing: Inbox 100.00 USD
on 2026-03-03   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1                 # what is paid for is active
on 2026-04-05   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada for Inbox in in_1, pending
expect          10.00 USD to ada for Inbox in in_2, pending
on 2026-04-06   stripe    sub_1 of cus_1 canceled since 2026-04-01: Inbox 100.00 USD   # it was over by then
expect          10.00 USD to ada for Inbox in in_1, pending
expect          1.00 USD to ada for Inbox in in_2, pending
""",
    "an end that erases a product from history has it judged again all the same": """
on 2026-01-01   trigger   active: 10 percent of Surveys, while active
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    sub_1 of cus_1 active: Inbox 100.00 USD
on 2026-04-05   stripe    in_1 of cus_1 paid 100.00 USD Surveys on sub_1
expect          10.00 USD to ada for Surveys in in_1, pending
on 2026-04-06   stripe    sub_1 of cus_1 canceled since 2026-04-01: Inbox 100.00 USD
expect          nothing
""",
    "a flat commission is the same whatever is paid, and nothing is paid for nothing": """
on 2026-01-01   trigger   flat: 5.00 USD of Inbox
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 1.00 USD Inbox on sub_1
on 2026-04-02   stripe    in_2 of cus_1 paid 900.00 USD Inbox on sub_1
on 2026-05-02   stripe    in_3 of cus_1 paid 0.00 USD Inbox on sub_1
on 2026-06-02   stripe    in_4 of cus_1 paid -10.00 USD Inbox on sub_1
expect          5.00 USD to ada for Inbox in in_1, pending
expect          5.00 USD to ada for Inbox in in_2, pending
""",
    "of an exclusive group the first by position pays, per line": """
on 2026-01-01   trigger   any: 10 percent of Inbox or Live Chat, third of best
on 2026-01-01   trigger   more: 20 percent of Inbox, second of best
on 2026-01-01   trigger   vip: 30 percent of Inbox, first of best, for tag vip
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1 + 100.00 USD Live Chat on sub_1
expect          20.00 USD to ada for Inbox in in_1, pending
expect          10.00 USD to ada for Live Chat in in_1, pending
""",
    "a trigger made later does not reach back": """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-10   trigger   inbox: 20 percent of Inbox
on 2026-03-11   stripe    in_2 of cus_1 paid 99.00 USD Inbox on sub_1
expect          19.80 USD to ada for Inbox in in_2, pending
""",
    "a trigger that says from when reaches back on purpose": """
on 2026-02-20   customer  cus_1 of ada
on 2026-02-27   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-02   stripe    in_2 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-10   trigger   inbox: 20 percent of Inbox, from 2026-03-01
expect          19.80 USD to ada for Inbox in in_2, pending
""",
    "editing or stopping a trigger does not change history": """
on 2026-01-01   trigger   inbox: 20 percent of Inbox
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-03-10   trigger   inbox: 5 percent of Inbox
on 2026-03-11   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-03-20   trigger   inbox: 5 percent of Inbox, stopped
on 2026-03-21   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
expect          20.00 USD to ada for Inbox in in_1, pending
expect          5.00 USD to ada for Inbox in in_2, pending
""",
    "renaming a product does not change history": OFFERS
    + """
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-03-10   product   prod_inbox is Team Inbox
on 2026-03-10   trigger   team: 30 percent of Team Inbox
on 2026-03-11   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          19.80 USD to ada for Inbox in in_1, pending
expect          30.00 USD to ada for Inbox in in_2, pending
""",
    "a product sold before anybody described it pays under its name from the beginning": """
on 2026-01-01   trigger   calls: 10 percent of Calls
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 80.00 USD Calls on sub_1
expect          nothing
on 2026-03-09   product   Calls
expect          8.00 USD to ada for Calls in in_1, pending
""",
    "a price filed under another product counts as that one": OFFERS
    + """
on 2026-01-01   product   Bundle, also price_bundle
on 2026-01-01   trigger   bundle: 50 percent of Bundle
on 2026-03-01   customer  cus_1 of ada
on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox at price_bundle on sub_1 + 49.00 USD Live Chat on sub_1
expect          49.50 USD to ada for Inbox in in_1, pending
expect          4.90 USD to ada for Live Chat in in_1, pending
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
