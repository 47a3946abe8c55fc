"""A walk of every partner route as one partner, past everything that belongs to another: nothing of it may show.

The other partner's every field holds a canary, or a number found nowhere else.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import event

from domain import ids
from domain.windows import epoch_ms
from infra.access import create_member_token
from infra.partner_sight import Sight
from infra.program import ProgramReader
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from tests.dashboard.running import Api, DashboardProcess
from tests.stage import LONG_AGO, Stage

CANARY = "zqcanary"
BOB = f"{CANARY}-bob"
#: What bob's product costs, and what he earns on it.
PRICE, EARNED = 432_100, 43_210
#: How the keys begin of what is ada's.
OWN = ("cus_1", "cus_2", "cus_3", "sub_1", "sub_2", "sub_3", "stripe:in_1", "stripe:in_2")
INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
ABSENT = "nothing-of-this-key"
#: What somebody who looks for more than is theirs would ask for.
ASKED_FOR = ("partner_key", "customer_key", "member_key", "trigger_key", "provider", "q", "include", "expand", "all")


@pytest.fixture
def town(api: Api, stage: Stage) -> Stage:
    """ada has acme and beta, and sold each the Inbox; bob sold acme Live Chat, and has a customer of his own.

    Nobody has shared, which bought of ada, of bob and of nobody. What beta paid is older than acme's and told later.
    """
    for partner, name in (("ada", "Ada"), (BOB, f"{CANARY} GmbH")):
        mark = "plain" if partner == "ada" else CANARY
        api.post(
            "/partnerships",
            {
                "partner_key": partner,
                "name": name,
                "email": f"mail@{mark}.example",
                "group": mark,
                "tags": [mark],
                "metadata": {mark: mark},
                "members": [{"member_key": f"{mark}-member", "name": mark, "email": f"member@{mark}.example"}],
            },
        )
    stage.product("Inbox", "prod_inbox")
    stage.product("Live Chat", "prod_chat")
    stage.product(f"{CANARY} Suite", f"prod_{CANARY}")
    everybody = {"description": "10 % of everything"}
    stage.trigger(f"trg_{CANARY}", "10", name=f"{CANARY} trigger", rules=_any(), offer=everybody)
    group = {"all": [_any(), {"field": "partner.group", "op": "is_any_of", "value": [CANARY]}]}
    stage.trigger("trg_group", "1", rules=group, offer={"description": f"{CANARY} offer"})
    quiet = {"all": [INBOX, {"field": "partner.group", "op": "is_any_of", "value": ["plain"]}]}
    stage.trigger(f"trg_{CANARY}_quiet", "2", name=f"{CANARY} without an offer", rules=quiet)
    stage.product("Surveys", "prod_surveys")
    stage.play(_history())
    stage.play([*_of_beta(), *_of_shared()])
    return stage


def _any() -> dict[str, Any]:
    return {"field": "product.name", "op": "is_set"}


def _history() -> list[dict[str, Any]]:
    secret = f"sub_{CANARY}"
    return [
        stripe.customer("cus_1", customer_key="acme", partner_key="ada", name="Acme", at=LONG_AGO),
        stripe.subscription("sub_1", customer="cus_1", items=[item("prod_inbox", amount=9900)]),
        stripe.subscription(
            secret, customer="cus_1", metadata={"partner_key": BOB}, items=[item("prod_chat", amount=PRICE)]
        ),
        stripe.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", 9900)]),
        stripe.invoice_paid(f"in_{CANARY}", customer="cus_1", subscription=secret, lines=[line("prod_chat", PRICE)]),
        stripe.customer(
            f"cus_{CANARY}", customer_key=f"{CANARY}-corp", partner_key=BOB, name=CANARY, email=f"x@{CANARY}.example"
        ),
        stripe.subscription(f"own_{CANARY}", customer=f"cus_{CANARY}", items=[item(f"prod_{CANARY}", amount=PRICE)]),
        stripe.invoice_paid(
            f"in_2_{CANARY}",
            customer=f"cus_{CANARY}",
            subscription=f"own_{CANARY}",
            lines=[line(f"prod_{CANARY}", PRICE)],
        ),
    ]


def _of_beta() -> list[dict[str, Any]]:
    earlier = stripe.EXAMPLE_AT - timedelta(hours=2)
    return [
        stripe.customer("cus_2", customer_key="beta", partner_key="ada", name="Beta", at=LONG_AGO + timedelta(days=9)),
        stripe.subscription("sub_2", customer="cus_2", items=[item("prod_inbox", amount=9900)], at=earlier),
        stripe.invoice_paid(
            "in_2", customer="cus_2", subscription="sub_2", lines=[line("prod_inbox", 19_900)], paid_at=earlier
        ),
    ]


def _of_shared() -> list[dict[str, Any]]:
    sold = {
        "sub_3": ({"partner_key": "ada"}, "prod_inbox", 9900),
        f"sub_3_{CANARY}": ({"partner_key": BOB}, "prod_chat", PRICE),
        f"sub_3_{CANARY}_nobody": ({}, "prod_surveys", PRICE),
    }
    return [
        stripe.customer("cus_3", customer_key="shared", name="Shared", at=LONG_AGO),
        *(
            stripe.subscription(key, customer="cus_3", metadata=metadata, items=[item(product, amount=price)])
            for key, (metadata, product, price) in sold.items()
        ),
    ]


@pytest.fixture
def ada(dashboard: DashboardProcess, town: Stage) -> Iterator[Api]:
    """A member of ada's."""
    yield from _member(dashboard, town, "ada", "plain-member")


