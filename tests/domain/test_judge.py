"""Judging: per line or once on the whole, as of the payment; credits under the terms of the charge."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from domain.case import CaseFile, Program
from domain.catalogue import Catalogue, Entry, EntryName
from domain.commissions import Commission, CommissionState
from domain.customers import Claim
from domain.facts import ProductStatus, Source
from domain.judge import desired, verdicts
from domain.limits import Limit, Usage
from domain.partners import Partner, PartnerVersion
from domain.products import ProductVersion
from domain.rule_documents import parse_rule
from domain.standings import Standing
from domain.transactions import Basis, Line, Transaction
from domain.triggers import FlatAction, PercentAction, Trigger, TriggerEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=400)
BOOK = Catalogue({"pbook_1": Entry("pbook_1", (EntryName(None, "Inbox"),), "prod_inbox")}, {"prod_inbox": "pbook_1"})
ON_INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}


def trigger(key: str, worth: str | int, rules: object = None, **details: Any) -> Trigger:
    """A percentage (text) or a flat amount in USD (number)."""
    action = PercentAction(Decimal(worth)) if isinstance(worth, str) else FlatAction(worth, "usd")
    place: dict[str, Any] = {"version": 1, "effective_from": LONG_AGO} | details
    return Trigger(
        key=key, name=key, event=TriggerEvent.TRANSACTION_CREATED, rules=parse_rule(rules), action=action, **place
    )


def program(*triggers: Trigger, basis: Basis = Basis.NET) -> Program:
    """A program with one partner, ada, and these triggers."""
    ada = Partner("ada", LONG_AGO, (PartnerVersion(None, "gold"),))
    return Program(BOOK, {t.key: (t,) for t in triggers}, {"ada": ada}, basis, timedelta(days=30), UTC)


def line(amount: int, product: str | None = "prod_inbox", discount: int = 0, sub: str = "sub_1") -> Line:
    """A netted line."""
    key = f"{sub}/{product}" if product else "line:il_1"
    return Line(key, sub, product, (), amount, discount, 1, recurring=True)


def paid(name: str, *lines: Line, day: int = 0, currency: str = "usd") -> Transaction:
    """A transaction of customer cus_1 on some day."""
    at = NOON + timedelta(days=day)
    return Transaction(f"stripe:{name}", "stripe", "cus_1", currency, at, Source(0, at, 1, name), lines)


def case(*transactions: Transaction, **details: Any) -> CaseFile:
    """These transactions of a customer who has been ada's for long."""
    claim = Claim("stripe:customer:cus_1", "ada", None, LONG_AGO, "stripe:evt_0")
    known: dict[str, Any] = {
        "customers": {("stripe", "cus_1"): "cust_1"},
        "customer_claims": {"cust_1": (claim,)},
    } | details
    return CaseFile(transactions={t.key: t for t in transactions}, **known)


def amounts(name: str, file: CaseFile, run: Program) -> list[tuple[str, str | None, int, str]]:
    """(trigger, line, amount, currency) of what is desired."""
    return [
        (d.claimant.trigger_key, d.claimant.line_key, d.amount_minor, d.claimant.currency)
        for d in desired(f"stripe:{name}", file, run)
    ]


def test_a_product_rule_is_judged_per_line_and_none_once_on_the_whole() -> None:
    """One payment: the product's trigger pays on its line, the other once on everything."""
    run = program(trigger("inbox", "20", ON_INBOX), trigger("all", "10"))
    file = case(paid("in_1", line(9900), line(4900, "prod_chat"), line(100, None)))
    assert amounts("in_1", file, run) == [
        ("all", None, 1490, "usd"),
        ("inbox", "sub_1/prod_inbox", 1980, "usd"),
    ]


