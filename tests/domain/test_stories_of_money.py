"""What payments told otherwise, taken back or adjusted come to: tables, played as written and in any order."""

import pytest

from tests.domain.tables import acts, play, play_in_any_order

PROGRAM = """
on 2026-01-01   product   Inbox
on 2026-01-01   product   Live Chat
on 2026-01-01   partner   ada
on 2026-01-01   partner   bob
on 2026-01-02   customer  cus_1 is acme of ada
on 2026-01-02   customer  cus_2 is acme
on 2026-01-02   customer  cus_3 is umbrella of bob
"""

TOLD_OTHERWISE = {
    "the first of two payments turns out to have been made after the second": """
on 2026-01-01   trigger   once: 10 percent of Inbox, once per customer
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-20   stripe    in_2 of cus_1 paid 50.00 USD Inbox on sub_2
expect          10.00 USD to ada by once for Inbox in in_1, pending
on 2026-02-01   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
expect          5.00 USD to ada by once for Inbox in in_2, pending
""",
    "the first payment turns out later than one under the customer's other name": """
on 2026-01-01   trigger   first: 10 percent of every payment, on the first 1 payments
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD nothing
on 2026-01-20   stripe    in_2 of cus_2 paid 50.00 USD nothing
expect          10.00 USD to ada by first in in_1, pending
on 2026-02-01   stripe    in_1 of cus_1 paid 100.00 USD nothing
expect          5.00 USD to ada by first in in_2, pending
""",
    "what a customer had paid by the time a product churned turns out otherwise": """
on 2026-01-01   trigger   gone: 5.00 USD when a product changes, to churned, after 60.00 USD revenue
on 2026-01-05   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-01-06   stripe    in_1 of cus_1 paid 100.00 USD nothing
on 2026-01-10   stripe    sub_1 of cus_1 paused: Inbox 99.00 USD
expect          5.00 USD to ada by gone, pending
on 2026-02-01   stripe    in_1 of cus_1 paid 100.00 USD nothing
expect          nothing
""",
    "the first payment turns out to be another customer's": """
on 2026-01-01   trigger   once: 10 percent of Inbox, once per customer
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-20   stripe    in_2 of cus_1 paid 50.00 USD Inbox on sub_2
expect          10.00 USD to ada by once for Inbox in in_1, pending
on 2026-01-25   stripe    in_1 of cus_3 paid 100.00 USD Inbox on sub_1
expect          5.00 USD to ada by once for Inbox in in_2, pending
expect          10.00 USD to bob by once for Inbox in in_1, pending
""",
    "a payment told late takes the room in a limit of a charge that another customer was credited for": """
on 2026-01-01   trigger   once: 10 percent of Inbox, once per customer
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-20   stripe    in_2 of cus_3 paid -40.00 USD Inbox on sub_1
expect          10.00 USD to ada by once for Inbox in in_1, pending
expect          -4.00 USD to ada by once for Inbox in in_2, pending
on 2026-01-03   stripe    in_3 of cus_1 paid 50.00 USD Inbox on sub_2
expect          5.00 USD to ada by once for Inbox in in_3, pending
""",
}
TAKEN_BACK = {
    "what a limit cut off is credited first, as it is refunded first": """
on 2026-01-01   trigger   ten: 10 percent of Inbox, up to 5.00 USD
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
expect          5.00 USD to ada by ten for Inbox in in_1, pending
on 2026-01-20   stripe    in_2 of cus_1 paid -40.00 USD Inbox on sub_1
expect          5.00 USD to ada by ten for Inbox in in_1, pending
on 2026-01-25   stripe    in_3 of cus_1 paid -40.00 USD Inbox on sub_1
expect          5.00 USD to ada by ten for Inbox in in_1, pending
expect          -3.00 USD to ada by ten for Inbox in in_3, pending
on 2026-01-26   stripe    re_1 of in_1 refunded 10.00 USD
expect          5.00 USD to ada by ten for Inbox in in_1, pending
expect          -4.00 USD to ada by ten for Inbox in in_3, pending
on 2026-01-27   stripe    in_4 of cus_1 paid -40.00 USD Inbox on sub_1
expect          5.00 USD to ada by ten for Inbox in in_1, pending
expect          -4.00 USD to ada by ten for Inbox in in_3, pending
expect          -1.00 USD to ada by ten for Inbox in in_4, pending
""",
    "a credit is of the latest charge in its own currency, and one in another currency takes nothing of that": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-06   stripe    in_2 of cus_1 paid -40.00 EUR Inbox on sub_1
on 2026-01-07   stripe    in_3 of cus_1 paid 50.00 EUR Inbox on sub_1
expect          10.00 USD to ada by ten for Inbox in in_1, pending
expect          5.00 EUR to ada by ten for Inbox in in_3, pending
on 2026-01-08   stripe    in_4 of cus_1 paid -100.00 USD Inbox on sub_1
on 2026-01-09   stripe    in_5 of cus_1 paid -20.00 EUR Inbox on sub_1
expect          10.00 USD to ada by ten for Inbox in in_1, pending
expect          5.00 EUR to ada by ten for Inbox in in_3, pending
expect          -10.00 USD to ada by ten for Inbox in in_4, pending
expect          -2.00 EUR to ada by ten for Inbox in in_5, pending
""",
    "a credit note of what the invoice has no line for, tax apart": """
on 2026-01-01   trigger   ten: 10 percent of Inbox or Live Chat
on 2026-01-05   stripe    in_1 of cus_1 paid 60.00 USD Inbox on sub_1 + 40.00 USD Live Chat on sub_1, tax 20.00
on 2026-01-06   stripe    cn_1 of in_1 issued 60.00 USD off 50.00 USD Goodwill
expect          3.00 USD to ada by ten for Inbox in in_1, pending
expect          2.00 USD to ada by ten for Live Chat in in_1, pending
on 2026-01-07   stripe    re_1 of in_1 refunded 30.00 USD
expect          1.50 USD to ada by ten for Inbox in in_1, pending
expect          1.00 USD to ada by ten for Live Chat in in_1, pending
on 2026-01-08   stripe    re_2 of in_1 refunded 30.00 USD
expect          nothing
""",
    "a credit note over more than its line came to, and all of it paid out": """
on 2026-01-01   trigger   ten: 10 percent of Inbox or Live Chat
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1 + -60.00 USD Inbox on sub_1 + 50.00 USD Live Chat
on 2026-01-06   stripe    cn_1 of in_1 issued 70.00 USD off 70.00 USD Inbox on sub_1, paid out
expect          5.00 USD to ada by ten for Live Chat in in_1, pending
on 2026-01-06   stripe    re_1 of in_1 refunded 70.00 USD
expect          2.00 USD to ada by ten for Live Chat in in_1, pending
on 2026-01-07   stripe    re_2 of in_1 refunded 20.00 USD
expect          nothing
""",
    "a credit after an adjustment that was forgiven": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-06   people    approve ten
on 2026-01-07   stripe    re_1 of in_1 refunded 20.00 USD
on 2026-01-08   people    decline adjustments because it was our mistake
expect          10.00 USD to ada by ten for Inbox in in_1, approved
expect          -2.00 USD to ada by ten for Inbox in in_1, declined, adjusting
on 2026-01-20   stripe    in_2 of cus_1 paid -50.00 USD Inbox on sub_1
expect          10.00 USD to ada by ten for Inbox in in_1, approved
expect          -2.00 USD to ada by ten for Inbox in in_1, declined, adjusting
expect          -5.00 USD to ada by ten for Inbox in in_2, pending
""",
    "a credit after an adjustment upwards that was declined": """
on 2026-01-01   trigger   ten: 10 percent of Inbox
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-06   people    approve ten
on 2026-01-07   trigger   ten: 12 percent of Inbox, since 2026-01-01
on 2026-01-08   people    decline adjustments because it was agreed otherwise
on 2026-01-20   stripe    in_2 of cus_1 paid -100.00 USD Inbox on sub_1
expect          10.00 USD to ada by ten for Inbox in in_1, approved
expect          2.00 USD to ada by ten for Inbox in in_1, declined, adjusting
expect          -10.00 USD to ada by ten for Inbox in in_2, pending
""",
}
OTHERS_BILLED = """
on 2026-01-02   customer  cus_4 is hooli of ada
on 2026-01-02   customer  cus_5 is initech of ada
on 2026-01-01   trigger   all: 10 percent of every payment
on 2026-01-05   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1 + 100.00 USD Live Chat on sub_2
on 2026-01-20   stripe    in_3 of cus_4 paid -100.00 USD Live Chat on sub_2
"""
#: Who is credited shares neither subscription nor customer with what is told, but what both were charged for together.
TWO_STEPS_AWAY = {
    "a charge told late is what another credit is of, which leaves a third customer's more to take back": f"""
{OTHERS_BILLED}
on 2026-01-10   stripe    in_2 of cus_3 paid -150.00 USD Inbox on sub_1
expect          20.00 USD to ada by all in in_1, pending
expect          -15.00 USD to ada by all in in_2, pending
expect          -5.00 USD to ada by all in in_3, pending
on 2026-01-07   stripe    in_4 of cus_5 paid 80.00 USD Inbox on sub_1
expect          20.00 USD to ada by all in in_1, pending
expect          -8.00 USD to ada by all in in_2, pending
expect          -10.00 USD to ada by all in in_3, pending
expect          8.00 USD to ada by all in in_4, pending
""",
    "a credit told late leaves a third customer's less to take back": f"""
{OTHERS_BILLED}
expect          20.00 USD to ada by all in in_1, pending
expect          -10.00 USD to ada by all in in_3, pending
on 2026-01-10   stripe    in_2 of cus_3 paid -150.00 USD Inbox on sub_1
expect          20.00 USD to ada by all in in_1, pending
expect          -15.00 USD to ada by all in in_2, pending
expect          -5.00 USD to ada by all in in_3, pending
""",
    "a charge that turns out to be of another day gives a credit back to the charge before it": f"""
{OTHERS_BILLED}
on 2026-01-07   stripe    in_4 of cus_5 paid 80.00 USD Inbox on sub_1
on 2026-01-10   stripe    in_2 of cus_3 paid -150.00 USD Inbox on sub_1
expect          20.00 USD to ada by all in in_1, pending
expect          -8.00 USD to ada by all in in_2, pending
expect          -10.00 USD to ada by all in in_3, pending
expect          8.00 USD to ada by all in in_4, pending
on 2026-01-30   stripe    in_4 of cus_5 paid 80.00 USD Inbox on sub_1
expect          20.00 USD to ada by all in in_1, pending
expect          -15.00 USD to ada by all in in_2, pending
expect          -5.00 USD to ada by all in in_3, pending
expect          8.00 USD to ada by all in in_4, pending
""",
}
STORIES = TOLD_OTHERWISE | TAKEN_BACK | TWO_STEPS_AWAY


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    """The story ends as its table says, and every expectation on the way there holds."""
    assert play(PROGRAM + STORIES[story]) > 0


@pytest.mark.parametrize("story", [name for name, table in STORIES.items() if not acts(table)])
def test_story_in_any_order(story: str) -> None:
    """It ends the same whatever the order and the repetition of what providers tell."""
    assert all(play_in_any_order(PROGRAM + STORIES[story], seed) > 0 for seed in range(3))