@pytest.fixture
def bob(dashboard: DashboardProcess, town: Stage) -> Iterator[Api]:
    """A member of bob's."""
    yield from _member(dashboard, town, BOB, f"{CANARY}-member")


def _member(dashboard: DashboardProcess, town: Stage, partner: str, member: str) -> Iterator[Api]:
    with town.engine.begin() as connection:
        _, token = create_member_token(connection, partner, member)
    caller = Api(dashboard.url, token=token)
    yield caller
    caller.client.close()


def _foreign_keys(town: Stage) -> list[str]:
    """Every key of something that is bob's, or that only managers know."""
    rows = town.ask("""
        select key from commissions where partner_key <> 'ada'
        union select key from customers where customer_key not in ('acme', 'beta', 'shared')
        union select customer_key from customers where customer_key not in ('acme', 'beta', 'shared')
        union select key from triggers
        union select provider_customer_key from provider_customers union select subscription_key from products
        union select key from transactions union select partner_key from partners where partner_key <> 'ada'
        order by 1
    """)
    return [row[0] for row in rows]


def _paths(api: Api) -> dict[str, list[str]]:
    """Every path of the API with its verbs, as its own description lists them."""
    described = httpx.get(str(api.client.base_url.join("/api/openapi.json"))).json()["paths"]
    return {path.removeprefix("/api/v2"): list(verbs) for path, verbs in described.items()}


def _walk(ada: Api, town: Stage) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every partner route with every key and cursor there is, foreign and absent ones as well as ada's own."""
    own = [row[0] for row in town.ask("select key from commissions where partner_key = 'ada' order by 1")]
    own += [row[0] for row in town.ask("select key from customers where customer_key in ('acme', 'beta', 'shared')")]
    keys = [*_foreign_keys(town), *own, "acme", "shared", ABSENT]
    for path in sorted(path for path in _paths(ada) if path.startswith("/partner/")):
        if "{key}" in path:
            yield from ((path.replace("{key}", key), {}) for key in keys)
            continue
        yield path, {}
        for options in ({"limit": 1}, {"limit": 250}, {"order_by": "created_at"}, {"reward_status": "pending"}):
            yield path, options
        yield from ((path, {name: value}) for name in ASKED_FOR for value in (BOB, "true"))
        for key in keys:
            yield path, {"starting_after": key}
            yield path, {"ending_before": key, "limit": 1}


def _asked(caller: Api, path: str, query: dict[str, Any]) -> tuple[int, str, str]:
    """Status, body and the headers that are not of this one answer alone."""
    answer = caller.client.get(path, params=query)
    changing = ("date", "x-request-id", "request-id", "content-length")
    kept = sorted((name, value) for name, value in answer.headers.items() if name not in changing)
    return answer.status_code, answer.text, str(kept)


def test_nothing_of_another_partner_shows_anywhere(ada: Api, town: Stage) -> None:
    """No canary, no key, no amount of bob's is in any status, body or header, whatever is asked for."""
    secrets = {CANARY, str(PRICE), str(EARNED), "4321.00", "4,321"}
    secrets |= {key for key in _foreign_keys(town) if not key.startswith(OWN)}
    statuses = set()
    for path, query in _walk(ada, town):
        status, body, headers = _asked(ada, path, query)
        statuses.add(status)
        told = {secret for secret in secrets if secret in body + headers}
        assert not told, (path, query, told)
    assert statuses == {200, 400, 404}


def test_what_is_anothers_is_answered_like_what_is_not_there(ada: Api, town: Stage) -> None:
    """Same status, same bytes, same headers for bob's customers and commissions as for a key nobody ever had."""
    for key in _foreign_keys(town):
        path = "/partner/customers/{}/products"
        assert _asked(ada, path.format(key), {}) == _asked(ada, path.format(ABSENT), {})
        for listed in ("/partner/rewards", "/partner/customers"):
            for cursor in ("starting_after", "ending_before"):
                assert _asked(ada, listed, {cursor: key}) == _asked(ada, listed, {cursor: ABSENT})
    assert ada.get(f"/partner/customers/{ABSENT}/products", 404)["errors"][0]["field"] == "key"


