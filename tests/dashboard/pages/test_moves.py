"""Buttons on commissions change the ledger as the API does, or say why they did not."""

from infra.locks import lock_customers
from tests.dashboard.pages.browser import Browser
from tests.dashboard.pages.conftest import PASSWORD
from tests.stage import Stage


def _commission(told: Stage, amount: int = 1980) -> str:
    (row,) = told.ask(f"select key from commissions where amount_minor = {amount}")
    return str(row[0])


def _states(told: Stage) -> dict[int, str]:
    return dict(told.ask("select amount_minor, state from commissions"))


def test_a_commission_is_approved_and_then_paid(grace: Browser, told: Stage) -> None:
    """Each press moves it one step, says so, and offers what is legal from there; who did it is written down."""
    sheet = grace.get(f"/commissions/{_commission(told)}")
    assert {"Approve", "Hold", "Decline"} <= {button for form in sheet.forms for button in form.buttons}
    sheet = grace.press(sheet, "Approve")
    assert "Done: it is approved now" in sheet.text
    assert _states(told)[1980] == "approved"
    sheet = grace.press(sheet, "Mark as paid")
    assert _states(told) == {1980: "paid", 490: "pending"}
    assert not [button for form in sheet.forms for button in form.buttons if button != "Sign out"]
    written = told.ask(
        "select actor, action, details ->> 'to' from audit_log where action = 'reward.moved' order by id"
    )
    assert written == [("person:grace@example.com", "reward.moved", to) for to in ("approved", "paid")]


def test_what_was_done_is_said_once(grace: Browser, told: Stage) -> None:
    """The next page says what was done, the one after it no more."""
    sheet = grace.press(grace.get(f"/commissions/{_commission(told)}"), "Hold")
    assert "Done: it is hold now" in sheet.text
    assert "Done:" not in grace.get(f"/commissions/{_commission(told)}").text


def test_declining_needs_a_reason_that_the_partner_reads(grace: Browser, bob: Browser, told: Stage) -> None:
    """Without a reason nothing changes and the field says so; with one, the partner reads it."""
    sheet = grace.get(f"/commissions/{_commission(told)}")
    refused = grace.press(sheet, "Decline", 400)
    assert "Nothing was changed" in refused.text
    assert next(found for _, found in refused.tags if found.get("aria-invalid"))["name"] == "decline_reason"
    assert _states(told)[1980] == "pending"
    grace.press(refused, "Decline", decline_reason="The customer is your own")
    assert _states(told)[1980] == "declined"
    assert "The customer is your own" in bob.get("/partner/commissions").text


def test_a_move_that_is_no_longer_legal_is_refused_with_what_is(grace: Browser, told: Stage) -> None:
    """A button pressed on a page that has grown old changes nothing."""
    old = grace.get(f"/commissions/{_commission(told)}")
    grace.press(old, "Decline", decline_reason="no")
    refused = grace.press(old, "Approve", 400)
    assert "Nothing was changed" in refused.text
    assert _states(told)[1980] == "declined"


def test_approving_many_asks_first_and_takes_what_was_shown(grace: Browser, told: Stage) -> None:
    """The page names number and sum; what has changed since it was shown stays as it is, and that is said."""
    ask = grace.press(grace.get("/commissions?partner_key=ada"), "Approve all pending of these ...")
    assert "Approve 2 pending commissions?" in ask.text
    assert "24.70 USD" in ask.text
    assert _states(told) == {1980: "pending", 490: "pending"}
    grace.press(grace.get(f"/commissions/{_commission(told, 490)}"), "Hold")
    done = grace.press(ask, "Approve these 2")
    assert "1 approved; 1 have changed since" in done.text
    assert _states(told) == {1980: "approved", 490: "hold"}
    assert told.ask("select subject from audit_log where details ->> 'to' = 'approved'") == [(_commission(told),)]


def test_approving_many_keeps_to_the_filter(grace: Browser, told: Stage) -> None:
    """A filter that fits nothing approves nothing; what is no list of commissions is refused."""
    ask = grace.get("/commissions/approve?partner_key=nobody")
    assert "Nothing is pending here" in ask.text
    token = ask.forms[0].fields["form_token"]
    for seen in ("", "[]", '{"cmsn_x": "y"}', "nonsense"):
        answer = grace.client.post("/commissions/approve", data={"form_token": token, "seen": seen})
        assert answer.status_code == 400, seen
    assert _states(told) == {1980: "pending", 490: "pending"}


def test_another_amount_than_was_shown_is_not_approved(grace: Browser, told: Stage) -> None:
    """What is approved is the amount that somebody has seen."""
    token = grace.get("/").forms[0].fields["form_token"]
    seen = f'{{"{_commission(told)}": 1}}'
    grace.send("/commissions/approve", {"form_token": token, "seen": seen})
    assert _states(told)[1980] == "pending"


def test_many_at_once_need_the_password_again_after_a_while(grace: Browser, told: Stage) -> None:
    """Half an hour after signing in a page asks for the password; without it, or with another, nothing is done."""
    told.tamper("update sessions set created_at = created_at - interval '31 minutes'")
    ask = grace.get("/commissions/approve")
    for typed in ({}, {"password": "not this one"}):
        refused = grace.press(ask, "Approve these 2", 400, **typed)
        assert "password" in refused.text
    assert _states(told) == {1980: "pending", 490: "pending"}
    assert "2 approved" in grace.press(ask, "Approve these 2", password=PASSWORD).text
    assert _states(told) == {1980: "approved", 490: "approved"}


def test_a_customer_who_is_being_worked_on_is_left_for_later(grace: Browser, told: Stage) -> None:
    """What a worker has at hand is not waited for: nothing of it is approved, the page says to look again."""
    ask = grace.get("/commissions/approve")
    ((customer,),) = told.ask("select distinct customer from commissions")
    with told.engine.begin() as worker:
        assert lock_customers(worker, {customer}) == {customer}
        done = grace.press(ask, "Approve these 2")
    assert "0 approved; 2 have changed since, or are being worked on" in done.text
    assert "2 approved" in grace.press(ask, "Approve these 2").text


def test_what_was_approved_is_marked_as_paid_together(grace: Browser, told: Stage) -> None:
    """The page names what each partner gets; only what is approved, and as it was shown, is marked, and by whom."""
    assert "Nothing is approved here" in grace.get("/commissions/pay").text
    grace.press(grace.get("/commissions/approve"), "Approve these 2")
    ask = grace.press(grace.get("/commissions?partner_key=ada"), "Mark all approved of these as paid ...")
    assert "Mark as paid: 2 approved commissions?" in ask.text
    assert "24.70 USD" in ask.text
    token = grace.get("/").forms[0].fields["form_token"]
    grace.send("/commissions/pay", {"form_token": token, "seen": f'{{"{_commission(told)}": 1}}'})
    assert _states(told) == {1980: "approved", 490: "approved"}
    done = grace.press(ask, "Mark as paid: these 2")
    assert "2 paid" in done.text
    assert _states(told) == {1980: "paid", 490: "paid"}
    grace.send("/commissions/approve", {**ask.form("Mark as paid: these 2").fields})
    assert _states(told) == {1980: "paid", 490: "paid"}
    written = told.ask("select count(*), min(actor) from audit_log where details ->> 'to' = 'paid'")
    assert written == [(2, "person:grace@example.com")]
