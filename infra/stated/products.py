"""Products as the company states them, and whose sale any product is. What a provider bills is its own to say."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from domain import ids
from domain.catalogue import Catalogue, Entry
from domain.customers import Attribution
from domain.errors import Conflict, Rejected
from domain.facts import COMPANY, ProductStatus, SubscriptionSeen
from domain.known import ProductKey
from domain.near_misses import near_miss
from domain.problems import Problems
from domain.products import in_order
from infra.ledger.attributions import load_sellers
from infra.ledger.customer_names import load_names
from infra.ledger.shapes import snapshot_of
from infra.providers.api.documents import PRODUCT_CLAIMED, PRODUCT_STATED, ProductClaimed, ProductStated
from infra.rows import fetch
from infra.shown.products import products_called, the_product_called
from infra.stated.payers import company_key_of, lock_names
from infra.stated.sales import NOTHING_NEW, said_of_sale
from infra.stated.telling import Telling, event_key_of, later_than, stated

#: What the company may say of a product that it bills itself; of others only whose sale they are.
_ITS_OWN: Final = ("status", "amount", "currency", "quantity")
#: Clocks differ; more than this in the future is a mistake.
_AHEAD_MAX: Final = timedelta(minutes=5)


def state_product(telling: Telling, given: Mapping[str, Any]) -> tuple[ProductKey, bool]:
    """State that a customer has a product; which, and whether that is new. Raises Conflict where the key is taken."""
    problems = Problems()
    company_key = company_key_of(telling.connection, given, problems)
    entry = _entry(telling, str(given["product_book_key"]), problems)
    sale = said_of_sale(given, None, telling.program, problems)
    _check_money(given, problems)
    check_past(given.get("created_at"), telling.now, problems)
    problems.raise_any()
    assert entry is not None
    subscription = str(given["external_subscription_key"])
    telling.lock(f"{COMPANY}:subscription:{subscription}", *lock_names(company_key))
    document = ProductStated(
        stated_at=telling.now,
        subscription_key=subscription,
        customer_key=company_key,
        product_key=entry.external_key or entry.key,
        status=given.get("status") or ProductStatus.ACTIVE.value,
        effective_at=given.get("created_at") or telling.now,
        amount=given.get("amount"),
        currency=given.get("currency"),
        quantity=given.get("quantity") or 1,
        partner_key=sale.partner_key,
        member_key=sale.member_key,
        attributed_at=given.get("created_at"),
    )
    place = (COMPANY, subscription, document.product_key)
    event_key, before = _first_word(telling, document)
    if before is not None and _is_repeat(before, document, given):
        return place, False
    if before is not None:
        raise _taken(place)
    _check_free(telling, document)
    if entry.key in _archived(telling):
        raise Rejected(
            "is archived, so it is sold no more; name another entry, or take it back first", "product_book_key"
        )
    telling.say(PRODUCT_STATED, event_key, document)
    return place, True


def _first_word(telling: Telling, document: ProductStated) -> tuple[str, ProductStated | None]:
    """The key of the statement that there is such a product, and what it said if it was made.

    The first product stated on a subscription has the key that was the subscription's when that could have only one.
    Raises Conflict for a further product of another customer.
    """
    subscription, product = document.subscription_key, document.product_key
    for names in ((subscription,), (subscription, product)):
        event_key = ids.derived("said", PRODUCT_STATED, *names)
        if (body := stated(telling.connection, event_key)) is None:
            break
        known = msgspec.json.decode(body, type=ProductStated)
        if known.product_key == product:
            return event_key, known
        if known.customer_key != document.customer_key:
            whose = f'"{subscription}" is a subscription of customer "{known.customer_key}"'
            raise Conflict(f"{whose}; take another key for another customer", "external_subscription_key")
    return event_key, None


def _is_repeat(known: ProductStated, document: ProductStated, given: Mapping[str, Any]) -> bool:
    if given.get("created_at") is None and known.effective_at == known.stated_at:
        document = msgspec.structs.replace(document, effective_at=known.effective_at)
    return msgspec.structs.replace(document, stated_at=known.stated_at) == known


def _check_free(telling: Telling, document: ProductStated) -> None:
    """What a provider bills has only the products that it says."""
    subscription, product = document.subscription_key, document.product_key
    for place in products_called(telling.connection, subscription):
        if place[1] == subscription and (place[0] != COMPANY or place[2] == product):
            raise _taken(place)


def _taken(place: ProductKey) -> Conflict:
    provider, subscription, product = place
    name = ids.product_key_of(subscription, product)
    who = "the company itself" if provider == COMPANY else provider.capitalize()
    return Conflict(f'"{subscription}" is product {name} already, told of by {who}', "external_subscription_key")


def entry_called(book: Catalogue, key: str) -> Entry | None:
    """The entry with this key of ours, or this id of a provider's."""
    return book.entries.get(key) or book.match((), key)


