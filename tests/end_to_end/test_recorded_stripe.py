"""Every recorded Stripe event, signed and delivered to the real receiver, worked, and compared with its manifest.

What is compared is what stands in the database; where a manifest leaves something open, or a later recording of the
same object says otherwise, the table below says what was decided.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra.database import make_engine
from infra.embedded import Addresses
from tests.conftest import REPOSITORY, new_database
from tests.stage import Stage
from tests.webhooks.receiver_process import running

FOLDER = REPOSITORY.parent / "shared" / "payloads" / "stripe"
ABSENT = "recorded payloads are not part of this checkout (../shared/payloads/stripe)"

#: DESIGN section 4 where a manifest leaves the status open.
POLICY = {"incomplete": "none", "unpaid": "churned", "paused": "churned", "active": "active"}

#: Recordings that another recording of the same object overrules, and what was decided.
OVERRULED = {
    "invoice.voided--2020-03-02--sync-engine--syncengine.json": "was paid by another recording: what was paid stays",
    "customer.subscription.trial_will_end--2025-10-29.clover--pay--trialing.json": "had ended by then for good",
}

#: Events that wait, and for what: the recording holds the refund or the dispute, but not the payment.
WAITING = ("charge.refunded", "charge.dispute", "credit_note")


def manifest() -> list[Any]:
    """One parameter per recorded file; a single skipped one where there are none."""
    listing = FOLDER / "manifest.json"
    if not listing.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason=ABSENT), id="absent")]
    return [pytest.param(entry, id=entry["file"]) for entry in json.loads(listing.read_bytes())["files"]]


def of_kind(*kinds: str) -> list[Any]:
    """The files about these kinds of object whose ids are their own."""
    return [
        one
        for one in manifest()
        if one.id == "absent" or (one.values[0]["expect"]["kind"] in kinds and not one.values[0].get("placeholder_ids"))
    ]


@dataclass
class Told:
    """What became of all recordings, delivered to one program."""

    stage: Stage
    #: By file: HTTP status and answer.
    answers: dict[str, tuple[int, dict[str, str]]]

    def ask(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.stage.ask(query, **parameters)


@pytest.fixture(scope="module")
def told(
    server_url: str, template_database: str, server_addresses: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """Everything delivered in the manifest's order, and worked until nothing is due."""
    folder = tmp_path_factory.mktemp("recorded")
    with new_database(server_url, template_database) as url:
        with running(folder, DATABASE_URL=url, REDIS_URL=server_addresses.redis_url) as receiver:
            answers = {}
            for parameter in manifest():
                answer = receiver.deliver((FOLDER / parameter.id).read_bytes())
                answers[parameter.id] = (answer.status_code, answer.json())
        engine = make_engine(url, application_name="tests", pool_size=4, statement_timeout_s=60)
        stage = Stage(engine)
        stage.drainer.sweep()
        yield Told(stage, answers)
        engine.dispose()


@pytest.mark.parametrize("entry", manifest())
def test_it_is_accepted_and_worked(told: Told, entry: Any) -> None:
    """Believed, stored and answered with 200; none is dead, and what waits says for what."""
    assert told.answers[entry["file"]] == (200, {"status": "accepted"})
    event = json.loads((FOLDER / entry["file"]).read_bytes())
    ((state, reason),) = told.ask("select state, reason from inbox where event_key = :key", key=event["id"])
    assert state in ("processed", "ignored", "waiting")
    if state == "waiting":
        assert entry["event_type"].startswith(WAITING)
        assert "known" in reason
    assert (reason is None) == (state == "processed")


@pytest.mark.parametrize("entry", of_kind("invoice"))
def test_recorded_invoices_are_transactions_to_the_cent(told: Told, entry: Any) -> None:
    """A paid one is a transaction of its customer, currency, lines and total; any other is none."""
    expected = entry["expect"]
    found = told.ask(
        """
        select t.provider_customer_key, t.currency, t.tax_minor, sum(l.gross_minor - l.discount_minor)::bigint,
            sum(l.discount_minor)::bigint,
            coalesce(array_agg(distinct l.product_key) filter (where l.product_key is not null), '{}')
        from transactions t left join transaction_lines l on l.transaction_key = t.key
        where t.key = 'stripe:' || :key group by 1, 2, 3
        """,
        key=expected["invoice"],
    )
    if expected["money"] is None:
        assert bool(found) == (entry["file"] in OVERRULED)
        return
    ((customer, currency, tax, net, discount, products),) = found
    assert (customer, currency) == (expected["customer"], expected["currency"])
    assert (net or 0) + tax == expected["totals"]["total"] == expected["money"]["amount"]
    assert (discount or 0) == expected["totals"].get("discount", 0)
    assert set(products) == {line["product"] for line in expected["lines"] if line["product"]}