def test_the_same_statements_run_for_anothers_customer_and_for_none(town: Stage) -> None:
    """How long an answer takes tells nothing either: both ways are one way, to the last statement."""
    counts = []
    for named in (f"{CANARY}-corp", ABSENT):
        with town.engine.connect() as connection:
            program = ProgramReader(town.settings).read(connection)
            said: list[str] = []
            event.listen(connection, "before_cursor_execute", lambda *args: said.append(args[2]))  # noqa: B023
            assert Sight(connection, program, "ada", LONG_AGO).products(named) is None
            counts.append(said)
    assert counts[0] == counts[1]
    assert len(counts[0]) == 2


def test_a_view_stays_the_same_whatever_the_other_side_does(ada: Api, api: Api, town: Stage) -> None:
    """Not a byte of ada's answers moves when bob is renamed, regrouped, repriced, declined, and gains customers.

    Nor when what he sold becomes a third partner's, and what nobody sold becomes his.
    """
    walk = [(path, query) for path, query in _walk(ada, town) if CANARY not in str((path, query))]
    before = [_asked(ada, path, query) for path, query in walk]
    api.patch(f"/partnerships/{BOB}", {"name": "Robert", "group": "other", "tags": []})
    for reward in api.get("/rewards", partner_key=BOB)["items"]:
        api.patch(f"/rewards/{reward['key']}", {"reward_status": "declined", "decline_reason": CANARY})
    api.post("/partnerships", {"partner_key": "aaron", "name": "Aaron"})
    for key, partner in ((f"sub_3_{CANARY}", "aaron"), (f"sub_3_{CANARY}_nobody", BOB)):
        api.patch(f"/products/{key}", {"partner_key": partner})
    town.drainer.run()
    town.play(
        [
            stripe.subscription(
                f"sub_{CANARY}",
                customer="cus_1",
                metadata={"partner_key": BOB},
                items=[item("prod_chat", amount=5)],
                event_key="evt_repriced",
            ),
            stripe.customer("cus_4", customer_key="third", partner_key=BOB),
            stripe.invoice_paid(
                "in_7", customer="cus_1", subscription=f"sub_{CANARY}", lines=[line("prod_chat", PRICE)]
            ),
        ]
    )
    assert [_asked(ada, path, query) for path, query in walk] == before


def test_a_partner_sees_what_is_theirs(ada: Api, bob: Api, town: Stage) -> None:
    """The offers, commission and customer that are ada's, and every product of acme's; bob sees his own side of it."""
    assert [offer["description"] for offer in ada.get("/partner/offers")["items"]] == ["10 % of everything"]
    assert len(bob.get("/partner/offers")["items"]) == 2
    rewards = ada.get("/partner/rewards")["items"]
    assert sorted((each["amount"], each["product"], each["customer_key"]) for each in rewards) == [
        *((198, "Inbox", "acme"), (398, "Inbox", "beta"), (990, "Inbox", "acme"), (1990, "Inbox", "beta"))
    ]
    reward = rewards[0]
    assert set(reward) == {
        *("key", "amount", "currency", "reward_status", "decline_reason", "arithmetic", "offer", "customer_key"),
        *("product", "member_key", "earned_at", "due_at", "adjusts"),
    }
    customers = {each["customer_key"]: each for each in ada.get("/partner/customers")["items"]}
    assert {key: each["name"] for key, each in customers.items()} == {
        "acme": "Acme",
        "beta": "Beta",
        "shared": "Shared",
    }
    customer = customers["acme"]
    for key in ("acme", customer["key"]):
        products = {each["product"]: each for each in ada.get(f"/partner/customers/{key}/products")["items"]}
        assert set(products) == {"Inbox", "Live Chat"}
        assert set(products["Live Chat"]) == {"product", "status", "purchased_on"}
        assert (products["Inbox"]["amount"], products["Inbox"]["partner_key"]) == (9900, "ada")
    theirs = bob.get("/partner/customers")["items"]
    assert {each["customer_key"] for each in theirs} == {"acme", "shared", f"{CANARY}-corp"}
    mirrored = {each["product"]: each for each in bob.get("/partner/customers/acme/products")["items"]}
    assert (mirrored["Live Chat"]["amount"], set(mirrored["Inbox"])) == (
        PRICE,
        {"product", "status", "purchased_on"},
    )


