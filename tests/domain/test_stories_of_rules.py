"""What rules, limits, drips, reversals and occasions mean: tables, played as written and in any order."""

import pytest

from tests.domain.tables import acts, play, play_in_any_order

PROGRAM = """
on 2026-01-01   product   Inbox
on 2026-01-01   product   Live Chat
on 2026-01-01   partner   ada in gold tagged vip
on 2026-01-01   partner   bob in silver
on 2026-01-02   customer  cus_1 is acme of ada, in DE, mail a@acme.com
"""

MONEY = {
    "a refund takes its share of the tax, and several are as one": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1, tax 20.00
on 2026-01-10   stripe    re_1 of in_1 refunded 30.00 USD
on 2026-01-11   stripe    re_2 of in_1 refunded 30.00 USD
expect          5.00 USD to ada by ten for Inbox in in_1, pending
on 2026-01-12   stripe    re_3 of in_1 refunded 60.00 USD
expect          nothing
on 2026-01-13   stripe    re_3 of in_1 failed 60.00 USD
expect          5.00 USD to ada by ten for Inbox in in_1, pending
""",
    "a credit note lowers its own product, and its refund counts once": """
on 2026-01-01   trigger   ten: 10 percent of Inbox or Live Chat
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1 + 50.00 USD Live Chat on sub_1
on 2026-01-10   stripe    re_1 of in_1 refunded 30.00 USD
expect          8.00 USD to ada by ten for Inbox in in_1, pending
expect          4.00 USD to ada by ten for Live Chat in in_1, pending
on 2026-01-11   stripe    cn_1 of in_1 issued 30.00 USD off 30.00 USD Live Chat on sub_1, paid out
expect          10.00 USD to ada by ten for Inbox in in_1, pending
expect          2.00 USD to ada by ten for Live Chat in in_1, pending
on 2026-01-12   stripe    cn_1 of in_1 voided 30.00 USD
expect          8.00 USD to ada by ten for Inbox in in_1, pending
expect          4.00 USD to ada by ten for Live Chat in in_1, pending
""",
    "a refund of a payment whose link comes last": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-10   stripe    ch_9 of in_9 refunded 50.00 USD
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by ten for Inbox in in_1, pending
on 2026-01-09   stripe    pi_in_9 of in_1 settled 100.00 USD
expect          5.00 USD to ada by ten for Inbox in in_1, pending
""",
    "a flat amount shrinks with what it was paid on": """
on 2026-01-01   trigger   flat: 9.99 USD of Inbox
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   stripe    re_1 of in_1 refunded 50.00 USD
expect          5.00 USD to ada by flat for Inbox in in_1, pending
""",
    "three decimals and none": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-09   stripe    in_1 of cus_1 paid 30.125 KWD Inbox on sub_1
on 2026-01-09   stripe    in_2 of cus_1 paid 9925 JPY Inbox on sub_2
on 2026-01-10   stripe    re_2 of in_2 refunded 25 JPY
expect          3.012 KWD to ada by ten for Inbox in in_1, pending
expect          990 JPY to ada by ten for Inbox in in_2, pending
""",
    "a payment of nothing fires nothing, and a line without product only on the whole": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-01   trigger   all: 1 percent of every payment
on 2026-01-01   trigger   flat: 5.00 USD of every payment
on 2026-01-09   stripe    in_1 of cus_1 paid 0.00 USD Inbox on sub_1
expect          nothing
on 2026-01-10   stripe    in_2 of cus_1 paid 40.00 USD nothing
expect          0.40 USD to ada by all in in_2, pending
expect          5.00 USD to ada by flat in in_2, pending
""",
    "an approved commission is adjusted, a held one follows and stays held, a declined one is settled": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-01   trigger   two: 2 percent of Inbox
on 2026-01-01   trigger   six: 6 percent of Inbox
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   people    approve ten
on 2026-01-10   people    hold two
on 2026-01-10   people    decline six because the customer is the partner's own
on 2026-01-11   stripe    re_1 of in_1 refunded 50.00 USD
on 2026-01-12   stripe    re_2 of in_1 refunded 50.00 USD
expect          10.00 USD to ada by ten for Inbox in in_1, approved
expect          -10.00 USD to ada by ten for Inbox in in_1, pending, adjusting
expect          6.00 USD to ada by six for Inbox in in_1, declined
on 2026-01-13   stripe    re_2 of in_1 failed 50.00 USD
expect          10.00 USD to ada by ten for Inbox in in_1, approved
expect          -5.00 USD to ada by ten for Inbox in in_1, pending, adjusting
expect          6.00 USD to ada by six for Inbox in in_1, declined
expect          1.00 USD to ada by two for Inbox in in_1, hold
""",
    "what is taken back after a payout adjusts it, and a declined adjustment is forgiven, not forgotten": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   people    approve
on 2026-01-10   people    pay
on 2026-01-11   stripe    re_1 of in_1 refunded 50.00 USD
expect          10.00 USD to ada by ten for Inbox in in_1, paid
expect          -5.00 USD to ada by ten for Inbox in in_1, pending, adjusting
on 2026-01-12   people    decline adjustments because the partner could not know
on 2026-01-13   stripe    re_2 of in_1 refunded 20.00 USD
expect          10.00 USD to ada by ten for Inbox in in_1, paid
expect          -5.00 USD to ada by ten for Inbox in in_1, declined, adjusting
expect          -2.00 USD to ada by ten for Inbox in in_1, pending, adjusting
""",
}

