"""`/exports/{kind}`: the same files as the command line writes, for whoever has a key."""

import csv
import io

import httpx
import pytest

from tests.dashboard.running import Api
from tests.infra.told import pay
from tests.stage import Stage


@pytest.mark.parametrize("kind", ["product_book", "partners", "customers", "products", "transactions", "rewards"])
def test_every_kind_is_one_file(api: Api, stage: Stage, kind: str) -> None:
    """A story leaves one row of each kind; the file says what it is and how it is called."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada", name="=HYPERLINK(1)")
    stage.trigger("ten", "10")
    pay(stage)
    answer = api.client.get(f"/exports/{kind}")
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"{kind}.csv" in answer.headers["content-disposition"]
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row.get("partner_key", "ada") == "ada"
    assert not any(cell.startswith("=") for cell in row.values())
    assert stage.ask("select action, subject from audit_log where action = 'export.written'") == [
        ("export.written", kind)
    ]


def test_exports_are_not_for_strangers(api: Api, nobody: Api) -> None:
    """Without a key there is no file, and of no other kind for anybody."""
    assert nobody.client.get("/exports/customers").status_code == httpx.codes.UNAUTHORIZED
    assert api.client.get("/exports/secrets").status_code == httpx.codes.BAD_REQUEST
