"""The command line on a real database: exit codes, JSON, and that any value is shown as the text it is."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import Engine

from infra.explanations import explain_by_name
from infra.reports import list_events
from tests.builders import item, line, stripe_events
from tests.stage import Stage
from tests.worker.command_line import Attribution
from worker import showing, showing_inbox

#: What somebody may call a thing: markup, an emoji code, colours, a line feed, a script, text turned around.
HOSTILE = "[red]Inbox[/red] :fire: \x1b[31m\n</script> \u202egnp\\"
SHOWN = "[red]Inbox[/red] :fire: \\x1b[31m\\n</script> \\u202egnp\\"


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earned 19.80 USD on the Inbox that acme bought and paid with in_1."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("trg_inbox", "20", name="20 % of Inbox", rules=named("Inbox"))
    stage.play(story())
    return stage


def named(name: str) -> dict[str, Any]:
    """Rules that hold for the product of this name."""
    return {"field": "product.name", "op": "is_any_of", "value": [name]}


def story(customer_key: str = "acme") -> list[stripe_events.Event]:
    """Referred, bought, paid."""
    return [
        stripe_events.customer("cus_1", customer_key=customer_key, partner_key="ada"),
        stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_inbox", amount=9900)]),
        stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", 9900)]),
    ]


def on_a_terminal(width: int, show: Callable[[Console], None]) -> str:
    """What a terminal of `width` columns would show, without its colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# status


def test_status_as_json_is_what_the_api_says(attribution: Attribution, stage: Stage) -> None:
    """Every state has a number, and one key says for how long the oldest due event has been due; nothing else."""
    stage.store([stripe_events.customer("cus_2")])
    answer = attribution("status", "--json")
    assert answer.code == 0
    found = answer.document
    assert set(found) == {"received", "waiting", "processed", "ignored", "dead", "oldest_due_s"}
    assert (found["received"], found["waiting"], found["dead"], found["ignored"]) == (1, 0, 0, 0)
    assert found["processed"] == stage.ask("select count(*) from inbox where state = 'processed'")[0][0]
    assert found["oldest_due_s"] >= 0


def test_status_tells_what_is_late(attribution: Attribution, stage: Stage) -> None:
    """For a person it is a table, and a sentence about what is overdue."""
    assert "nothing is overdue" in attribution("status").out
    stage.store([stripe_events.customer("cus_2")])
    with stage.engine.begin() as connection:
        connection.exec_driver_sql(
            "update inbox set next_attempt_at = now() - interval '90 s' where state = 'received'"
        )
    answer = attribution("status")
    assert "oldest due: 90 s" in answer.out or "oldest due: 91 s" in answer.out
    assert "received   1" in answer.out


# events list


def test_events_are_listed_with_what_became_of_them(attribution: Attribution, stage: Stage) -> None:
    """In a pipe each event is one line with its outcome; as JSON they are the same events, newest first."""
    as_json = attribution("events", "list", "--json").document
    assert [row["id"] for row in as_json] == sorted((row["id"] for row in as_json), reverse=True)
    lines = attribution("events", "list").out.splitlines()
    assert len(lines) == 1 + len(as_json)
    for row, printed in zip(as_json, lines[1:], strict=True):
        assert printed.startswith(str(row["id"]))
        assert row["event_key"] in printed
        assert row["event_type"] in printed
    assert any("commissions: cmsn_" in printed for printed in lines)


def test_events_are_narrowed(attribution: Attribution, stage: Stage) -> None:
    """State, type, provider and limit narrow the list; where nothing is left, it says so."""
    assert len(attribution("events", "list", "--limit", "2", "--json").document) == 2
    (only,) = attribution("events", "list", "--type", "invoice.paid", "--json").document
    assert only["outcome"]["transactions"] == ["stripe:in_1"]
    answer = attribution("events", "list", "--state", "dead")
    assert (answer.code, answer.out) == (0, "no events\n")
    assert attribution("events", "list", "--state", "dead", "--json").document == []
    told = attribution("events", "list", "--provider", "stripe", "--json").document
    assert {each["provider"] for each in told} == {"stripe"}
    assert attribution("events", "list", "--provider", "chargebee", "--json").document == []


