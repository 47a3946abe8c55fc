"""One hash over everything the API shows: two programs that were told the same facts have the same one.

Left out is what says how the facts came, not what they are: arrival times, inbox rows, the ledger's single entries,
which of several events told a thing, and what only some orders pass through on their way: commissions that amount to
nothing, customers that nobody goes by any more, and entries of prices that turned out to be another entry's.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from infra.rows import as_json

#: Rows fetched at a time: memory does not grow with history.
_ROWS_AT_ONCE: Final = 2000

#: What is shown, each row complete and in the order of its key, whatever the database's collation.
SECTIONS: Final = {
    "book": """
        select b.key, b.external_key, b.description, b.needs_review, b.archived,
            (select json_agg(json_build_array(n.effective_from, n.name) order by n.version)
                from product_book_names n where n.key = b.key) as names,
            (select json_agg(a.alias order by a.alias collate "C") from product_book_aliases a where a.key = b.key)
                as aliases
        from product_book b
        where not (b.archived and exists (
            select from product_book_aliases a where a.alias = b.external_key and a.key <> b.key))
        order by b.key collate "C"
    """,
    "customers": """
        select c.key, c.customer_key, c.email, c.name, c.country from customers c
        where exists (select from provider_customers p where p.customer = c.key)
            or exists (select from claims where claims.subject = 'customer:' || c.key)
        order by c.key collate "C"
    """,
    "provider_customers": """
        select provider, provider_customer_key, customer, email, name, country, metadata, deleted, created_at
        from provider_customers order by provider collate "C", provider_customer_key collate "C"
    """,
    "attributions": """
        select distinct subject collate "C" as subject, partner_key collate "C" as partner_key, member_key,
            learnt_at, effective_from
        from claims order by 1, 2, 3, 4, 5
    """,
    "products": """
        select p.provider, p.subscription_key, p.product_key, p.provider_customer_key, p.status, p.provider_status,
            p.amount_minor, p.quantity, p.currency, p.price_keys, p.purchased_at,
            (select json_agg(json_build_array(h.effective_at, h.status, h.provider_status, h.amount_minor, h.quantity,
                    h.currency, h.price_keys) order by h.effective_at)
                from product_history h where h.provider = p.provider and h.subscription_key = p.subscription_key
                    and h.product_key = p.product_key) as history
        from products p
        order by p.provider collate "C", p.subscription_key collate "C", p.product_key collate "C"
    """,
    "transactions": """
        select t.key, t.provider, t.provider_customer_key, t.currency, t.occurred_at, t.metadata, t.tax_minor,
            (select json_agg(json_build_array(l.line_key, l.subscription_key, l.product_key, l.price_keys,
                    l.gross_minor, l.discount_minor, l.quantity, l.recurring, l.reversed_minor)
                    order by l.line_key collate "C")
                from transaction_lines l where l.transaction_key = t.key) as lines
        from transactions t order by t.key collate "C"
    """,
    "reversals": """
        select provider, kind, reversal_key, currency, amount_minor, undone_minor, refunded_minor, invoice_key
        from reversals order by provider collate "C", kind collate "C", reversal_key collate "C"
    """,
    "commissions": """
        select key, trigger_key, trigger_version, event, occasion_key, transaction_key, line_key, partner_key,
            member_key, customer, instalment, part, adjusts, state, amount_minor, currency, arithmetic, offer,
            decline_reason, earned_at, due_at
        from commissions where amount_minor <> 0 order by key collate "C"
    """,
}


@dataclass(frozen=True, slots=True)
class Section:
    """What one kind of thing hashes to, and of how many there are: tells where two programs part."""

    name: str
    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of everything, and of what it is made."""

    digest: str
    sections: tuple[Section, ...]


def fingerprint(connection: Connection) -> Fingerprint:
    """The state as it is at one moment. Must be the first thing that the caller's transaction does."""
    connection.execute(text("set transaction isolation level repeatable read, read only"))
    sections = tuple(_section(connection, name, query) for name, query in SECTIONS.items())
    whole = _hashed(f"{section.name} {section.count} {section.digest}" for section in sections)
    return Fingerprint(whole, sections)


def _section(connection: Connection, name: str, query: str) -> Section:
    found = connection.execute(text(query), execution_options={"yield_per": _ROWS_AT_ONCE})
    count, digest = 0, hashlib.sha256()
    for row in found:
        count += 1
        digest.update(as_json(row).encode() + b"\n")
    return Section(name, count, digest.hexdigest())


def _hashed(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
