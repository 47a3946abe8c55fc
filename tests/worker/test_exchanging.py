"""`attribution import` and `export`: whole files or nothing, mistakes by row, and the same file twice is one."""

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import Engine

from infra.sheets import cells
from tests.builders import item, line, stripe_events
from tests.stage import Stage
from tests.worker.command_line import Answer, Attribution

PARTNERS = """\
partner_key,name,email,group,tags,country,joined_at,metadata.tier
ada,Ada Lovelace,ada@example.com,gold,vip|early,GB,2025-01-01,1
bob,,,,,,1720622562.0,
"""
BOOK = """\
name,external_key,aliases,description,archived
Inbox,prod_inbox,price_m|price_y,"Shared, for teams",false
Surveys,prod_surveys,,,
"""
CUSTOMERS = """\
customer_key,email,name,country,partner_key,attributed_at,provider_key,metadata.plan
acme,it@acme.example,Acme,DE,ada,2026-01-01T00:00:00Z,cus_1,pro
zenith,,,,,,,
"""
PRODUCTS = """\
external_subscription_key,product_book_key,customer_key,status,amount,currency,quantity,created_at
S-1,prod_inbox,acme,active,9900,USD,1,2026-02-01
"""
TRANSACTIONS = """\
key,customer_key,amount,currency,created_at,subscription_key
T-0001,acme,9900,usd,2026-02-02T10:00:00+01:00,S-1
T-0002,acme,5000,USD,1772000000.0,
"""


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """An empty program."""
    return Stage(engine)


@pytest.fixture
def imported(attribution: Attribution, tmp_path: Path) -> "Importing":
    """Imports texts as files."""
    return Importing(attribution, tmp_path)


class Importing:
    """`attribution import` of a text."""

    def __init__(self, attribution: Attribution, folder: Path) -> None:
        self._attribution, self._folder = attribution, folder

    def __call__(self, kind: str, text: str | bytes, *options: str) -> Answer:
        path = self._folder / f"{kind}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self._attribution("import", kind, str(path), "--json", *options)

    def counts(self, kind: str, text: str | bytes, *options: str) -> tuple[int, int, int]:
        """(new, changed, unchanged) of an import that succeeds."""
        answer = self(kind, text, *options)
        assert answer.code == 0, answer.err
        found = answer.document
        return found["created_count"], found["changed_count"], found["unchanged_count"]


def rows_of(text: str) -> list[dict[str, str]]:
    """A file's rows by column."""
    return list(csv.DictReader(io.StringIO(text)))


def test_partners_and_products_come_in_and_the_same_file_changes_nothing(imported: Importing, stage: Stage) -> None:
    """Every column arrives; a second time no row, no version and no request to judge again is added."""
    assert imported.counts("partners", PARTNERS) == (2, 0, 0)
    assert imported.counts("product_book", BOOK) == (2, 0, 0)
    known = stage.ask("""
        select p.partner_key, p.name, p.email, v."group", v.tags, v.country, v.metadata,
            extract(epoch from p.joined_at)::bigint
        from partners p join partner_versions v using (partner_key) order by 1
    """)
    assert known == [
        ("ada", "Ada Lovelace", "ada@example.com", "gold", ["early", "vip"], "GB", {"tier": "1"}, 1735689600),
        ("bob", None, None, None, [], None, {}, 1720622562),
    ]
    assert stage.ask("select alias from product_book_aliases order by 1") == [("price_m",), ("price_y",)]
    before = stage.ask("select count(*), max(id) from inbox")
    assert imported.counts("partners", PARTNERS) == (0, 0, 2)
    assert imported.counts("product_book", BOOK) == (0, 0, 2)
    assert stage.ask("select count(*), max(id) from inbox") == before


def test_a_changed_cell_changes_that_and_a_missing_column_nothing(imported: Importing, stage: Stage) -> None:
    """An empty cell clears, a column that is not there leaves alone."""
    imported("partners", PARTNERS)
    assert imported.counts("partners", "partner_key,group\nada,silver\nbob,\n") == (0, 1, 1)
    query = """select v."group", v.tags, p.email from partners p join partner_versions v using (partner_key)
        where partner_key = 'ada' order by version desc limit 1"""
    assert stage.ask(query) == [("silver", ["early", "vip"], "ada@example.com")]
    assert imported.counts("partners", "partner_key,email\nada,\n") == (0, 1, 0)
    assert stage.ask(query) == [("silver", ["early", "vip"], None)]