def test_order_is_that_of_what_is_their_own(ada: Api, town: Stage) -> None:
    """Commissions by when they were earned, whenever they were told of; customers by ada's own first claim."""
    rewards = ada.get("/partner/rewards")["items"]
    assert [each["customer_key"] for each in rewards] == ["acme", "acme", "beta", "beta"]
    assert [each["earned_at"] for each in rewards] == sorted((each["earned_at"] for each in rewards), reverse=True)
    customers = ada.get("/partner/customers")["items"]
    assert [each["customer_key"] for each in customers] == ["shared", "beta", "acme"]
    claimed = town.ask(
        "select coalesce(effective_from, learnt_at) from claims where partner_key = 'ada' order by 1 desc"
    )
    assert [each["since"] for each in customers] == [epoch_ms(at) for (at,) in claimed]


def test_nothing_follows_the_last_of_their_own(ada: Api, town: Stage) -> None:
    """A page that just holds all of ada's says that nothing follows, however much more there is of others."""
    for listed in ("/partner/rewards", "/partner/customers"):
        count = len(ada.get(listed, limit=250)["items"])
        assert [ada.get(listed, limit=limit)["has_more"] for limit in (count - 1, count)] == [True, False]


def test_what_others_sold_and_what_nobody_sold_read_alike(ada: Api, town: Stage) -> None:
    """The same three columns, and not one of them empty for the one and not for the other."""
    rows = {each["product"]: each for each in ada.get("/partner/customers/shared/products")["items"]}
    others, nobody_s = rows["Live Chat"], rows["Surveys"]
    assert {**others, "product": "Surveys"} == nobody_s
    assert set(others) == {"product", "status", "purchased_on"}
    assert len(others["purchased_on"]) == len("2026-04-01")
    assert rows["Inbox"]["amount"] == 9900


def test_what_became_anothers_from_the_beginning_is_gone(ada: Api, api: Api, town: Stage) -> None:
    """Of a customer who turns out to have been bob's all along nothing is left, not even that it was taken back."""
    walk = [(path, query) for path, query in _walk(ada, town) if path != "/partner/offers"]
    api.patch("/customers/beta", {"partner_key": BOB, "attributed_at": epoch_ms(LONG_AGO - timedelta(days=60))})
    town.drainer.run()
    key = ids.customer_key("beta")
    moved = town.ask(
        "select partner_key, sum(amount_minor)::int from commissions where customer = :key group by 1", key=key
    )
    assert dict(moved) == {"ada": 0, BOB: 2189}
    for path, query in walk:
        _, body, _ = _asked(ada, path, query)
        assert "beta" not in body.lower(), (path, query)
    assert _asked(ada, "/partner/customers/beta/products", {}) == _asked(
        ada, f"/partner/customers/{ABSENT}/products", {}
    )


def test_customers_are_paged_by_what_is_their_partners_own(bob: Api, town: Stage) -> None:
    """Pages of one, forwards and back, join up to the whole list."""
    town.play([stripe.customer(f"cus_{n}", customer_key=f"more-{n}", partner_key=BOB) for n in range(10, 13)])
    whole = [each["key"] for each in bob.get("/partner/customers", limit=250)["items"]]
    assert len(whole) == 6
    walked: list[str] = []
    page = bob.get("/partner/customers", limit=2)
    while True:
        walked += [each["key"] for each in page["items"]]
        if not page["has_more"]:
            break
        page = bob.get("/partner/customers", limit=2, starting_after=walked[-1])
    assert walked == whole
    assert [each["key"] for each in bob.get("/partner/customers", limit=2, ending_before=whole[3])["items"]] == whole[
        1:3
    ]


def test_credentials_of_one_side_open_nothing_of_the_other(
    ada: Api, api: Api, nobody: Api, town: Stage, redis_url: str
) -> None:
    """A partner on every manager route, a manager on every partner route, nobody anywhere: 401 in the same words."""
    for path, verbs in _paths(api).items():
        asked = path.replace("{key}", "acme").replace("{id}", "1").replace("{token}", "x")
        callers = (api, nobody) if path.startswith("/partner/") else (ada, nobody)
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()  # so many strangers from one address would be asked to wait
        for verb in verbs:
            answers = [caller.client.request(verb, asked, json={}) for caller in callers]
            assert [answer.status_code for answer in answers] == [401, 401], (verb, path)
            assert answers[0].json() == answers[1].json()


def test_a_decline_reason_is_what_its_partner_reads(ada: Api, api: Api, town: Stage) -> None:
    """It and the state are shown to whose commission it is."""
    reward = next(each for each in ada.get("/partner/rewards")["items"] if each["amount"] == 990)
    api.patch(f"/rewards/{reward['key']}", {"reward_status": "declined", "decline_reason": "Your own company"})
    (declined,) = ada.get("/partner/rewards", reward_status="declined")["items"]
    assert (declined["decline_reason"], declined["amount"]) == ("Your own company", 990)