RULES = {
    "a limit in amount is paid to the cent": """
on 2026-01-01   trigger   most: 10 percent of Inbox, up to 15.00 USD
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-11   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-12   stripe    in_4 of cus_1 paid 100.00 EUR Inbox on sub_2
expect          10.00 USD to ada by most for Inbox in in_1, pending
expect          5.00 USD to ada by most for Inbox in in_2, pending
expect          10.00 EUR to ada by most for Inbox in in_4, pending
""",
    "a refund gives no firing back": """
on 2026-01-01   trigger   once: 10 percent of Inbox, once per customer
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-11   stripe    re_1 of in_1 refunded 100.00 USD
expect          nothing
""",
    "a payment told late takes the only firing from the one after it": """
on 2026-01-01   trigger   once: 10 percent of Inbox, once per customer
on 2026-01-01   trigger   early: 1 percent of Inbox, on the first 1 payments
on 2026-01-10   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-12   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by once for Inbox in in_2, pending
expect          1.00 USD to ada by early for Inbox in in_2, pending
on 2026-01-09   stripe    in_1 of cus_1 paid 60.00 USD Inbox on sub_1
expect          6.00 USD to ada by once for Inbox in in_1, pending
expect          0.60 USD to ada by early for Inbox in in_1, pending
""",
    "what exhausts its limit leaves its group to the next": """
on 2026-01-01   trigger   once: 50 percent of Inbox, once per customer, first of best
on 2026-01-01   trigger   then: 10 percent of Inbox, second of best
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          50.00 USD to ada by once for Inbox in in_1, pending
expect          10.00 USD to ada by then for Inbox in in_2, pending
""",
    "revenue counts what was paid by then, this payment included": """
on 2026-01-01   trigger   tier: 10 percent of Inbox, after 150.00 USD revenue
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   stripe    in_2 of cus_1 paid 50.00 USD Inbox on sub_1
on 2026-01-11   stripe    in_3 of cus_1 paid 50.00 EUR Inbox on sub_1
expect          5.00 USD to ada by tier for Inbox in in_2, pending
""",
    "where a customer was when the payment was made": """
on 2026-01-01   trigger   german: 10 percent of Inbox, for customers in DE
on 2026-01-01   trigger   mail: 1 percent of Inbox, for customers at acme.com
on 2026-02-01   customer  cus_1, in US, mail b@other.com
on 2026-01-20   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-20   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by german for Inbox in in_1, pending
expect          1.00 USD to ada by mail for Inbox in in_1, pending
""",
    "what is first said of a customer holds from the beginning": """
on 2026-01-01   trigger   german: 10 percent of Inbox, for customers in DE
on 2026-01-01   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by german for Inbox in in_1, pending
""",
    "a young customer": """
on 2026-01-01   trigger   new: 10 percent of Inbox, for customers younger than 30 days
on 2026-01-31   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-02   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by new for Inbox in in_1, pending
""",
    "a trigger from a day to come, one reaching back, and one that was stopped": """
on 2026-01-05   trigger   later: 10 percent of Inbox, since 2026-02-01
on 2026-03-01   trigger   back: 5 percent of Inbox, since 2026-01-15
on 2026-01-01   trigger   off: 1 percent of Inbox
on 2026-01-20   trigger   off: 1 percent of Inbox, stopped
on 2026-01-10   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-20   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-10   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
expect          1.00 USD to ada by off for Inbox in in_1, pending
expect          5.00 USD to ada by back for Inbox in in_2, pending
expect          10.00 USD to ada by later for Inbox in in_3, pending
expect          5.00 USD to ada by back for Inbox in in_3, pending
""",
    "a limit counts what was fired since the trigger first had one": """
on 2026-01-01   trigger   once: 10 percent of Inbox
on 2026-02-01   trigger   once: 10 percent of Inbox, once per customer
on 2026-01-10   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-10   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1          # the first under the limit
on 2026-03-10   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by once for Inbox in in_1, pending
expect          10.00 USD to ada by once for Inbox in in_2, pending
""",
    "a new rate under the same limit goes on counting, and one switched off and on again too": """
on 2026-01-01   trigger   twice: 10 percent of Inbox, up to 25.00 USD
on 2026-01-15   trigger   twice: 10 percent of Inbox, up to 25.00 USD, stopped
on 2026-02-05   trigger   twice: 20 percent of Inbox, up to 25.00 USD
on 2026-01-10   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-20   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1          # switched off
on 2026-02-10   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1          # 15.00 are left
on 2026-03-10   stripe    in_4 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by twice for Inbox in in_1, pending
expect          15.00 USD to ada by twice for Inbox in in_3, pending
""",
    "a limited drip counts once, when it is earned, not as it falls due": """
on 2026-01-01   trigger   slow: 10 percent of Inbox, up to 15.00 USD, in 2 monthly parts
on 2026-01-31   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-10   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-20   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
expect          5.00 USD to ada by slow for Inbox in in_1 on 2026-01-31, scheduled
expect          5.00 USD to ada by slow for Inbox in in_1 on 2026-02-28, scheduled
expect          2.50 USD to ada by slow for Inbox in in_2 on 2026-02-10, scheduled
expect          2.50 USD to ada by slow for Inbox in in_2 on 2026-03-10, scheduled
""",
    "a partner's first group holds from the beginning, a later one from when it says": """
on 2026-01-01   trigger   gold: 10 percent of Inbox, for group gold, since 2025-12-01
on 2026-01-20   partner   ada in silver, from 2025-12-20
on 2025-12-10   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2025-12-25   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1          # silver by then
expect          10.00 USD to ada by gold for Inbox in in_1, pending
""",
    "tags are those of the payment's day": """
on 2026-01-01   trigger   vip: 10 percent of Inbox, tagged vip
on 2026-02-01   partner   ada in gold tagged new
on 2026-01-20   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-20   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by vip for Inbox in in_1, pending
""",
    "reassigning a customer moves nothing that was earned": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-09   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by ten for Inbox in in_1, pending
expect          10.00 USD to ada by ten for Inbox in in_2, pending
on 2026-02-01   customer  cus_1 is acme of bob, in DE, mail a@acme.com           # told late
expect          10.00 USD to ada by ten for Inbox in in_1, pending
expect          10.00 USD to bob by ten for Inbox in in_2, pending
on 2026-01-15   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1           # told later still
expect          10.00 USD to ada by ten for Inbox in in_1, pending
expect          10.00 USD to bob by ten for Inbox in in_2, pending
expect          10.00 USD to ada by ten for Inbox in in_3, pending
""",
    "one mail address does not make one customer": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-03   customer  cus_2, mail a@acme.com
on 2026-01-09   stripe    in_1 of cus_2 paid 100.00 USD Inbox on sub_1
expect          nothing
""",
    "a group that a partner joined later": """
on 2026-01-01   trigger   gold: 10 percent of Inbox, for group gold
on 2026-02-01   partner   ada in silver
on 2026-01-20   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-20   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by gold for Inbox in in_1, pending
""",
}