def test_the_arithmetic_shows_the_discount() -> None:
    """Net by default; gross keeps the discount in."""
    file = case(paid("in_1", line(12000, discount=2400)))
    (net,) = desired("stripe:in_1", file, program(trigger("inbox", "25", ON_INBOX)))
    (gross,) = desired("stripe:in_1", file, program(trigger("inbox", "25", ON_INBOX), basis=Basis.GROSS))
    assert net.arithmetic == "120.00 USD line - 24.00 USD discount = 96.00 USD x 25 % = 24.00 USD"
    assert gross.arithmetic == "120.00 USD line x 25 % = 30.00 USD"


def test_what_a_coupon_paid_for_whole_pays_nothing_on_any_basis() -> None:
    """Nobody paid for it, so before discounts it is nothing, too; nor is a credit in the end a charge before them."""
    run = program(trigger("inbox", "10", ON_INBOX), trigger("all", "10"), basis=Basis.GROSS)
    free = paid("in_1", line(9900, discount=9900))
    credited = paid("in_2", line(4000, discount=5000))
    beside = paid("in_3", line(9900, discount=9900), line(5000, "prod_chat", discount=1000))
    assert amounts("in_1", case(free), run) == []
    assert amounts("in_2", case(credited), run) == []
    assert amounts("in_3", case(beside), run) == [("all", None, 500, "usd")]


def test_each_verdict_says_why_nothing_was_paid() -> None:
    """Unlinked, not attributed, no partner of the program, zero, too little for a cent, and rules that do not hold."""
    run = program(trigger("all", "0.01"), trigger("chat", "10", {**ON_INBOX, "value": ["Live Chat"]}))
    file = case(paid("in_1", line(10)), paid("in_2", line(0)))

    def reasons(name: str, changed: CaseFile) -> list[str]:
        return [verdict.reason for verdict in verdicts(f"stripe:{name}", changed, run, traced=True)]

    assert reasons("in_1", file) == [
        "its rules hold, but 0.10 USD payment x 0.01 % = 0.00 USD",
        "its rules do not hold",
    ]
    assert reasons("in_2", file) == ["a payment of zero fires nothing", "a line of zero fires nothing"]
    unlinked = "customer cus_1 is not linked to one of ours"
    assert reasons("in_1", replace(file, customers={})) == [unlinked] * 2
    nobody = "the customer was not attributed to a partner at the time"
    assert reasons("in_1", replace(file, customer_claims={})) == [nobody] * 2
    ghost = Claim("stripe:customer:cus_1", "ghost", None, LONG_AGO, "stripe:evt_0")
    stranger = '"ghost" is not a partner of the program'
    assert reasons("in_1", replace(file, customer_claims={"cust_1": (ghost,)})) == [stranger] * 2


def test_a_status_is_read_as_of_the_payment() -> None:
    """The version in force when it was paid counts, not the latest."""
    rules = {"all": [ON_INBOX, {"field": "product.status", "op": "is_any_of", "value": ["active"]}]}
    history = (ProductVersion(NOON, ProductStatus.ACTIVE), ProductVersion(NOON.replace(day=5), ProductStatus.CHURNED))
    products = {("stripe", "sub_1", "prod_inbox"): history}
    file = case(paid("in_1", line(1000)), paid("in_2", line(1000), day=10), products=products)
    run = program(trigger("active", "10", rules))
    assert amounts("in_1", file, run) == [("active", "sub_1/prod_inbox", 100, "usd")]
    assert amounts("in_2", file, run) == []


def test_an_exclusive_group_is_settled_by_position_also_between_line_and_whole() -> None:
    """The first that fires wins on its line; against a trigger on the whole it wins altogether."""
    group: dict[str, Any] = {"exclusive_group": "best"}
    first = trigger("inbox", "20", ON_INBOX, position=1, **group)
    file = case(paid("in_1", line(1000), line(1000, "prod_chat")))
    run = program(first, trigger("all", "50", position=2, **group))
    assert amounts("in_1", file, run) == [("inbox", "sub_1/prod_inbox", 200, "usd")]
    lost = [v.reason for v in verdicts("stripe:in_1", file, run) if v.trigger.key == "all"]
    assert lost == ["inbox comes first in group best"]
    whole_first = program(replace(first, position=3), trigger("all", "50", position=2, **group))
    assert amounts("in_1", file, whole_first) == [("all", None, 1000, "usd")]


