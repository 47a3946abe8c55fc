"""What well-known engines get wrong, one story each: every name says what must not happen here."""

import pytest

from domain.errors import Rejected
from domain.triggers import parse_trigger
from tests.domain.tables import acts, play, play_in_any_order

PROGRAM = """
on 2026-01-01   product   Inbox
on 2026-01-01   product   Live Chat
on 2026-01-01   partner   ada in gold
on 2026-01-02   customer  cus_1 is acme of ada
"""
TEN = "on 2026-01-01   trigger   ten: 10 percent of Inbox\n"

STORIES = {
    "refund before its payment": TEN
    + """
on 2026-01-10   stripe    re_1 of in_1 refunded 24.75 USD
expect          nothing
on 2026-01-09   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
expect          7.42 USD to ada by ten for Inbox in in_1, pending
""",
    "one-off payment delivered twice": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 99.00 USD Inbox
on 2026-01-09   stripe    in_1 of cus_1 paid 99.00 USD Inbox
expect          9.90 USD to ada by ten for Inbox in in_1, pending
""",
    "same sale through two events with different bases": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 120.00 USD Inbox less 20.00 on sub_1, tax 19.00
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
expect          10.00 USD to ada by ten for Inbox in in_1, pending
""",
    "JPY line paid as if cents": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 9900 JPY Inbox on sub_1
expect          990 JPY to ada by ten for Inbox in in_1, pending
""",
    "negative proration line clamped to zero": TEN
    + """
on 2026-01-01   trigger   all: 1 percent of every payment
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1 + -50.00 USD Inbox on sub_1
expect          5.00 USD to ada by ten for Inbox in in_1, pending              # a net 50 paid on 50
expect          0.50 USD to ada by all in in_1, pending
""",
    "negative line of another product clamped to zero": """
on 2026-01-01   trigger   chat: 10 percent of Live Chat
on 2026-01-01   trigger   all: 1 percent of every payment
on 2026-01-05   stripe    in_1 of cus_1 paid 50.00 USD Live Chat on sub_1
on 2026-01-09   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1 + -50.00 USD Live Chat on sub_1
expect          5.00 USD to ada by chat for Live Chat in in_1, pending
expect          0.50 USD to ada by all in in_1, pending
expect          -5.00 USD to ada by chat for Live Chat in in_2, pending
expect          0.50 USD to ada by all in in_2, pending
""",
    "coupon ignored on product lines": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 99.00 USD Inbox less 49.50 on sub_1
expect          4.95 USD to ada by ten for Inbox in in_1, pending
""",
    "flat 5 beating 30 percent of 1000": """
on 2026-01-01   trigger   share: 30 percent of Inbox, first of best
on 2026-01-01   trigger   fiver: 5.00 USD of Inbox, second of best
on 2026-01-09   stripe    in_1 of cus_1 paid 1000.00 USD Inbox on sub_1
expect          300.00 USD to ada by share for Inbox in in_1, pending
""",
    "an exclusion losing to another rule": """
on 2026-01-01   trigger   chat: 10 percent of Live Chat
on 2026-01-01   trigger   base: 1 percent of Live Chat or Inbox
on 2026-01-05   trigger   base: 1 percent of Live Chat or Inbox, stopped
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1 + 50.00 USD Live Chat on sub_1
expect          5.00 USD to ada by chat for Live Chat in in_1, pending
""",
    "a one-time rule and a 12-month rule on one invoice": """
on 2026-01-01   trigger   once: 50 percent of Inbox, once per customer
on 2026-01-01   trigger   year: 10 percent of Inbox, for 12 months
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-09   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2027-01-08   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1
on 2027-01-09   stripe    in_4 of cus_1 paid 100.00 USD Inbox on sub_1
expect          50.00 USD to ada by once for Inbox in in_1, pending
expect          10.00 USD to ada by year for Inbox in in_1, pending
expect          10.00 USD to ada by year for Inbox in in_2, pending
expect          10.00 USD to ada by year for Inbox in in_3, pending
""",
    "1 dollar refund voiding the whole commission": """
on 2026-01-01   trigger   big: 10 percent of every payment, from payments of 100.00 USD
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   stripe    re_1 of in_1 refunded 1.00 USD
expect          9.90 USD to ada by big in in_1, pending
""",
    "dispute lost, then won": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-10   stripe    dp_1 of in_1 opened 100.00 USD
expect          10.00 USD to ada by ten for Inbox in in_1, pending
on 2026-01-11   stripe    dp_1 of in_1 withdrawn 100.00 USD
expect          nothing
on 2026-02-11   stripe    dp_1 of in_1 reinstated 100.00 USD
expect          10.00 USD to ada by ten for Inbox in in_1, pending
""",
    "refund after payout": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-01   people    approve
on 2026-02-01   people    pay
on 2026-02-09   stripe    re_1 of in_1 refunded 25.00 USD
on 2026-02-09   stripe    re_1 of in_1 refunded 25.00 USD
expect          10.00 USD to ada by ten for Inbox in in_1, paid
expect          -2.50 USD to ada by ten for Inbox in in_1, pending, adjusting
""",
    "rate changed between sale and refund": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-01   trigger   ten: 50 percent of Inbox
on 2026-02-09   stripe    re_1 of in_1 refunded 50.00 USD
expect          5.00 USD to ada by ten for Inbox in in_1, pending
""",
    "renewal after a rate change": TEN
    + """
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-02-01   trigger   ten: 50 percent of Inbox
on 2026-02-09   stripe    in_2 of cus_1 paid 100.00 USD Inbox on sub_1
on 2026-01-20   stripe    in_3 of cus_1 paid 100.00 USD Inbox on sub_1          # told late
expect          10.00 USD to ada by ten for Inbox in in_1, pending
expect          50.00 USD to ada by ten for Inbox in in_2, pending
expect          10.00 USD to ada by ten for Inbox in in_3, pending
""",
    "adding an unrelated product rule changing what amount means": """
on 2026-01-01   trigger   big: 10 percent of every payment, from payments of 140.00 USD
on 2026-01-01   trigger   line: 1 percent of Inbox, from payments of 140.00 USD
on 2026-01-09   stripe    in_1 of cus_1 paid 100.00 USD Inbox on sub_1 + 50.00 USD Live Chat on sub_1
expect          15.00 USD to ada by big in in_1, pending
expect          1.00 USD to ada by line for Inbox in in_1, pending
on 2026-01-01   trigger   chat: 10 percent of Live Chat
expect          15.00 USD to ada by big in in_1, pending
expect          1.00 USD to ada by line for Inbox in in_1, pending
expect          5.00 USD to ada by chat for Live Chat in in_1, pending
""",
    "trial conversion paid a second before the status changes": """
on 2026-01-01   trigger   live: 10 percent of Inbox, while active
on 2026-01-05   stripe    sub_1 of cus_1 trialing: Inbox 99.00 USD
on 2026-01-19   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
on 2026-01-19   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
expect          9.90 USD to ada by live for Inbox in in_1, pending
expect          sub_1/Inbox active
""",
    "cancel and pay in the same second": TEN
    + """
on 2026-01-01   trigger   live: 10 percent of Inbox, while active
on 2026-01-05   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
on 2026-01-19   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
expect          9.90 USD to ada by ten for Inbox in in_1, pending
expect          9.90 USD to ada by live for Inbox in in_1, pending
on 2026-01-20   stripe    sub_1 of cus_1 cancelled since 2026-01-19: Inbox 99.00 USD
expect          9.90 USD to ada by ten for Inbox in in_1, pending              # it was paid; it was over by then
expect          sub_1/Inbox churned
""",
    "annual invoice dripped over 12 months and cancelled in month 5": """
on 2026-01-01   trigger   year: 10 percent of Inbox, in 12 monthly parts until churn
on 2026-01-31   stripe    sub_1 of cus_1 active: Inbox 1200.00 USD
on 2026-01-31   stripe    in_1 of cus_1 paid 1200.00 USD Inbox on sub_1
on 2026-06-10   calendar  releases
on 2026-06-15   stripe    sub_1 of cus_1 cancelled: Inbox 1200.00 USD
expect          sub_1/Inbox churned
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-01-31, pending
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-02-28, pending
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-03-31, pending
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-04-30, pending
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-05-31, pending
""",
    "annual invoice dripped, cancelled in month 5 and the rest credited": """
on 2026-01-01   trigger   year: 10 percent of Inbox, in 12 monthly parts until churn
on 2026-01-31   stripe    in_1 of cus_1 paid 1200.00 USD Inbox on sub_1
on 2026-06-15   stripe    sub_1 of cus_1 cancelled: Inbox 1200.00 USD
on 2026-06-15   stripe    in_2 of cus_1 paid -750.00 USD Inbox on sub_1        # 70.00 are stopped already
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-01-31, scheduled
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-02-28, scheduled
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-03-31, scheduled
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-04-30, scheduled
expect          10.00 USD to ada by year for Inbox in in_1 on 2026-05-31, scheduled
expect          -5.00 USD to ada by year for Inbox in in_2, pending
""",
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    """It does not happen here, and every expectation on the way there holds."""
    assert play(PROGRAM + STORIES[story]) > 0


@pytest.mark.parametrize("story", [name for name, table in STORIES.items() if not acts(table)])
def test_story_in_any_order(story: str) -> None:
    """It does not happen in whatever order, and however often, the events arrive."""
    assert all(play_in_any_order(PROGRAM + STORIES[story], seed) > 0 for seed in range(3))


def test_one_malformed_rule_disabling_the_others() -> None:
    """A trigger with a mistake is refused by name when it is saved; it never comes to be judged beside the others."""
    with pytest.raises(Rejected, match=r"rules\.all\[1\]\.value"):
        parse_trigger(
            {
                "name": "broken",
                "event": "transaction_created",
                "action": {"type": "percent", "percent": "10"},
                "rules": {
                    "all": [
                        {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
                        {"field": "line.quantity", "op": "gt", "value": "many"},
                    ]
                },
            }
        )
    assert play(PROGRAM + TEN + "on 2026-01-09   stripe    in_1 of cus_1 paid 99.00 USD Inbox\n"
         "expect          9.90 USD to ada by ten for Inbox in in_1, pending\n")  # fmt: skip
