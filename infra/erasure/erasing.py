"""Take a person's details out of every row, in one transaction; rows and keys stay, and so does what they add up to.

What rules read must stay readable, or the next refund would judge the payment anew and take everything back: of the
fields that some version of some trigger reads, the value stays, without whose it is.
"""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection

from domain.case import Program
from domain.errors import TryLater
from domain.rules import fields_read
from infra.erasure.persons import Person
from infra.ledger.addresses import ADDRESS
from infra.locks import own_program
from infra.rows import as_json, fetch, run

#: The domain of an erased address whose own no rule reads: reserved, so nobody ever gets mail there (RFC 2606).
ERASED_DOMAIN: Final = "erased.invalid"
PUT_ASIDE_REASON: Final = "its body was erased with its customer"

_DOMAIN, _COUNTRY = "customer.email_domain", "customer.country"
_CUSTOMER_METADATA, _PAYMENT_METADATA = "customer.metadata.", "transaction.metadata."


@dataclass(frozen=True, slots=True)
class Erased:
    """What was taken out, as numbers of rows."""

    #: Bodies, and how many of these events waited or were dead: they are ignored now, for nothing can read them.
    events: int
    put_aside: int
    descriptions: int
    payments: int
    webhooks: int
    answers: int
    #: What rules read, and was kept therefore.
    kept: tuple[str, ...]


def kept_fields(program: Program) -> tuple[str, ...]:
    """Fields of a customer or its payments that hold details and that some rule reads."""
    read = {
        name for versions in program.triggers.values() for trigger in versions for name in fields_read(trigger.rules)
    }
    detailed = (_CUSTOMER_METADATA, _PAYMENT_METADATA)
    return tuple(sorted(name for name in read if name in (_DOMAIN, _COUNTRY) or name.startswith(detailed)))


def erase(connection: Connection, person: Person, events: Collection[int], program: Program) -> Erased:
    """Erase the person and the bodies of `events`, which concern them. Waits until no worker judges anything.

    Raises TryLater while one of the events is not worked on yet: what it says of money would be lost.
    """
    own_program(connection)
    _require_settled(connection, events)
    kept = kept_fields(program)
    put_aside = _erase_bodies(connection, events)
    descriptions = _erase_descriptions(connection, person, kept)
    return Erased(
        events=len(events),
        put_aside=put_aside,
        descriptions=descriptions,
        payments=_erase_payments(connection, person, kept),
        webhooks=run(connection, _WEBHOOKS, places=person.places()),
        answers=run(connection, _ANSWERS, names=_spoken_names(person)),
        kept=kept,
    )


def _require_settled(connection: Connection, events: Collection[int]) -> None:
    rows = fetch(
        connection,
        "select id from inbox where id = any(:ids) and (state = 'received' or claimed_by is not null) order by id",
        ids=sorted(events),
    )
    if rows:
        first = f"event {rows[0].id}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
        raise TryLater(f"{first} of this customer is not worked on yet; erase when it is (`attribution events show`)")


def _erase_bodies(connection: Connection, events: Collection[int]) -> int:
    ids = sorted(events)
    put_aside = run(connection, _PUT_ASIDE, ids=ids, reason=PUT_ASIDE_REASON)
    run(connection, "update inbox set body = null where id = any(:ids)", ids=ids)
    return put_aside


_PUT_ASIDE = """
    update inbox set state = 'ignored', reason = :reason, fingerprint = null, next_attempt_at = null, attempts = 0,
        finished_at = now()
    where id = any(:ids) and state in ('waiting', 'dead')
"""


def _erase_descriptions(connection: Connection, person: Person, kept: Collection[str]) -> int:
    """One pseudonym per address, so that what addresses linked stays linked."""
    told = {
        "pseudonyms": as_json(_pseudonyms(person.addresses, with_domain=_DOMAIN in kept)),
        "with_country": _COUNTRY in kept,
        "metadata": _after(_CUSTOMER_METADATA, kept),
    }
    places = person.places()
    run(connection, _DESCRIBED.format(table="provider_customers"), places=places, **told)
    run(connection, _CUSTOMER, customer=person.customer, **told)
    return run(connection, _DESCRIBED.format(table="customer_descriptions"), places=places, **told)


def _pseudonyms(addresses: Iterable[str], *, with_domain: bool) -> list[dict[str, str]]:
    found = []
    for address in sorted(addresses):
        _, at_sign, domain = address.rpartition("@")
        drawn = f"erased-{secrets.token_hex(6)}"
        kept = f"{drawn}{at_sign}{domain if at_sign else ''}" if with_domain else f"{drawn}@{ERASED_DOMAIN}"
        found.append({"address": address, "pseudonym": kept})
    return found


def _after(prefix: str, kept: Collection[str]) -> list[str]:
    return [name.removeprefix(prefix) for name in kept if name.startswith(prefix)]


_PSEUDONYM = f"""(
    select w.pseudonym from json_to_recordset(cast(:pseudonyms as json)) as w(address text, pseudonym text)
    where w.address = {ADDRESS.format("d.email")})"""
#: What rules read of it, and nothing else.
_METADATA = """(
    select jsonb_object_agg(each.key, each.value) from jsonb_each(d.metadata) each
    where each.key = any(cast(:metadata as text[])))"""

_DESCRIBED = f"""
    update {{table}} d set email = {_PSEUDONYM}, name = null, country = case when :with_country then d.country end,
        metadata = {_METADATA}
    from json_to_recordset(cast(:places as json)) as mine(provider text, key text)
    where d.provider = mine.provider and d.provider_customer_key = mine.key
"""

_CUSTOMER = f"""
    update customers d set email = {_PSEUDONYM}, name = null, country = case when :with_country then d.country end
    where d.key = :customer
"""


def _erase_payments(connection: Connection, person: Person, kept: Collection[str]) -> int:
    return run(connection, _PAYMENTS, places=person.places(), metadata=_after(_PAYMENT_METADATA, kept))


_PAYMENTS = f"""
    update transactions d set metadata = {_METADATA}
    from json_to_recordset(cast(:places as json)) as mine(provider text, key text)
    where d.provider = mine.provider and d.provider_customer_key = mine.key and d.metadata <> '{{}}'
        and d.metadata is distinct from {_METADATA}
"""

#: What is sent again is read anew. Commissions name a customer by keys only.
_WEBHOOKS = """
    update webhook_deliveries d set payload = null
    from products p join json_to_recordset(cast(:places as json)) as mine(provider text, key text)
        on p.provider = mine.provider and p.provider_customer_key = mine.key
    where d.payload is not null and d.event_type like 'product.%'
        and d.subject = array[p.provider, p.subscription_key, p.product_key]
"""

#: Answers that are kept for repeats, for a day.
_ANSWERS = """
    update idempotent_answers set answer = null
    where answer is not null and exists (
        select from unnest(cast(:names as text[])) name where position(name in lower(convert_from(answer, 'UTF8'))) > 0)
"""


def _spoken_names(person: Person) -> list[str]:
    """How an answer names the person and nobody else, as JSON writes it."""
    return [msgspec.json.encode(name).decode() for name in sorted({person.key.lower(), *person.addresses})]