@pytest.mark.parametrize("entry", of_kind("subscription"))
def test_recorded_subscriptions_are_products(told: Told, entry: Any) -> None:
    """Each of the event's items is a product with the status it had then, and its customer's."""
    expected = entry["expect"]
    at = json.loads((FOLDER / entry["file"]).read_bytes())["created"]
    rows = told.ask(
        """
        select p.product_key, p.provider_customer_key, (
            select h.status from product_history h where h.provider = p.provider and h.product_key = p.product_key
                and h.subscription_key = p.subscription_key
                and h.effective_at <= greatest(to_timestamp(:at), to_timestamp(coalesce(:ended, 0)))
            order by h.effective_at desc limit 1)
        from products p where p.subscription_key = :key
        """,
        key=expected["subscription"],
        at=at,
        ended=expected.get("ended_at"),
    )
    statuses = {product: status for product, _, status in rows}
    status = expected["status"] or POLICY[expected["raw_status"]]
    if entry["file"] in OVERRULED:
        status = "churned"
    assert {product: statuses.get(product) for product in statuses if product in _products(expected)} == dict.fromkeys(
        _products(expected), status
    )
    assert {customer for _, customer, _ in rows} == {expected["customer"]}


def _products(expected: Any) -> set[str]:
    return {each["product"] for each in expected["items"]}


@pytest.mark.parametrize("entry", of_kind("charge", "dispute", "credit_note"))
def test_recorded_reversals_are_recorded(told: Told, entry: Any) -> None:
    """What was taken back stands in the books of reversals; an inquiry does not."""
    expected = entry["expect"]
    key = expected.get("credit_note") or expected.get("dispute") or expected["charge"]
    amount = expected.get("total") or expected.get("amount_refunded_total") or -expected["balance_transactions_net"]
    found = told.ask("select amount_minor, undone_minor, currency from reversals where reversal_key = :key", key=key)
    assert found == ([(amount, 0, expected["currency"])] if amount else [])


@pytest.mark.parametrize("entry", of_kind("checkout"))
def test_recorded_sessions_count_once(told: Told, entry: Any) -> None:
    """Without an invoice a session is a transaction; with one it is none."""
    expected = entry["expect"]
    found = told.ask("select currency from transactions where key = 'stripe:' || :key", key=expected["session"])
    alone = expected["mode"] == "payment" and expected["invoice"] is None
    assert found == ([(expected["currency"],)] if alone else [])


@pytest.mark.parametrize("entry", of_kind("customer"))
def test_recorded_customers_are_known(told: Told, entry: Any) -> None:
    """Each is there, and deleted where a recording says so."""
    found = told.ask(
        "select deleted from provider_customers where provider_customer_key = :key", key=entry["expect"]["customer"]
    )
    assert found == [(entry["expect"]["deleted"],)]


@pytest.mark.parametrize("entry", of_kind("product", "price"))
def test_recorded_descriptions_are_in_the_book(told: Told, entry: Any) -> None:
    """A product has its entry under the name it was given, a price leads to its product's entry."""
    expected = entry["expect"]
    entries = "select key from product_book where external_key = :product"
    ((key,),) = told.ask(entries, product=expected["product"])
    if expected["kind"] == "price":
        assert told.ask("select key from product_book_aliases where alias = :key", key=expected["price"]) == [(key,)]
        return
    last = "select name from product_book_names where key = :key order by version desc limit 1"
    assert told.ask(last, key=key) == [(expected["name"],)]


def test_told_again_nothing_changes(told: Told) -> None:
    """A replay of all recordings ends in the same books."""
    before = told.stage.books()
    told.stage.replay()
    assert told.stage.books() == before