CHARGE = paid("in_1", line(6000), line(4000, "prod_chat"))
INBOX_CREDITED = paid("in_2", line(-7000), day=1)
CHAT_CREDITED = paid("in_3", line(-7000, "prod_chat"), day=2)
CHAINS = {
    ("stripe:in_2", "sub_1/prod_inbox"): (("stripe:in_1", "sub_1/prod_inbox"),),
    ("stripe:in_3", "sub_1/prod_chat"): (("stripe:in_1", "sub_1/prod_chat"),),
}
CREDITED: dict[str, Any] = {"chains": CHAINS, "credited_by": {"stripe:in_1": ("stripe:in_2", "stripe:in_3")}}


def test_a_credit_takes_back_under_the_terms_of_the_charge_and_no_more_than_it_earned() -> None:
    """Sixty were charged, seventy are credited: what was earned on sixty goes back, whatever is offered today."""
    late = trigger("later", "90", ON_INBOX, effective_from=NOON + timedelta(hours=1))
    run = program(trigger("inbox", "20", ON_INBOX), late)
    file = case(CHARGE, INBOX_CREDITED, CHAT_CREDITED, **CREDITED)
    assert amounts("in_2", file, run) == [("inbox", "sub_1/prod_inbox", -1200, "usd")]


def test_a_credit_says_what_it_takes_back_and_of_which_basis() -> None:
    """Its own day, its own line less its discount, the charge's percentage."""
    lines = Line("sub_1/prod_inbox", "sub_1", "prod_inbox", (), -5000, -1000, 1, recurring=True)
    file = case(CHARGE, replace(INBOX_CREDITED, lines=(lines,)), CHAT_CREDITED, **CREDITED)
    inbox, whole = trigger("inbox", "20", ON_INBOX), trigger("all", "10")
    on_line, on_whole = verdicts("stripe:in_2", file, program(inbox, whole))[-2:]
    assert on_line.desired is not None and on_whole.desired is not None
    assert (on_line.reason, on_whole.reason) == ("credits stripe:in_1", "credits stripe:in_1")
    assert (on_line.as_paid_minor, on_whole.as_paid_minor) == (-800, -400)
    assert on_line.desired.earned_at == on_whole.desired.earned_at == INBOX_CREDITED.occurred_at
    assert on_line.desired.arithmetic == "-50.00 USD line - -10.00 USD discount = -40.00 USD x 20 % = -8.00 USD"
    assert on_whole.desired.arithmetic == "-50.00 USD payment - -10.00 USD discount = -40.00 USD x 10 % = -4.00 USD"


def test_of_a_discounted_charge_money_that_comes_back_takes_the_list_price_with_it() -> None:
    """A credit of all that was paid takes all that a gross percentage came to, whether or not it names the discount."""
    charged = replace(CHARGE, lines=(replace(CHARGE.lines[0], discount_minor=1200), CHARGE.lines[1]))
    plain, itemised = line(-4800), replace(line(-6000), discount_minor=-1200)
    run = program(trigger("inbox", "20", ON_INBOX), basis=Basis.GROSS)
    for credit, said in ((plain, "-48.00 USD line"), (itemised, "-60.00 USD line - -12.00 USD discount = -48.00 USD")):
        file = case(charged, replace(INBOX_CREDITED, lines=(credit,)), CHAT_CREDITED, **CREDITED)
        assert amounts("in_1", file, run) == [("inbox", "sub_1/prod_inbox", 1200, "usd")]
        assert amounts("in_2", file, run) == [("inbox", "sub_1/prod_inbox", -1200, "usd")]
        (back,) = desired("stripe:in_2", file, run)
        assert back.arithmetic == f"{said} x 60.00 USD per 48.00 USD paid = -60.00 USD x 20 % = -12.00 USD"