def test_every_mistake_is_named_with_its_row_and_nothing_is_kept(imported: Importing, stage: Stage) -> None:
    """One right row among wrong ones comes in with none of them; each mistake has row, column and remedy."""
    text = (
        "partner_key,email,country,joined_at,tags\n"
        "ada,ada@example.com,DE,2025-01-01,a\n"
        ",nobody,Germany,yesterday,a||b\n"
        "bob,b@example.com,DE,1.72062E+12,\n"
        "ada,,,,\n"
        "eve,,\n"
    )
    answer = imported("partners", text)
    assert answer.code == 1
    for said in (
        "row 3, partner_key: must not be empty",
        'row 3, email: "nobody" is not an e-mail address',
        'row 3, country: "Germany" is not a country of two capital letters',
        'row 3, joined_at: "yesterday" is not a time',
        "row 3, tags: lists nothing between two |",
        "row 4, joined_at",
        "rounded by a spreadsheet",
        'row 5: is about "ada" as row 2 is',
        "row 6: has 3 cells, and the header has 5",
    ):
        assert said in answer.err
    assert stage.ask("select count(*) from partners") == [(0,)]


def test_mistakes_beyond_fifty_are_left_for_the_next_time(imported: Importing) -> None:
    """A file that is wrong in every row is answered with fifty lines, and says that there may be more."""
    answer = imported("partners", "partner_key,country\n" + "".join(f"p-{n},Germany\n" for n in range(70)))
    assert answer.err.count("Germany") == 50
    assert "row 51, country" in answer.err
    assert "there may be more" in answer.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"partner_key,contry\n", 'the column "contry", which is not known; did you mean "country"?'),
        (b"Partner Key,name\n", 'did you mean "partner_key"?'),
        (b"name\nAda\n", 'lacks the column "partner_key"'),
        (b"", 'lacks the column "partner_key"'),
        (b"partner_key,partner_key\n", "twice"),
        (b"partner_key;name\nada;Ada\n", "semicolons"),
        ("partner_key,name\nada,Müller\n".encode("latin-1"), "not UTF-8"),
        (b'partner_key,name\nada,"open\n', "cannot be read as CSV"),
        (b"partner_key,name\nada,a\0b\n", "NUL"),
        (b"partner_key,metadata.\nada,x\n", "metadata."),
    ],
)
def test_a_file_that_cannot_be_understood_says_why(imported: Importing, text: bytes, said: str) -> None:
    """Unknown, missing and doubled columns, another encoding or separator and broken quotes are each named."""
    answer = imported("partners", text)
    assert answer.code == 1
    assert said in answer.err


def test_a_mark_of_unicode_and_windows_lines_are_no_mistake(imported: Importing) -> None:
    """What Excel saves as CSV UTF-8 is read as it is, line feeds within quotes included."""
    assert imported.counts("partners", b'\xef\xbb\xbfpartner_key,name\r\nada,"Ada\nLovelace"\r\n\r\n') == (1, 0, 0)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(imported: Importing, stage: Stage) -> None:
    """The same counts, and no row anywhere."""
    assert imported.counts("partners", PARTNERS, "--dry-run") == (2, 0, 0)
    assert stage.ask("select count(*) from partners") == [(0,)]
    assert stage.ask("select count(*) from audit_log") == [(0,)]
    assert imported("partners", PARTNERS.replace("GB", "GBR"), "--dry-run").code == 1


def test_what_is_refused_by_the_program_names_the_row_too(imported: Importing, stage: Stage) -> None:
    """A provider id that leads elsewhere, and an unknown partner, are mistakes of their rows."""
    imported("product_book", BOOK)
    answer = imported("product_book", "name,external_key,aliases\nNew,prod_new,price_m\nFree,,\n")
    assert "row 2, aliases" in answer.err
    assert "leads to" in answer.err
    answer = imported("customers", "customer_key,partner_key\nacme,Ada\nother,nobody\n")
    assert "row 2, partner_key" in answer.err
    assert "row 3, partner_key" in answer.err
    assert stage.ask("select count(*) from inbox where provider = 'api'") == [(0,)]


def test_customers_products_and_payments_earn_what_the_api_would(imported: Importing, stage: Stage) -> None:
    """Three files make a customer of ada's, a product and payments; a worker books them, and again changes nothing."""
    imported("partners", PARTNERS)
    imported("product_book", BOOK)
    stage.trigger("ten", "10")
    files = {"customers": CUSTOMERS, "products": PRODUCTS, "transactions": TRANSACTIONS}
    sizes = {"customers": 2, "products": 1, "transactions": 2}
    assert {kind: imported.counts(kind, text) for kind, text in files.items()} == {
        kind: (size, 0, 0) for kind, size in sizes.items()
    }
    stage.drainer.sweep()
    assert stage.ask("select transaction_key, partner_key, amount_minor from commissions order by 1") == [
        ("T-0001", "ada", 990),
        ("T-0002", "ada", 500),
    ]
    assert stage.ask("select external from (select subscription_key as external, status from products) p") == [("S-1",)]
    books = stage.books()
    again = {kind: imported.counts(kind, text) for kind, text in files.items()}
    assert again == {kind: (0, 0, size) for kind, size in sizes.items()}
    stage.drainer.sweep()
    assert stage.books() == books


