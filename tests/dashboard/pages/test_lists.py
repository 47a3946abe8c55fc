"""Lists on the pages: page by page without a gap, and no more statements for many rows than for few."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import httpx
from sqlalchemy import Engine, event

from dashboard.app import create_app
from infra.clock import system_clock
from infra.embedded import Addresses
from infra.people import create_person
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from infra.sessions import open_for_person
from infra.settings import load_settings
from tests.dashboard.pages.browser import SESSION, Browser
from tests.stage import Stage

#: Each with a link to one thing of its list.
LISTS = {
    "/commissions": "/commissions/cmsn_",
    "/payments": "/payments/stripe",
    "/customers": "/customers/",
    "/products": "/products/sub_",
    "/partners": "/partners/",
    "/product-book": "/product-book/pbook_",
    "/triggers": "/triggers/trg_",
    "/events": "/events/",
}


def _grow(stage: Stage, numbers: range) -> None:
    """As many of everything."""
    for n in numbers:
        stage.product(f"Product {n}", f"prod_{n}")
        stage.partner(f"partner-{n}")
        stage.trigger(f"trg_{n}", "10", rules={"field": "product.name", "op": "is_any_of", "value": [f"Product {n}"]})
    history = []
    for n in numbers:
        history += [
            stripe.customer(f"cus_{n}", customer_key=f"customer-{n}", partner_key=f"partner-{n}"),
            stripe.subscription(f"sub_{n}", customer=f"cus_{n}", items=[item(f"prod_{n}", amount=100)]),
            stripe.invoice_paid(
                f"in_{n}", customer=f"cus_{n}", subscription=f"sub_{n}", lines=[line(f"prod_{n}", 100)]
            ),
        ]
    stage.play(history)


def _things(browser: Browser, path: str, prefix: str) -> tuple[list[str], dict[str, str]]:
    """What a page lists, and where it leads on."""
    sheet = browser.get(path)
    listed = dict.fromkeys(link for link in sheet.links if link.startswith(prefix) and "/approve" not in link)
    ways = {str(found["rel"]): str(found["href"]) for tag, found in sheet.tags if tag == "a" and "rel" in found}
    return [link for link in listed if link != "/triggers/new"], ways


def test_every_list_is_paged_without_a_gap(grace: Browser, stage: Stage) -> None:
    """Older and older, each page shows what the one before did not, until all are seen; and back again."""
    _grow(stage, range(5))
    for path, prefix in LISTS.items():
        whole, none = _things(grace, path, prefix)
        assert len(whole) >= 5, path
        assert not none
        walked, ways = _things(grace, f"{path}?limit=2", prefix)
        assert "prev" not in ways, path
        while "next" in ways:
            listed, ways = _things(grace, ways["next"], prefix)
            walked += listed
        assert walked == whole, path
        back, ways = _things(grace, ways["prev"], prefix)
        assert len(back) == 2
        assert "next" in ways


def test_a_cursor_that_is_none_is_refused_as_a_page(grace: Browser, stage: Stage) -> None:
    """What no list has shown leads to a page that says so, and a size out of bounds as well."""
    for path in LISTS:
        assert "starting_after" in grace.get(f"{path}?starting_after=none", 400).text
        assert "limit" in grace.get(f"{path}?limit=251", 400).text


@contextmanager
def _counted() -> Iterator[list[str]]:
    said: list[str] = []

    def note(*args: object) -> None:
        said.append(str(args[2]))

    event.listen(Engine, "before_cursor_execute", note)
    yield said
    event.remove(Engine, "before_cursor_execute", note)


@asynccontextmanager
async def _application(stage: Stage, redis_url: str, session: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application in this process, where its statements can be counted."""
    url = stage.engine.url.render_as_string(hide_password=False)
    app = create_app(load_settings({"DATABASE_URL": url, "REDIS_URL": redis_url}, env_file=None))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        cookies = {SESSION["manager"]: session}
        async with httpx.AsyncClient(transport=transport, base_url="http://here", cookies=cookies) as client:
            yield client


async def _statements(stage: Stage, redis_url: str, session: str, paths: list[str]) -> dict[str, int]:
    found = {}
    async with _application(stage, redis_url, session) as client:
        for path in paths:
            with _counted() as said:
                answer = await client.get(path)
            assert answer.status_code == httpx.codes.OK, path
            found[path] = len(said)
    return found


def test_many_rows_take_no_more_statements_than_few(engine: Engine, server_addresses: Addresses) -> None:
    """Each page makes the same few statements over thirty of everything as over two."""
    stage = Stage(engine)
    with engine.begin() as connection:
        create_person(connection, "grace@example.com", "a password of some length")
        session = open_for_person(connection, "grace@example.com", system_clock())
    paths = ["/", *LISTS, "/customers/customer-0", "/payments/stripe:in_0", "/partners/partner-0", "/triggers/trg_0"]
    paths += [
        "/products/sub_0",
        "/payments/new",
        "/webhook-endpoints",
        "/webhook-deliveries",
        "/dead-letters",
        "/reconciliations",
        "/commissions/approve",
        "/commissions/pay",
    ]
    _grow(stage, range(2))
    few = anyio.run(_statements, stage, server_addresses.redis_url, session, paths)
    _grow(stage, range(2, 30))
    many = anyio.run(_statements, stage, server_addresses.redis_url, session, paths)
    assert many == few
    assert max(many.values()) <= 45, many