def _entry(telling: Telling, key: str, problems: Problems) -> Entry | None:
    book = telling.program.catalogue
    entry = entry_called(book, key)
    if entry is None:
        hint = near_miss(key, sorted([*book.entries, *book.by_external_key]))
        problems.add("product_book_key", hint or f'no product book entry has the key "{key}"; see /product_book')
    return entry


def _archived(telling: Telling) -> set[str]:
    return {row.key for row in fetch(telling.connection, "select key from product_book where archived")}


def _check_money(given: Mapping[str, Any], problems: Problems) -> None:
    if (amount := given.get("amount")) is not None:
        if amount < 0:
            problems.add("amount", "is what one period costs, in minor units, and not negative")
        if given.get("currency") is None:
            problems.add("currency", "is required with amount")


def check_past(moment: datetime | None, now: datetime, problems: Problems) -> None:
    """What happened has happened."""
    if moment is not None and moment > now + _AHEAD_MAX:
        problems.add("created_at", "lies in the future; say when it happened")


def change_product(telling: Telling, key: str, given: Mapping[str, Any]) -> tuple[ProductKey, bool]:
    """Say how a product is from now on, or whose sale it is. Raises Missing; Rejected for what others have to say."""
    place = the_product_called(telling.connection, key)
    return (_change_own if place[0] == COMPANY else _claim)(telling, place, given)


def _change_own(telling: Telling, place: ProductKey, given: Mapping[str, Any]) -> tuple[ProductKey, bool]:
    _, subscription, product = place
    telling.lock(f"{COMPANY}:subscription:{subscription}")
    last = _last_stated(telling, subscription, product)
    item = last.items[0]
    now = {
        "status": last.status.value,
        "amount": item.amount_minor,
        "currency": last.currency,
        "quantity": item.quantity,
    }
    wanted = {**now, **{name: given[name] for name in _ITS_OWN if name in given}}
    problems = Problems()
    _check_money(wanted, problems)
    if wanted["status"] is None:
        problems.add("status", "must be trial, active or churned")
    sale = said_of_sale(given, _seller(telling, place, last.provider_customer_key), telling.program, problems)
    problems.raise_any()
    if wanted == now and sale == NOTHING_NEW:
        return place, False
    moment = later_than(telling.now, (last.source.occurred_at, last.effective_at))
    document = ProductStated(
        stated_at=moment,
        subscription_key=subscription,
        customer_key=last.provider_customer_key,
        product_key=product,
        effective_at=moment,
        partner_key=sale.partner_key,
        member_key=sale.member_key,
        **wanted,
    )
    telling.say(PRODUCT_STATED, event_key_of(PRODUCT_STATED, document), document)
    return place, True


def _last_stated(telling: Telling, subscription: str, product: str) -> SubscriptionSeen:
    rows = fetch(
        telling.connection,
        "select * from subscription_snapshots where provider = :provider and subscription_key = :key",
        provider=COMPANY,
        key=subscription,
    )
    return in_order(seen for row in rows if (seen := snapshot_of(row)).items[0].product_key == product)[-1]


def _seller(telling: Telling, place: ProductKey, owner: str | None) -> Attribution | None:
    """Whose sale a product is now."""
    names = load_names(telling.connection, [(place[0], owner or "")])
    customer = names.customers.get((place[0], owner or ""))
    return load_sellers(telling.connection, {place: customer}, telling.program.lookback, telling.now)[place]


def _claim(telling: Telling, place: ProductKey, given: Mapping[str, Any]) -> tuple[ProductKey, bool]:
    provider, subscription, product = place
    problems = Problems()
    for name in _ITS_OWN:
        if name in given:
            problems.add(name, f"is {provider.capitalize()}'s to say: change it there, and it is told of here")
    rows = fetch(
        telling.connection,
        "select provider_customer_key from products where provider = :p and subscription_key = :s and product_key = :k",
        p=provider,
        s=subscription,
        k=product,
    )
    owner = rows[0].provider_customer_key
    sale = said_of_sale(given, _seller(telling, place, owner), telling.program, problems)
    problems.raise_any()
    if sale.partner_key is None:
        return place, False
    telling.lock(ids.provider_customer_subject(provider, owner or ""))
    document = ProductClaimed(
        stated_at=telling.now,
        provider=provider,
        subscription_key=subscription,
        product_key=product,
        provider_customer_key=owner,
        partner_key=sale.partner_key,
        member_key=sale.member_key,
    )
    telling.say(PRODUCT_CLAIMED, event_key_of(PRODUCT_CLAIMED, document), document)
    return place, True
