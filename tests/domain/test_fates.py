"""What became of a line, in reconciliation's words: one case per bucket and reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.case import CaseFile, Program
from domain.catalogue import Catalogue, Entry, EntryName
from domain.commissions import Claimant, Commission, CommissionState, Particulars
from domain.customers import Claim
from domain.facts import Source
from domain.fates import recorded_invoice
from domain.partners import Partner, PartnerVersion
from domain.reconcile import Bucket
from domain.rule_documents import parse_rule
from domain.rules import Always
from domain.transactions import Basis, Line, Transaction
from domain.triggers import PercentAction, Trigger, TriggerEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOK = Catalogue({"pbook_1": Entry("pbook_1", (EntryName(None, "Inbox"),), "prod_inbox")}, {"prod_inbox": "pbook_1"})
RULES = parse_rule({"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
INBOX = Trigger(
    "inbox", 1, "Inbox", TriggerEvent.TRANSACTION_CREATED, RULES, PercentAction(Decimal(20)), NOON - timedelta(days=9)
)
WHOLE = replace(INBOX, key="whole", rules=Always())
ADA = Partner("ada", NOON, (PartnerVersion(None),))
PROGRAM = Program(BOOK, {"inbox": (INBOX,)}, {"ada": ADA}, Basis.NET, timedelta(days=30), UTC)
CLAIM = Claim("stripe:customer:cus_1", "ada", None, NOON, "stripe:evt_0")


def line(product: str = "prod_inbox", net: int = 9900, reversed_minor: int = 0) -> Line:
    """A line of one product."""
    return Line(f"sub_1/{product}", "sub_1", product, (), net, 0, 1, recurring=True, reversed_minor=reversed_minor)


def booked(trigger: str, line_key: str | None, amount: int = 1980) -> Commission:
    """Ada's commission on the payment."""
    claimant = Claimant(trigger, "stripe:in_1", line_key, "ada", "usd")
    particulars = Particulars(1, None, "cust_1", "because", None, NOON, None)
    return Commission("cmsn_1", claimant, 0, CommissionState.PENDING, amount, particulars)


def fate(
    *lines: Line,
    commissions: tuple[Commission, ...] = (),
    linked: bool = True,
    claims: tuple[Claim, ...] = (CLAIM,),
    program: Program = PROGRAM,
    still_judged: bool = False,
) -> list[tuple[str, str | None]]:
    """Bucket and reason of each line of a payment."""
    paid = Transaction("stripe:in_1", "stripe", "cus_1", "usd", NOON, Source(0, NOON, 1, "evt_1"), lines)
    customers = {("stripe", "cus_1"): "cust_1"} if linked else {}
    case = CaseFile({paid.key: paid}, customers, {"cust_1": claims}, booked={paid.key: commissions})
    found = recorded_invoice("in_1", paid, case, program, still_judged=still_judged)
    assert (found.key, found.currency, found.paid_at) == ("in_1", "usd", NOON)
    assert [each.net_minor for each in found.lines] == [each.net_minor for each in lines]
    return [(each.bucket.value, each.reason) for each in found.lines]


def test_a_line_that_a_trigger_fired_on_and_that_is_booked_is_commissioned() -> None:
    """Booked on the line itself; the line beside it that nothing fired on is not."""
    found = fate(line(), line("prod_chat"), commissions=(booked("inbox", "sub_1/prod_inbox"),))
    assert found == [("commissioned", None), ("excluded", "no trigger fired on it")]


def test_what_fired_on_the_whole_payment_commissions_every_line() -> None:
    """A trigger without product rules pays once for all."""
    program = replace(PROGRAM, triggers={"whole": (WHOLE,)})
    found = fate(line(), line("prod_chat"), commissions=(booked("whole", None),), program=program)
    assert found == [("commissioned", None)] * 2


@pytest.mark.parametrize(
    ("still_judged", "expected"),
    [
        (False, (Bucket.UNEXPLAINED, None)),
        (True, (Bucket.WAITING, "a change of the program is still being judged")),
    ],
)
def test_what_fired_and_is_not_booked_is_unexplained(still_judged: bool, expected: tuple[Bucket, str | None]) -> None:
    """The books lack what the rules say, unless a change of the program is on its way through them."""
    assert fate(line(), still_judged=still_judged) == [expected]


def test_another_triggers_commission_is_no_excuse() -> None:
    """What is booked counts for the trigger and the line that it is booked for."""
    assert fate(line(), commissions=(booked("other", "sub_1/prod_inbox"),)) == [("unexplained", None)]
    assert fate(line(), commissions=(booked("inbox", "sub_1/prod_chat"),)) == [("unexplained", None)]


def test_why_nothing_was_earned() -> None:
    """Each reason has its sentence, without a name in it: lines with one reason are told together."""
    assert fate(line(), linked=False) == [("waiting", "nobody has linked the customer")]
    assert fate(line(), claims=()) == [("excluded", "the customer was not attributed to a partner at the time")]
    assert fate(line(), program=replace(PROGRAM, partners={})) == [
        ("excluded", "whom the customer is attributed to is not a partner of the program")
    ]
    assert fate(line(net=0)) == [("excluded", "a line of zero fires nothing")]
    assert fate(line(net=-500)) == [("excluded", "nothing was earned on what it credits")]
    assert fate(line(reversed_minor=9900)) == [("excluded", "all that it earned was taken back")]
    assert fate(line(reversed_minor=9900), commissions=(booked("inbox", "sub_1/prod_inbox", 0),)) == [
        ("commissioned", None)
    ]


@pytest.mark.parametrize(
    ("lines", "taken_back"),
    [
        ((line(),), False),
        ((line(reversed_minor=9899),), False),
        ((line(reversed_minor=9900),), True),
        ((line(reversed_minor=9900), line("prod_chat")), False),
        ((line(reversed_minor=9900), line("prod_chat", net=-500)), True),
        ((line(net=0),), False),
    ],
)
def test_an_invoice_is_taken_back_once_nothing_of_any_charge_is_left(lines: tuple[Line, ...], taken_back: bool) -> None:
    """Every charge, to the last cent; credits have nothing to take back, and what was free was not taken back."""
    paid = Transaction("stripe:in_1", "stripe", "cus_1", "usd", NOON, Source(0, NOON, 1, "evt_1"), lines)
    assert recorded_invoice("in_1", paid, CaseFile({paid.key: paid}), PROGRAM).taken_back is taken_back
