"""Write what the program knows as CSV, a portion at a time: the columns that importing takes, and more to look at.

Texts that a spreadsheet would run are guarded (`infra.sheets.cells`), for names of customers are anybody's words.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from infra.sheets.cells import written

#: Rows fetched and written at once.
_PORTION = 1_000

#: By kind, the query whose columns are the file's; `{among}` is where its rows are narrowed.
EXPORTS: dict[str, str] = {
    "product_book": """
        select b.key, n.name, b.description, b.external_key,
            array(select alias from product_book_aliases a where a.key = b.key order by alias) as aliases, b.archived
        from product_book b
        join lateral (select name from product_book_names where key = b.key order by version desc limit 1) n on true
        {among} order by b.key
    """,
    "partners": """
        select p.partner_key, p.name, p.email, v."group", v.tags, v.country, p.joined_at
        from partners p
        join lateral (
            select * from partner_versions where partner_key = p.partner_key order by version desc limit 1) v on true
        {among} order by p.partner_key
    """,
    "customers": """
        select c.customer_key, d.email, d.name, d.country,
            (select string_agg(names.provider_customer_key, '|' order by names.provider, names.provider_customer_key)
                from provider_customers names where names.customer = c.key) as provider_keys, c.created_at
        from customers c
        left join lateral (
            select * from provider_customers described where described.customer = c.key
                and described.source_at is not null
            order by source_at desc, source_version desc, source_rank desc, source_event desc, provider desc limit 1
        ) d on true
        {among} order by c.customer_key
    """,
    "products": """
        select p.provider, p.subscription_key as external_subscription_key, p.product_key as external_product_key,
            coalesce(n.name, p.product_key) as name, c.customer_key, p.provider_customer_key, p.status,
            p.provider_status, p.amount_minor as amount, p.currency, p.quantity, p.purchased_at
        from products p
        left join provider_customers pc using (provider, provider_customer_key)
        left join customers c on c.key = pc.customer
        left join product_book b on b.external_key = p.product_key
        left join lateral (
            select name from product_book_names where key = b.key order by version desc limit 1) n on true
        {among} order by p.provider, p.subscription_key, p.product_key
    """,
    "transactions": """
        select t.key, t.provider, c.customer_key, t.provider_customer_key, t.occurred_at, t.currency, l.line_key,
            l.subscription_key as external_subscription_key, l.product_key as external_product_key,
            l.gross_minor - l.discount_minor as amount, l.reversed_minor as amount_reversed, l.quantity
        from transactions t
        left join transaction_lines l on l.transaction_key = t.key
        left join provider_customers pc on pc.provider = t.provider
            and pc.provider_customer_key = t.provider_customer_key
        left join customers c on c.key = pc.customer
        {among} order by t.occurred_at, t.key, l.line_key
    """,
    "rewards": """
        select w.key, w.partner_key, w.member_key, c.customer_key, w.state as reward_status, w.decline_reason,
            w.amount_minor as amount, w.currency, w.event, w.transaction_key, w.line_key, w.trigger_key,
            w.trigger_version, w.offer, w.adjusts, w.arithmetic, w.earned_at, w.due_at, w.created_at
        from commissions w left join customers c on c.key = w.customer
        {among} order by w.earned_at, w.key
    """,
}


#: What tells the things of a kind apart: in its query, and in lists of them.
_KEYS: dict[str, tuple[str, str]] = {
    "product_book": ("b.key", "key"),
    "partners": ("p.partner_key", "partner_key"),
    "customers": ("c.key", "key"),
    "products": ("(p.provider, p.subscription_key, p.product_key)", "provider, subscription_key, product_key"),
    "transactions": ("t.key", "key"),
    "rewards": ("w.key", "key"),
}


def export(
    connection: Connection, kind: str, among: str | None = None, parameters: Mapping[str, object] | None = None
) -> Iterator[str]:
    """The file in pieces, the header first: everything, or what the query `among` lists, with these bound in it.

    Reads as it goes: the connection is busy until the end.
    """
    own, theirs = _KEYS[kind]
    narrowed = "" if among is None else f"where {own} in (select {theirs} from ({among}) wanted)"
    options = {"stream_results": True, "max_row_buffer": _PORTION}
    query = text(EXPORTS[kind].format(among=narrowed))
    result = connection.execute(query, dict(parameters or {}), execution_options=options)
    yield _lines([list(result.keys())])
    for portion in result.partitions(_PORTION):
        yield _lines([[written(value) for value in row] for row in portion])


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue()
