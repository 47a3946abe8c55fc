"""What was given back of payments that the company posted itself: told once per key, never more than is left.

What a provider told of is given back there, and its own events say so.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from domain import ids
from domain.errors import Conflict, Missing, TryLater
from domain.facts import COMPANY
from domain.money import format_money
from domain.problems import Problems, listed, quoted
from infra.providers.api.documents import TRANSACTION_REVERSED, TransactionReversed
from infra.rows import fetch
from infra.shown.transactions import SELECT, ShownTransaction, shown_transactions
from infra.stated.payers import lock_names
from infra.stated.products import check_past
from infra.stated.telling import Telling, stated

_UNDONE: Final = "undone"


def state_reversal(telling: Telling, transaction_key: str, given: Mapping[str, Any]) -> tuple[str, bool]:
    """Tell what was given back of a payment; the reversal's key, and whether it is new.

    Raises Missing for a payment nobody knows, Conflict for a provider's and for a key that another reversal has,
    RejectedDocument with every mistake.
    """
    paid = _own_payment(telling, transaction_key)
    key = given.get("key") or f"rev_{uuid.uuid4().hex}"
    event_key = _event_key(key)
    document = TransactionReversed(
        stated_at=telling.now,
        key=key,
        transaction_key=transaction_key,
        customer_key=paid.row.provider_customer_key,
        currency=paid.row.currency,
        amount=given["amount"],
        occurred_at=given.get("created_at") or telling.now,
        line_part=_part_of(paid, given.get("line_key")),
    )
    if (before := stated(telling.connection, event_key)) is not None:
        _check_same(before, document, given)
        return key, False
    _check(telling, paid, given)
    if not telling.say(TRANSACTION_REVERSED, event_key, document):
        raise TryLater("another request tells of a reversal under this key")
    return key, True


def undo_reversal(telling: Telling, transaction_key: str, key: str) -> bool:
    """Say that what was told under a key did not come about; False where that was said before. Raises Missing."""
    _own_payment(telling, transaction_key)
    before = stated(telling.connection, _event_key(key))
    known = None if before is None else msgspec.json.decode(before, type=TransactionReversed)
    if known is None or known.transaction_key != transaction_key:
        raise Missing(f"no reversal of {quoted(transaction_key)} is called {quoted(key)}", "key")
    document = msgspec.structs.replace(known, stated_at=telling.now, undone=True)
    return telling.say(TRANSACTION_REVERSED, _event_key(key, _UNDONE), document)


def _event_key(key: str, *said: str) -> str:
    return ids.derived("said", TRANSACTION_REVERSED, key, *said)


def _own_payment(telling: Telling, key: str) -> ShownTransaction:
    """The payment, with its customer to oneself: what is left of it stays so until the end."""
    rows = fetch(telling.connection, f"{SELECT} where t.key = :key", key=key)
    if not rows:
        raise Missing(f"no transaction is called {quoted(key)}", "key")
    if (provider := rows[0].provider) != COMPANY:
        raise Conflict(f"{quoted(key)} is a payment that {provider} told of; refund it there, and its event counts")
    telling.lock(*lock_names(rows[0].provider_customer_key))
    return shown_transactions(telling.connection, rows, telling.program)[0]


def _part_of(paid: ShownTransaction, line_key: str | None) -> str | None:
    """By what name a credit note would name the line; None: no line is named, or none is called so."""
    found = [shown.told.parts[0] for shown in paid.lines if shown.told.key == line_key]
    return found[0] if found else None


def _check(telling: Telling, paid: ShownTransaction, given: Mapping[str, Any]) -> None:
    problems = Problems()
    line_key, created_at = given.get("line_key"), given.get("created_at")
    check_past(created_at, telling.now, problems)
    if created_at is not None and created_at < paid.row.occurred_at:
        problems.add("created_at", "lies before the payment; say when the money went back")
    lines = [shown.told for shown in paid.lines if line_key is None or shown.told.key == line_key]
    if not lines:
        names = listed([shown.told.key for shown in paid.lines])
        problems.add("line_key", f"there is no line {quoted(str(line_key))} in it; it has {names}")
    left_minor = sum(line.net_minor - line.reversed_minor for line in lines)
    if given["amount"] <= 0:
        problems.add("amount", "must be more than nothing: it is what was given back")
    elif lines and given["amount"] > left_minor:
        left, said = (format_money(each, paid.row.currency) for each in (left_minor, given["amount"]))
        what = "the payment" if line_key is None else "this line"
        problems.add("amount", f"is {said}, and {left} of {what} is left; no more can be given back")
    problems.raise_any()


def _check_same(before: bytes, document: TransactionReversed, given: Mapping[str, Any]) -> None:
    known = msgspec.json.decode(before, type=TransactionReversed)
    same = {"stated_at": known.stated_at}
    if given.get("created_at") is None:
        same["occurred_at"] = known.occurred_at
    if msgspec.structs.replace(document, **same) != known:
        raise Conflict(
            f"reversal {quoted(known.key)} is there already and says otherwise; tell a new one under another key", "key"
        )