@pytest.mark.parametrize("width", [40, 80, 100])
def test_events_fit_a_narrow_terminal(width: int, stage: Stage) -> None:
    """No line is wider than the terminal, and at 80 columns no type or event id is broken."""
    with stage.engine.connect() as connection:
        found = list_events(connection)
    printed = on_a_terminal(width, lambda console: showing_inbox.events(console, found))
    assert max(map(len, printed.splitlines())) <= width
    if width >= 80:
        assert all(row["event_key"] in printed and row["event_type"] in printed for row in found)


# explain


def test_explain_tells_by_any_name(attribution: Attribution, stage: Stage) -> None:
    """By transaction key, provider id and commission key the same is said: who, what, why, how much."""
    ((commission,),) = stage.ask("select key from commissions")
    by_key = attribution("explain", "stripe:in_1")
    assert by_key.code == 0
    for told in (
        "stripe:in_1  99.00 USD  paid 2026-04-01 12:00:00 UTC",
        "customer acme, partner ada since",
        'trigger "20 % of Inbox" (trg_inbox, version 1)',
        "fired, its rules hold",
        'yes product.name is_any_of ["Inbox"]: it is "Inbox"',
        "99.00 USD line x 20 % = 19.80 USD for ada",
        f"{commission}  19.80 USD  pending  ada",
    ):
        assert told in by_key.out
    assert attribution("explain", "in_1") == by_key
    assert attribution("explain", str(commission)) == by_key


def test_explain_tells_what_else_a_commission_was_earned_on(attribution: Attribution, stage: Stage) -> None:
    """A product that was bought: whose, which, when, and why; a partner who joined has no customer."""
    flat = {"type": "flat", "amount": 500, "currency": "usd"}
    stage.trigger("trg_bought", name="For each purchase", event="product_created", action=flat)
    stage.trigger("trg_joined", name="Welcome", event="partner_joined", action=flat)
    stage.drainer.sweep()
    keys = dict(stage.ask("select trigger_key, key from commissions where event <> 'transaction_created'"))
    told = attribution("explain", str(keys["trg_bought"]))
    assert told.code == 0
    assert "stripe:sub_1/prod_inbox  a product was bought  2026-" in told.out
    assert "customer acme, partner ada since" in told.out
    assert "a product was bought: fired, its rules hold" in told.out
    assert f"{keys['trg_bought']}  5.00 USD  pending  ada" in told.out
    joined = attribution("explain", str(keys["trg_joined"]))
    assert "ada  a partner joined  " in joined.out
    assert "customer" not in joined.out
    assert attribution("explain", str(keys["trg_bought"]), "--json").document["occasion"]["product_name"] == "Inbox"


def test_explain_as_json_has_everything(attribution: Attribution, stage: Stage) -> None:
    """The document has the transaction, its lines, every trigger's verdict and what is booked."""
    found = attribution("explain", "in_1", "--json").document
    assert set(found) == {"transaction", "as_of", "partner_key", "lines", "triggers", "commissions"}
    assert found["triggers"][0]["conditions"]["actual"] == "Inbox"
    assert found["commissions"][0]["amount"] == 1980


def test_explain_points_out_capitals(attribution: Attribution, stage: Stage) -> None:
    """Near misses of a rule's text, of a product id and of a subscription key are each said in a sentence."""
    stage.trigger("trg_small", "5", rules=named("inbox"))
    assert '"Inbox" differs from "inbox" only in capitals' in attribution("explain", "in_1").out
    lines = [line("prod_INBOX", 100)]
    stage.play([stripe_events.invoice_paid("in_2", customer="cus_1", subscription="sub_1", lines=lines)])
    assert '"prod_inbox" (Inbox) differs only in capitals' in attribution("explain", "in_2").out
    stage.play([stripe_events.invoice_paid("in_3", customer="cus_1", subscription="Sub_1", lines=[line(None, 100)])])
    told = 'subscription_key "Sub_1" matches no product; "sub_1" differs only in capitals'
    assert told in attribution("explain", "in_3").out