def test_a_row_for_another_product_of_a_subscription_is_that_product(imported: Importing, stage: Stage) -> None:
    """It comes beside the one that is there, whose amount stays; a row with other words changes the one it names."""
    imported("partners", PARTNERS)
    imported("product_book", BOOK + "Chat,prod_chat,,,\n")
    imported("customers", CUSTOMERS)
    imported("products", PRODUCTS)
    both = PRODUCTS + "S-1,prod_chat,acme,trial,4900,USD,1,2026-02-03\n"
    assert imported.counts("products", both) == (1, 0, 1)
    stage.drainer.sweep()
    assert imported.counts("products", both.replace("trial,4900", "active,4900")) == (0, 1, 1)
    stage.drainer.sweep()
    assert stage.ask("select product_key, status, amount_minor from products order by 1") == [
        ("prod_chat", "active", 4900),
        ("prod_inbox", "active", 9900),
    ]


def test_a_payment_that_says_otherwise_under_a_known_key_is_refused(imported: Importing, stage: Stage) -> None:
    """A key is one payment's for ever: the row with another amount is named, and the new one beside it is not kept."""
    imported("transactions", TRANSACTIONS)
    changed = TRANSACTIONS.replace("9900", "9901") + "T-0003,acme,100,usd,2026-02-02,\n"
    answer = imported("transactions", changed)
    assert answer.code == 1
    assert "row 2, key" in answer.err
    assert "says otherwise" in answer.err
    assert stage.ask("select count(*) from inbox where provider = 'api'") == [(2,)]


def test_amounts_are_minor_units(imported: Importing) -> None:
    """A decimal point in an amount, a spreadsheet's `.0` included, and a rounded one are refused with the remedy."""
    for cell in ("99.00", "9900.0", "9,900", "9.9E+3", "$99"):
        answer = imported("transactions", TRANSACTIONS.replace("9900", f'"{cell}"'))
        assert "row 2, amount" in answer.err
        assert "amounts are in minor units, so 4.90 USD is 490" in answer.err


def test_unknown_kinds_and_files_are_wrong_usage(attribution: Attribution, imported: Importing) -> None:
    """The kinds there are get named; a file that is not there is said to be."""
    answer = imported("trigger", "a\n")
    assert (answer.code, "product_book" in answer.err) == (2, True)
    assert attribution("export", "nothing").code == 2
    answer = attribution("import", "partners", "no-such.csv")
    assert answer.code == 1
    assert "no-such.csv" in answer.err


# Out.


def test_what_was_written_can_be_read_and_changes_nothing(
    attribution: Attribution, imported: Importing, stage: Stage
) -> None:
    """Product book and partners go out and come in again as they are."""
    imported("partners", PARTNERS)
    imported("product_book", BOOK)
    for kind in ("partners", "product_book"):
        answer = attribution("export", kind)
        assert answer.code == 0, answer.err
        assert imported.counts(kind, answer.out) == (0, 0, 2)
    assert rows_of(answer.out)[0]["aliases"] in ("price_m|price_y", "")


def test_every_kind_is_written_with_a_header(attribution: Attribution, stage: Stage, tmp_path: Path) -> None:
    """A story's customer, product, payment and commission each are a row; amounts are minor units, times in UTC."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", partner_key="ada"),
            stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_inbox", amount=9900)]),
            stripe_events.invoice_paid(
                "in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", 9900)]
            ),
        ]
    )
    found = {}
    for kind in ("customers", "products", "transactions", "rewards"):
        path = tmp_path / f"{kind}-out.csv"
        assert attribution("export", kind, "--output", str(path)).code == 0
        (found[kind],) = rows_of(path.read_text(encoding="utf-8"))
    assert found["customers"]["customer_key"] == "acme"
    assert (found["products"]["status"], found["products"]["customer_key"]) == ("active", "acme")
    assert (found["transactions"]["amount"], found["transactions"]["external_product_key"]) == ("9900", "prod_inbox")
    assert found["transactions"]["occurred_at"].endswith("Z")
    assert (found["rewards"]["amount"], found["rewards"]["reward_status"]) == ("990", "pending")


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("http://x")', "+1", "-1+2", "@SUM(A1)", "\t=1", "'=1", "''@x", "plain", "'s"]
)
def test_no_spreadsheet_runs_what_somebody_is_called(name: str) -> None:
    """A text that would be a formula begins with an apostrophe in the file, and reading gives the text back."""
    cell = cells.written(name)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cells.unguarded(cell) == name
    assert cells.written(-490) == "-490"
