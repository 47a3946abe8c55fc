"""Load everything that judging some transactions reads: a fixed number of statements, however many there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from domain import ids
from domain.case import CaseFile, LineRef
from domain.commissions import Claimant, Commission, CommissionState, Particulars
from domain.customers import Claim
from domain.known import ProductKey, ProviderCustomerKey
from domain.products import ProductVersion
from domain.transactions import Transaction
from infra.ledger.known import load_claims, load_transactions
from infra.ledger.shapes import version_of
from infra.rows import as_json, fetch


def load_case_file(connection: Connection, keys: Sequence[str]) -> CaseFile:
    """The case file of these transactions; unknown keys are left out."""
    chains = _chains(connection, keys)
    credited_by = _credited_by(connection, sorted({chain[0][0] for chain in chains.values()}))
    others = {key for crediting in credited_by.values() for key in crediting}
    chains |= _chains(connection, sorted(others.difference(keys)))
    also = others | {ref[0] for chain in chains.values() for ref in chain}
    paid = load_transactions(connection, sorted({*keys, *also}))
    customers, names = _customers(connection, paid)
    claims = load_claims(connection, [*_subscription_subjects(paid), *(s for said in names.values() for s in said)])
    return CaseFile(
        transactions=paid,
        customers=customers,
        customer_claims={
            customer: tuple(claim for subject in subjects for claim in claims.get(subject, ()))
            for customer, subjects in names.items()
        },
        subscription_claims={subject: _of(claims, subject) for subject in _subscription_subjects(paid)},
        products=_products(connection, paid),
        chains=chains,
        credited_by=credited_by,
        booked=load_booked(connection, sorted(paid)),
    )


def _of(claims: Mapping[str, tuple[Claim, ...]], subject: str) -> tuple[Claim, ...]:
    return claims.get(subject, ())


def _subscription_subjects(paid: Mapping[str, Transaction]) -> list[str]:
    places = {(t.provider, line.subscription_key) for t in paid.values() for line in t.lines if line.subscription_key}
    return [ids.subscription_subject(*place) for place in sorted(places)]


def _customers(
    connection: Connection, paid: Mapping[str, Transaction]
) -> tuple[dict[ProviderCustomerKey, str], dict[str, list[str]]]:
    """Our customer per provider customer, and per customer every subject under which something was said of it."""
    places = {(t.provider, t.provider_customer_key) for t in paid.values() if t.provider_customer_key}
    rows = fetch(
        connection,
        """
        select other.provider, other.provider_customer_key, other.customer
        from json_to_recordset(cast(:places as json)) as w(provider text, key text)
        join provider_customers mine on mine.provider = w.provider and mine.provider_customer_key = w.key
        join provider_customers other on other.customer = mine.customer
        """,
        places=as_json({"provider": provider, "key": key} for provider, key in places),
    )
    customers = {(row.provider, row.provider_customer_key): row.customer for row in rows}
    names: dict[str, set[str]] = {key: {ids.customer_subject(key)} for key in customers.values()}
    for place, customer in customers.items():
        names[customer].add(ids.provider_customer_subject(*place))
    return customers, {customer: sorted(subjects) for customer, subjects in names.items()}


def _products(connection: Connection, paid: Mapping[str, Transaction]) -> dict[ProductKey, tuple[ProductVersion, ...]]:
    """Per product, in order: the version in force at each payment, and the first that was in trial or active."""
    wanted = [
        {"provider": t.provider, "subscription_key": s, "product_key": p, "at": t.occurred_at}
        for t in paid.values()
        for s, p in {(line.subscription_key, line.product_key) for line in t.lines}
        if s and p
    ]
    rows = fetch(
        connection,
        """
        select distinct h.* from json_to_recordset(cast(:wanted as json))
            as w(provider text, subscription_key text, product_key text, at timestamptz)
        cross join lateral (
            (select * from product_history v where v.provider = w.provider
                and v.subscription_key = w.subscription_key and v.product_key = w.product_key
                and v.effective_at <= w.at order by v.effective_at desc limit 1)
            union all
            (select * from product_history v where v.provider = w.provider
                and v.subscription_key = w.subscription_key and v.product_key = w.product_key
                and v.status in ('trial', 'active') order by v.effective_at limit 1)
        ) h
        order by h.effective_at
        """,
        wanted=as_json(wanted),
    )
    histories: dict[ProductKey, list[ProductVersion]] = {}
    for row in rows:
        place = (row.provider, row.subscription_key, row.product_key)
        histories.setdefault(place, []).append(version_of(row))
    return {place: tuple(versions) for place, versions in histories.items()}


def _chains(connection: Connection, keys: Sequence[str]) -> dict[LineRef, tuple[LineRef, ...]]:
    """For each credit line: the latest earlier charge of its product, then the credits between the two."""
    rows = fetch(
        connection,
        """
        select c.transaction_key as credit, c.line_key as credit_line, e.transaction_key, e.line_key
        from transaction_lines c
        cross join lateral (
            select p.occurred_at, p.transaction_key from transaction_lines p
            where p.provider = c.provider and p.subscription_key = c.subscription_key
                and p.product_key = c.product_key and p.gross_minor > p.discount_minor
                and p.occurred_at <= c.occurred_at
                and (p.occurred_at, p.transaction_key collate "C") < (c.occurred_at, c.transaction_key)
            order by p.occurred_at desc, p.transaction_key collate "C" desc limit 1
        ) charge
        join transaction_lines e on e.provider = c.provider and e.subscription_key = c.subscription_key
            and e.product_key = c.product_key and e.occurred_at between charge.occurred_at and c.occurred_at
            and (e.occurred_at, e.transaction_key collate "C") < (c.occurred_at, c.transaction_key)
            and (e.transaction_key = charge.transaction_key or e.gross_minor < e.discount_minor)
            and (e.occurred_at, e.transaction_key collate "C") >= (charge.occurred_at, charge.transaction_key)
        where c.transaction_key = any(:keys) and c.gross_minor < c.discount_minor
        order by c.transaction_key, c.line_key, e.occurred_at, e.transaction_key collate "C"
        """,
        keys=list(keys),
    )
    chains: dict[LineRef, list[LineRef]] = {}
    for row in rows:
        chains.setdefault((row.credit, row.credit_line), []).append((row.transaction_key, row.line_key))
    return {credit: tuple(chain) for credit, chain in chains.items()}


def _credited_by(connection: Connection, charges: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Per charge the transactions with a credit on one of its products before that product was charged again."""
    if not charges:
        return {}
    rows = fetch(
        connection,
        """
        select distinct p.transaction_key as charge, c.transaction_key as credit
        from transaction_lines p
        join transaction_lines c on c.provider = p.provider and c.subscription_key = p.subscription_key
            and c.product_key = p.product_key and c.gross_minor < c.discount_minor
            and c.occurred_at >= p.occurred_at and c.transaction_key <> p.transaction_key
        where p.transaction_key = any(:charges) and p.gross_minor > p.discount_minor
            and c.occurred_at <= coalesce((
                select min(n.occurred_at) from transaction_lines n
                where n.provider = p.provider and n.subscription_key = p.subscription_key
                    and n.product_key = p.product_key and n.gross_minor > n.discount_minor
                    and n.occurred_at > p.occurred_at), 'infinity')
        """,
        charges=list(charges),
    )
    credited_by: dict[str, list[str]] = {}
    for row in rows:
        credited_by.setdefault(row.charge, []).append(row.credit)
    return {charge: tuple(crediting) for charge, crediting in credited_by.items()}


def load_booked(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[Commission, ...]]:
    """The commissions booked on each transaction."""
    booked: dict[str, list[Commission]] = {}
    for row in fetch(connection, "select * from commissions where transaction_key = any(:keys)", keys=list(keys)):
        booked.setdefault(row.transaction_key, []).append(commission_of(row))
    return {key: tuple(commissions) for key, commissions in booked.items()}


def commission_of(row: Any) -> Commission:
    """A row of `commissions` as a value."""
    claimant = Claimant(
        row.trigger_key, row.transaction_key, row.line_key, row.partner_key, row.currency, row.instalment
    )
    particulars = Particulars(
        row.trigger_version, row.member_key, row.customer, row.arithmetic, row.offer, row.earned_at
    )  # fmt: skip
    return Commission(row.key, claimant, row.part, CommissionState(row.state), row.amount_minor, particulars)