def test_explain_shows_rules_in_words(attribution: Attribution, stage: Stage) -> None:
    """Groups, a `where`, ages and texts that are not set are readable, each with whether it held."""
    rules = {
        "all": [
            {"not": {"field": "partner.group", "op": "is_any_of", "value": ["gold"]}},
            {"field": "partner.age", "op": "older_than", "value": {"days": 30}},
            {"any": [{**named("Inbox"), "where": {"field": "product.quantity", "op": "gte", "value": 1}}]},
        ]
    }
    stage.trigger("trg_words", "1", rules=rules)
    told = attribution("explain", "in_1").out
    assert "yes all of:" in told
    assert 'no  partner.group is_any_of ["gold"]: it is not set' in told
    assert "yes partner.age older_than" in told
    assert "it is 455 days" in told
    assert "where" in told
    assert "yes product.quantity gte 1: it is 1" in told


def test_an_unknown_name_fails_with_a_hint(attribution: Attribution, stage: Stage) -> None:
    """What nothing is called ends with 1, says the name, and what differs only in capitals."""
    answer = attribution("explain", "IN_1")
    assert (answer.code, answer.out) == (1, "")
    assert 'no transaction or commission is called "IN_1"; "stripe:in_1" differs only in capitals' in answer.err
    answer = attribution("explain", "\x1b[31m[red]nothing")
    assert answer.code == 1
    assert '"\\x1b[31m[red]nothing"' in answer.err
    assert attribution("explain", "in_\udcff").code == 1


# Values are text, whatever is in them.


def test_hostile_names_are_shown_as_text(attribution: Attribution, engine: Engine) -> None:
    """Names of customers, products and triggers appear letter by letter: no markup, no control character acts."""
    stage = Stage(engine)
    stage.product(HOSTILE, "prod_inbox")
    stage.partner("ada")
    stage.trigger("trg_1", "20", name=HOSTILE, rules=named(HOSTILE))
    stage.play(story(customer_key=HOSTILE))
    answer = attribution("explain", "in_1")
    assert answer.code == 0
    assert f'trigger "{SHOWN}"' in answer.out
    assert f"customer {SHOWN}, partner ada" in answer.out
    assert f'is_any_of ["{SHOWN}"]: it is "{SHOWN}"' in answer.out
    assert f"99.00 USD  {SHOWN} (active)" in answer.out
    for acting in ("\x1b", "\u202e"):
        assert acting not in answer.out
    document = attribution("explain", "in_1", "--json").document
    assert document["triggers"][0]["name"] == HOSTILE


def test_hostile_reasons_are_shown_as_text(attribution: Attribution, stage: Stage) -> None:
    """What an event's row says reaches neither the terminal's controls nor the table's markup."""
    with stage.engine.begin() as connection:
        connection.exec_driver_sql("update inbox set reason = %s where event_type = 'invoice.paid'", (HOSTILE,))
    answer = attribution("events", "list", "--type", "invoice.paid")
    assert SHOWN in answer.out
    assert "\x1b" not in answer.out
    assert len(answer.out.splitlines()) == 2


@pytest.mark.parametrize("width", [40, 80])
def test_an_explanation_fits_a_narrow_terminal(width: int, stage: Stage) -> None:
    """No line is wider than the terminal, what goes on in a next line keeps its indentation, and no word is lost."""
    stage.trigger("trg_long", "1", name="A trigger " * 12, rules=named("Knowledge Base " * 8))
    with stage.engine.connect() as connection:
        explained = explain_by_name(connection, "in_1", stage.settings)
    narrow = on_a_terminal(width, lambda console: showing.explanation(console, explained))
    wide = on_a_terminal(10_000, lambda console: showing.explanation(console, explained))
    assert max(map(len, narrow.splitlines())) <= width
    assert "".join(narrow.split()) == "".join(wide.split())
    assert all(each.startswith("       ") for each in narrow.splitlines() if each.strip().startswith("Knowledge"))