PRODUCTS = {
    "a swap churns the old product and starts the new": """
on 2026-01-05   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-02-05   stripe    sub_1 of cus_1 active: Live Chat 49.00 USD
expect          sub_1/Inbox churned
expect          sub_1/Live Chat active
""",
    "suspended comes back, ended does not": """
on 2026-01-05   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-02-05   stripe    sub_1 of cus_1 paused: Inbox 99.00 USD
expect          sub_1/Inbox churned
on 2026-03-05   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
expect          sub_1/Inbox active
on 2026-04-05   stripe    sub_1 of cus_1 cancelled: Inbox 99.00 USD
on 2026-04-06   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-04-07   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
expect          sub_1/Inbox churned
""",
    "every occasion pays once, and a re-subscription is a product of its own": """
on 2026-01-01   trigger   join: 50.00 USD when a partner joins, for group gold, since 2024-12-31
on 2026-01-01   trigger   hello: 20.00 USD when a customer is created, for customers in DE
on 2026-01-01   trigger   buy: 5.00 USD when a product is bought, for product Inbox
on 2026-01-01   trigger   first: 7.00 USD when a product is bought, once per customer
on 2026-01-01   trigger   lost: 1.00 USD when a product changes, to churned
on 2026-01-05   stripe    sub_1 of cus_1 incomplete: Inbox 99.00 USD
on 2026-01-06   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-02-05   stripe    sub_1 of cus_1 cancelled: Inbox 99.00 USD
on 2026-03-05   stripe    sub_2 of cus_1 trialing: Inbox 99.00 USD
expect          50.00 USD to ada by join, pending
expect          20.00 USD to ada by hello, pending
expect          5.00 USD to ada by buy, pending
expect          5.00 USD to ada by buy, pending
expect          7.00 USD to ada by first, pending
expect          1.00 USD to ada by lost, pending
""",
    "what was paid for on trial has become active once, though the trial is spoken of again": """
on 2026-01-01   trigger   begun: 5.00 USD when a product changes, to active
on 2026-01-05   stripe    sub_1 of cus_1 trialing: Inbox 99.00 USD
on 2026-01-10   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-01-11   stripe    sub_1 of cus_1 trialing: Inbox 99.00 USD
expect          sub_1/Inbox active
on 2026-01-12   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
expect          5.00 USD to ada by begun, pending
on 2026-02-12   stripe    sub_1 of cus_1 trialing: Inbox 99.00 USD               # a new trial
expect          sub_1/Inbox trial
expect          5.00 USD to ada by begun, pending
""",
    "a product that turns out to be another customer's leaves room in a limit for the next": """
on 2026-01-01   trigger   first: 7.00 USD when a product is bought, once per customer
on 2026-01-05   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-01-06   stripe    in_2 of cus_1 paid 49.00 USD Live Chat on sub_2
expect          7.00 USD to ada by first, pending
on 2026-01-04   stripe    sub_1 of cus_9 trialing: Inbox 99.00 USD               # nobody's; told late
expect          7.00 USD to ada by first, pending
on 2026-02-02   customer  cus_9 is hooli of bob
expect          7.00 USD to ada by first, pending
expect          7.00 USD to bob by first, pending
""",
    "an occasion that turns out to have been another moment's moves": """
on 2026-01-01   trigger   lost: 1.00 USD when a product changes, to churned
on 2026-01-05   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-02-05   stripe    sub_1 of cus_1 cancelled: Inbox 99.00 USD
on 2026-02-01   stripe    sub_1 of cus_1 paused: Inbox 99.00 USD                 # told late
expect          1.00 USD to ada by lost, pending
""",
    "a product's own partner is paid for it, the customer's for the rest": """
on 2026-01-01   trigger   buy: 5.00 USD when a product is bought
on 2026-01-01   trigger   ten: 10 percent of Inbox or Live Chat
on 2026-01-05   stripe    sub_1 of cus_1 through bob active: Inbox 99.00 USD
on 2026-01-05   stripe    sub_2 of cus_1 active: Live Chat 49.00 USD
on 2026-01-06   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1 + 49.00 USD Live Chat on sub_2
expect          5.00 USD to bob by buy, pending
expect          5.00 USD to ada by buy, pending
expect          9.90 USD to bob by ten for Inbox in in_1, pending
expect          4.90 USD to ada by ten for Live Chat in in_1, pending
""",
    "instalments of a product that is paused on one of its days": """
on 2026-01-01   trigger   drip: 10 percent of Inbox, in 3 monthly parts until churn
on 2026-01-05   stripe    sub_1 of cus_1 active: Inbox 100.00 USD
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-01   stripe    sub_1 of cus_1 paused: Inbox 100.00 USD
expect          3.34 USD to ada by drip for Inbox in in_1 on 2026-01-05, scheduled
on 2026-03-01   stripe    sub_1 of cus_1 active: Inbox 100.00 USD
expect          3.34 USD to ada by drip for Inbox in in_1 on 2026-01-05, scheduled
expect          3.33 USD to ada by drip for Inbox in in_1 on 2026-03-05, scheduled
""",
    "a calendar that comes to the day, and approves after the hold": """
on 2026-01-01   trigger   drip: 10 percent of Inbox, in 2 monthly parts
on 2026-01-31   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-20   calendar  releases after 14 days
expect          5.00 USD to ada by drip for Inbox in in_1 on 2026-01-31, approved
expect          5.00 USD to ada by drip for Inbox in in_1 on 2026-02-28, scheduled
on 2026-03-01   calendar  releases after 14 days
on 2026-03-02   stripe    re_1 of in_1 refunded 50.00 USD
expect          5.00 USD to ada by drip for Inbox in in_1 on 2026-01-31, approved
expect          -2.50 USD to ada by drip for Inbox in in_1 on 2026-01-31, pending, adjusting
expect          2.50 USD to ada by drip for Inbox in in_1 on 2026-02-28, pending
""",
}
STORIES = MONEY | RULES | PRODUCTS


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    """The story ends as its table says, and every expectation on the way there holds."""
    assert play(PROGRAM + STORIES[story]) > 0


@pytest.mark.parametrize("story", [name for name, table in STORIES.items() if not acts(table)])
def test_story_in_any_order(story: str) -> None:
    """It ends the same whatever the order and the repetition of what providers tell."""
    assert all(play_in_any_order(PROGRAM + STORIES[story], seed) > 0 for seed in range(3))
