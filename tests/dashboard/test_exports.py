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
    assert api.client.get("/exports/secrets").status_code == httpx.codes.NOT_FOUND


@pytest.mark.parametrize(
    ("kind", "fits", "fits_none"),
    [
        ("product_book", {"needs_review": "false"}, {"archived": "true"}),
        ("partners", {"group": "gold"}, {"tag": "silver"}),
        ("customers", {"partner_key": "ada", "provider_key": "cus_1"}, {"email": "nobody@example.com"}),
        ("products", {"customer_key": "acme-1", "status": "active"}, {"external_subscription_key": "sub_2"}),
        ("transactions", {"customer_key": "acme-1", "linked": "true"}, {"provider": "api"}),
        ("rewards", {"partner_key": "ada", "customer_key": "acme-1"}, {"reward_status": "paid"}),
    ],
)
def test_a_file_is_narrowed_as_its_list_is(
    api: Api, stage: Stage, kind: str, fits: dict[str, str], fits_none: dict[str, str]
) -> None:
    """The filters of the list leave in the file what they leave in the list; so do bounds of when it was created."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada", group="gold")
    stage.trigger("ten", "10")
    pay(stage)

    def rows(**filters: str) -> int:
        answer = api.client.get(f"/exports/{kind}", params=filters)
        assert answer.status_code == httpx.codes.OK, answer.text
        return len(list(csv.DictReader(io.StringIO(answer.text))))

    assert rows(**fits) == 1
    assert rows(**fits_none) == 0
    assert rows(**fits, min_created="1000") == 1
    assert rows(**fits, max_created="1000") == 0


def test_a_file_takes_no_page(api: Api) -> None:
    """A file is of all pages: what belongs to a page is refused by name, as is a filter of another kind."""
    for filters in ({"limit": "5"}, {"starting_after": "x"}, {"group": "gold"}):
        answer = api.client.get("/exports/rewards", params=filters)
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert [each["field"] for each in answer.json()["errors"]] == [*filters]