# What goes wrong.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command"),
        (["explain"], "Missing argument"),
        (["status", "--yaml"], "No such option"),
        (["events", "list", "--state", "lost"], "is not one of"),
        (["events", "list", "--limit", "0"], "greater than or equal to 1"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str, attribution: Attribution) -> None:
    """A command line that nobody can mean ends with 2 and says what is wrong with it."""
    answer = attribution(*arguments)
    assert answer.code == 2
    assert said in answer.err


def test_wrong_settings_are_told_all_at_once(attribution: Attribution) -> None:
    """Every wrong setting is named, with exit code 2, and a secret among them is not repeated."""
    answer = attribution("status", PORT="eighty", STRIPE_WEBHOOK_SECRETS="hunter2", DATABASE_URL="mysql://root@db/x")
    assert answer.code == 2
    for name in ("PORT", "STRIPE_WEBHOOK_SECRETS", "DATABASE_URL"):
        assert f"{name}: " in answer.err
    assert "hunter2" not in answer.err


@pytest.mark.parametrize("command", [["status"], ["check"], ["events", "list"], ["explain", "in_1"], ["migrate"]])
def test_a_database_that_is_down_is_told(command: list[str], attribution: Attribution) -> None:
    """Where nobody answers, each command ends with 1, says so, and shows no password."""
    answer = attribution(*command, DATABASE_URL="postgresql://someone:pass-word@127.0.0.1:1/program")
    assert (answer.code, answer.out) == (1, "")
    assert "the database does not answer" in answer.err
    assert "DATABASE_URL" in answer.err
    assert "pass-word" not in answer.err


@pytest.mark.parametrize("command", [["status"], ["check"], ["events", "list"], ["explain", "in_1"]])
def test_a_schema_that_is_missing_is_told(
    command: list[str], attribution: Attribution, empty_database_url: str
) -> None:
    """On a database without the schema each command ends with 1 and names the command that makes it."""
    answer = attribution(*command, DATABASE_URL=empty_database_url)
    assert answer.code == 1
    assert "run `attribution migrate`" in answer.err


def test_migrate_makes_the_schema_once(attribution: Attribution, empty_database_url: str) -> None:
    """The first run brings the schema, the second says that it was there, and then the others work."""
    assert "is current now" in attribution("migrate", DATABASE_URL=empty_database_url).out
    assert "was current already" in attribution("migrate", DATABASE_URL=empty_database_url).out
    assert attribution("status", DATABASE_URL=empty_database_url).code == 0


def test_a_schema_of_a_later_version_is_told(attribution: Attribution, stage: Stage) -> None:
    """A database that a newer program has migrated is left alone, with a sentence instead of a stack."""
    with stage.engine.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    answer = attribution("migrate")
    assert answer.code == 1
    assert "of another version of this program" in answer.err
    assert attribution("status").code == 1


def test_a_refused_query_is_told(attribution: Attribution, stage: Stage) -> None:
    """Where the database refuses, its own words are shown in a line."""
    with stage.engine.begin() as connection:
        connection.exec_driver_sql("alter table inbox rename column reason to renamed")
    answer = attribution("events", "list")
    assert answer.code == 1
    assert "the database refuses" in answer.err
    assert "reason" in answer.err


def test_help_names_every_command(attribution: Attribution) -> None:
    """Asked for help, it lists what it can do; asked for nothing, it lists the same and calls that wrong usage."""
    answer = attribution("--help")
    assert answer.code == 0
    for command in ("up", "demo", "migrate", "status", "check", "explain", "events", "reconcile", "fingerprint"):
        assert command in answer.out
    assert attribution().code == 2


# fingerprint


def test_the_fingerprint_is_one_line_and_changes_with_the_state(attribution: Attribution, stage: Stage) -> None:
    """The last line printed is the hash that JSON names; it stays until something is told."""
    document = attribution("fingerprint", "--json").document
    assert attribution("fingerprint").out.splitlines()[-1] == document["digest"]
    assert {section["name"]: section["count"] for section in document["sections"]}["commissions"] == 1
    stage.play([stripe_events.customer("cus_9", customer_key="other")])
    assert attribution("fingerprint", "--json").document["digest"] != document["digest"]