def test_credits_of_a_discounted_whole_take_its_list_price_with_them() -> None:
    """Half of the money that a payment came to is credited, then the rest: half of the percentage, then the rest."""
    charged = replace(CHARGE, lines=(replace(CHARGE.lines[0], discount_minor=2000), CHARGE.lines[1]))
    run = program(trigger("all", "10"), basis=Basis.GROSS)
    halves = paid("in_2", line(-4000), day=1), paid("in_3", line(-4000, "prod_chat"), day=2)
    file = case(charged, *halves, **CREDITED)
    assert [amounts(f"in_{n}", file, run)[-1][2] for n in (1, 2, 3)] == [1000, -500, -500]


def test_credits_of_a_whole_share_what_it_earned() -> None:
    """Two negative payments credit one charge by different products: together they take what it earned."""
    run = program(trigger("all", "10"))
    file = case(CHARGE, INBOX_CREDITED, CHAT_CREDITED, **CREDITED)
    assert amounts("in_2", file, run) == [("all", None, -700, "usd")]
    assert amounts("in_3", file, run) == [("all", None, -300, "usd")]


def test_flat_declined_and_foreign_money_is_not_taken_back() -> None:
    """A flat amount stands, a declined commission was never paid, and another currency has no measure."""
    file = case(CHARGE, INBOX_CREDITED, CHAT_CREDITED, **CREDITED)
    assert amounts("in_2", file, program(trigger("flat", 500, ON_INBOX))) == []
    run = program(trigger("inbox", "20", ON_INBOX))
    (charged,) = desired("stripe:in_1", file, run)
    declined = Commission("cmsn_1", charged.claimant, 0, CommissionState.DECLINED, 1200)
    assert amounts("in_2", replace(file, booked={"stripe:in_1": (declined,)}), run) == []
    abroad = case(CHARGE, replace(INBOX_CREDITED, currency="eur"), CHAT_CREDITED, **CREDITED)
    assert amounts("in_2", abroad, run) == []


def test_a_long_chain_of_credits_is_not_walked_to_its_beginning() -> None:
    """Two thousand invoices that each credit the one before are judged one step deep."""
    history = [paid(f"in_{n}", line(1000), line(-500, "prod_chat"), day=n % 300) for n in range(2000)]
    chains = {
        (f"stripe:in_{n}", "sub_1/prod_chat"): ((f"stripe:in_{n - 1}", "sub_1/prod_inbox"),) for n in range(1, 2000)
    }
    run = program(trigger("inbox", "20", ON_INBOX))
    assert len(amounts("in_1999", case(*history, chains=chains), run)) == 2


def test_judging_twice_says_the_same() -> None:
    """The same file and program give equal verdicts; without traces only those are missing that cannot fire."""
    run = program(trigger("inbox", "20", ON_INBOX), trigger("all", "10"))
    file = case(CHARGE, INBOX_CREDITED, CHAT_CREDITED, **CREDITED)
    for key in file.transactions:
        plain, traced = verdicts(key, file, run), verdicts(key, file, run, traced=True)
        assert plain == verdicts(key, file, run)
        told = [replace(verdict, trace=None) for verdict in traced]
        assert [verdict for verdict in plain if verdict.fired] == [verdict for verdict in told if verdict.fired]
        assert all(verdict in told for verdict in plain)


def test_the_months_of_a_limit_end_by_the_clock_of_the_program() -> None:
    """Begun on 28 February at nine in the evening in New York: over there on 28 March, four days sooner than in UTC."""
    once = trigger("all", "10")
    month = replace(once, action=replace(once.action, limit=Limit(months=1)))
    began = datetime(2026, 3, 1, 2, tzinfo=UTC)
    file = case(
        paid("in_2", line(1000), day=29),
        previous={"stripe:in_2": "stripe:in_1"},
        standings={"stripe:in_1": Standing(1, {"usd": 1000}, {"all": Usage(1, began)})},
    )
    in_utc = program(month)
    assert amounts("in_2", file, in_utc) == [("all", None, 100, "usd")]
    assert amounts("in_2", file, replace(in_utc, zone=ZoneInfo("America/New_York"))) == []
