"""Payments as the company posts them: one each per key, and never another under the same key."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from domain import ids
from domain.errors import Conflict
from domain.money import format_money
from domain.problems import Problems
from infra.providers.api.documents import TRANSACTION_STATED, LineStated, TransactionStated
from infra.stated.payers import company_key_of, is_known, lock_names
from infra.stated.products import check_past
from infra.stated.telling import Telling, stated

#: What begins so is a provider's payment.
_PROVIDERS: Final = ("stripe:", "chargebee:", "api:", "program:")


def state_transaction(telling: Telling, given: Mapping[str, Any]) -> tuple[str, bool, str | None]:
    """Post a payment; its key, whether it is new, and what a person should know of it. Raises Conflict for a key that
    another payment has.
    """
    problems = Problems()
    company_key = company_key_of(telling.connection, given, problems)
    key = given.get("key") or f"txn_{uuid.uuid4().hex}"
    if key.lower().startswith(_PROVIDERS):
        problems.add("key", f'begins with "{key.partition(":")[0]}:", which is for what providers tell; take another')
    lines = _lines(telling, given, problems)
    check_past(given.get("created_at"), telling.now, problems)
    problems.raise_any()
    unknown = not is_known(telling.connection, company_key)
    telling.lock(*lock_names(company_key))
    document = TransactionStated(
        stated_at=telling.now,
        key=key,
        customer_key=company_key,
        currency=given["currency"],
        lines=lines,
        occurred_at=given.get("created_at") or telling.now,
        metadata=given.get("metadata"),
    )
    event_key = ids.derived("said", TRANSACTION_STATED, key)
    if not telling.say(TRANSACTION_STATED, event_key, document):
        _check_same(key, stated(telling.connection, event_key), document, given)
        return key, False, None
    return key, True, f'nobody had spoken of customer "{company_key}" before' if unknown else None


def _check_same(key: str, before: bytes | None, document: TransactionStated, given: Mapping[str, Any]) -> None:
    assert before is not None, "it stood in the way of this one"
    known = msgspec.json.decode(before, type=TransactionStated)
    if given.get("created_at") is None and known.occurred_at == known.stated_at:
        document = msgspec.structs.replace(document, occurred_at=known.occurred_at)
    if msgspec.structs.replace(document, stated_at=known.stated_at) != known:
        raise Conflict(
            f'transaction "{key}" is there already and says otherwise; post a new one under another key', "key"
        )


def _lines(telling: Telling, given: Mapping[str, Any], problems: Problems) -> tuple[LineStated, ...]:
    amount: int = given["amount"]
    if amount < 0:
        given_back = "what was given back is told by POST /transactions/{key}/reversals"
        problems.add("amount", f"must not be negative: a payment is what was paid; {given_back}")
    if given.get("lines") is None:
        line = {"amount": amount, "subscription_key": given.get("subscription_key")}
        return (_line(telling, line, "", problems),)
    if given.get("subscription_key") is not None:
        problems.add("subscription_key", "belongs to the lines where there are lines; name it on each")
    listed: Sequence[Mapping[str, Any]] = given["lines"]
    if not listed:
        problems.add("lines", "must not be empty; leave it out for a payment of one line")
    lines = tuple(_line(telling, line, f"lines[{place}].", problems) for place, line in enumerate(listed))
    total = sum(line.amount for line in lines)
    if lines and total != amount:
        said = [format_money(each, given["currency"]) for each in (total, amount)]
        problems.add("lines", f"come to {said[0]} together, and amount is {said[1]}; they must be equal")
    return lines


def _line(telling: Telling, given: Mapping[str, Any], path: str, problems: Problems) -> LineStated:
    if path and given["amount"] < 0:
        problems.add(f"{path}amount", "must not be negative")
    product = given.get("external_product_key")
    if (book_key := given.get("product_book_key")) is not None:
        book = telling.program.catalogue
        entry = book.entries.get(book_key) or book.match((), book_key)
        if entry is None:
            problems.add(
                f"{path}product_book_key", f'no product book entry has the key "{book_key}"; see /product_book'
            )
        elif product is not None and book.match((), product) != entry:
            problems.add(
                f"{path}external_product_key", "leads to another product than product_book_key; give one of them"
            )
        else:
            product = product or entry.external_key or entry.key
    return LineStated(
        amount=given["amount"],
        subscription_key=given.get("subscription_key"),
        product_key=product,
        quantity=given.get("quantity"),
    )
