"""Load everything that judging some transactions reads: a fixed number of statements, however many there are."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from domain import ids
from domain.case import CaseFile, LineRef
from domain.commissions import Claimant, Commission, CommissionState, Particulars
from domain.docket import ALL_NEEDED, Needed
from domain.fields import TriggerEvent
from domain.known import ProductKey, ProviderCustomerKey
from domain.products import ProductVersion
from domain.references import led_to_products
from domain.standings import Standing
from domain.transactions import Line, Transaction
from infra.ledger.claims import load_claims
from infra.ledger.customer_names import Names, load_descriptions, load_names
from infra.ledger.known_money import load_transactions
from infra.ledger.references import fitting_products
from infra.ledger.shapes import standing_of, version_of
from infra.rows import as_json, fetch, fetch_tuples


def load_case_file(
    connection: Connection, keys: Collection[str], horizon: timedelta = timedelta(0), needed: Needed = ALL_NEEDED
) -> CaseFile:
    """The case file of these transactions; unknown keys are left out. Posted lines are led to their products.

    Products are told of as of each payment and of everything that happened within `horizon` after it. What is not
    `needed` is left out.
    """
    case = _load_facts(connection, keys, horizon, needed)
    previous, followed = _neighbours(connection, sorted(case.transactions))
    return replace(
        case,
        previous=previous,
        followed=followed,
        standings=load_standings(connection, {*case.transactions, *filter(None, previous.values())}),
        booked=load_booked(connection, sorted(case.transactions)),
    )


def load_previewed(
    connection: Connection, keys: Collection[str], first: Collection[str], horizon: timedelta, needed: Needed
) -> CaseFile:
    """The case file of these transactions as a preview reads it: of what is booked the amounts alone, and where the
    customer stood only before its `first` ones, and before what credits take back from.
    """
    case = _load_facts(connection, keys, horizon, needed)
    previous, _ = _neighbours(connection, sorted({*first, *(case.transactions.keys() - set(keys))}))
    return replace(
        case,
        previous=previous,
        standings=load_standings(connection, set(filter(None, previous.values()))),
        booked=load_amounts_booked(connection, sorted(case.transactions)),
    )


def _load_facts(connection: Connection, keys: Collection[str], horizon: timedelta, needed: Needed) -> CaseFile:
    """What happened and what was said, without where customers stand and what is booked."""
    paid, chains, credited_by = _payments(connection, keys)
    names = load_names(connection, {(t.provider, t.provider_customer_key or "") for t in paid.values()})
    fitting = fitting_products(connection, paid, names)
    told_of = [*(_paid_for(paid) if needed.product_states else ()), *_moments_of(fitting, paid)]
    products = _products(connection, told_of, horizon) if told_of else {}
    paid |= _led(paid, fitting, products)
    sales = _sale_subjects(paid)
    claims = load_claims(connection, {*sales, *names.subjects()}, names.together())
    return CaseFile(
        transactions=paid,
        customers=names.customers,
        customer_claims=names.claims(claims),
        sale_claims={subject: claims[subject] for subject in sales if subject in claims},
        customers_created=names.created,
        descriptions=load_descriptions(connection, _moments(paid, names)) if needed.descriptions else {},
        products=products,
        chains=chains,
        credited_by=credited_by,
    )


def load_credit_file(connection: Connection, keys: Collection[str]) -> CaseFile:
    """These transactions alone, with the charges that they take back and those charges' other credits."""
    paid, chains, credited_by = _payments(connection, keys)
    return CaseFile(paid, chains=chains, credited_by=credited_by)


def _payments(
    connection: Connection, keys: Collection[str]
) -> tuple[dict[str, Transaction], dict[LineRef, tuple[LineRef, ...]], dict[str, tuple[str, ...]]]:
    """The transactions, chains and other credits of a case file."""
    paid = load_transactions(connection, sorted(keys))
    crediting = sorted(key for key, each in paid.items() if any(line.net_minor < 0 for line in each.lines))
    chains = _chains(connection, crediting)
    credited_by = _credited_by(connection, sorted({chain[0][0] for chain in chains.values()}))
    others = {key for credits_of in credited_by.values() for key in credits_of}
    chains |= _chains(connection, sorted(others - paid.keys()))
    also = others | {ref[0] for chain in chains.values() for ref in chain}
    return paid | load_transactions(connection, sorted(also - paid.keys())), chains, credited_by


def load_led(
    connection: Connection, keys: Collection[str]
) -> tuple[dict[str, Transaction], dict[str, Transaction], Names]:
    """Transactions as they were told, the same with posted lines led to their products, and who paid them."""
    told = load_transactions(connection, sorted(keys))
    names = load_names(connection, {(t.provider, t.provider_customer_key or "") for t in told.values()})
    fitting = fitting_products(connection, told, names)
    products = _products(connection, list(_moments_of(fitting, told)), timedelta(0)) if fitting else {}
    return told, {**told, **_led(told, fitting, products)}, names


def load_meant(connection: Connection, lines: Collection[LineRef]) -> dict[LineRef, tuple[str, Line]]:
    """Posted lines led to the products they mean, each with who bills that; those that mean none are left out."""
    if not lines:
        return {}
    _, led, _ = load_led(connection, {key for key, _ in lines})
    found = {(paid.key, line.key): (paid.place_of(line)[0], line) for paid in led.values() for line in paid.lines}
    return {place: found[place] for place in lines if place in found and found[place][1].product_key is not None}


def _led(
    told: Mapping[str, Transaction],
    fitting: Mapping[str, Collection[ProductKey]],
    products: Mapping[ProductKey, tuple[ProductVersion, ...]],
) -> dict[str, Transaction]:
    """Those whose lines are led to products."""
    return {
        key: led_to_products(told[key], {product: products.get(product, ()) for product in owned})
        for key, owned in fitting.items()
    }


def _moments(
    paid: Mapping[str, Transaction], names: Names
) -> dict[str, tuple[frozenset[ProviderCustomerKey], set[datetime]]]:
    """Per customer under which names, and as of when, its description is needed."""
    found: dict[str, tuple[frozenset[ProviderCustomerKey], set[datetime]]] = {}
    for each in paid.values():
        customer = names.customers.get((each.provider, each.provider_customer_key or ""))
        if customer is not None:
            found.setdefault(customer, (names.of(customer), set()))[1].add(each.occurred_at)
    return found


def _sale_subjects(paid: Mapping[str, Transaction]) -> list[str]:
    places = {t.place_of(line) for t in paid.values() for line in t.lines}
    return sorted({subject for place in places for subject in ids.sale_subjects(*place)})


def _neighbours(connection: Connection, keys: Sequence[str]) -> tuple[dict[str, str | None], frozenset[str]]:
    """For each transaction of one of our customers the one that the customer paid before it, and which are not last."""
    rows = fetch(
        connection,
        """
        with wanted as (
            select t.key, t.occurred_at, mine.customer from transactions t
            join provider_customers mine
                on mine.provider = t.provider and mine.provider_customer_key = t.provider_customer_key
            where t.key = any(:keys) and mine.customer is not null
        )
        select w.key, (
            select near.key from provider_customers other cross join lateral (
                select t.key, t.occurred_at from transactions t
                where t.provider = other.provider and t.provider_customer_key = other.provider_customer_key
                    and t.occurred_at <= w.occurred_at and (t.occurred_at, t.key collate "C") < (w.occurred_at, w.key)
                order by t.occurred_at desc, t.key collate "C" desc limit 1
            ) near where other.customer = w.customer
            order by near.occurred_at desc, near.key collate "C" desc limit 1
        ) as previous, exists (
            select from provider_customers other join transactions t
                on t.provider = other.provider and t.provider_customer_key = other.provider_customer_key
                and t.occurred_at >= w.occurred_at and (t.occurred_at, t.key collate "C") > (w.occurred_at, w.key)
            where other.customer = w.customer
        ) as followed
        from wanted w
        """,
        keys=list(keys),
    )
    return {row.key: row.previous for row in rows}, frozenset(row.key for row in rows if row.followed)


def later_transactions(connection: Connection, keys: Collection[str]) -> list[str]:
    """The keys of every transaction that the same customer paid after one of these, and of all credits on those."""
    rows = fetch(
        connection,
        """
        with later as (
            select distinct t.key, t.occurred_at from transactions asked
            join provider_customers mine
                on mine.provider = asked.provider and mine.provider_customer_key = asked.provider_customer_key
            join provider_customers other on other.customer = mine.customer
            join transactions t on t.provider = other.provider and t.provider_customer_key = other.provider_customer_key
                and t.occurred_at >= asked.occurred_at
                and (t.occurred_at, t.key collate "C") > (asked.occurred_at, asked.key)
            where asked.key = any(:keys)
        ), charged as (
            select l.provider, l.subscription_key, min(l.occurred_at) as since
            from later join transaction_lines l on l.transaction_key = later.key
            where l.subscription_key is not null group by 1, 2
        )
        select key from later
        union
        select c.transaction_key from charged join transaction_lines c using (provider, subscription_key)
        where c.occurred_at >= charged.since and c.gross_minor < c.discount_minor
        order by key
        """,
        keys=list(keys),
    )
    return [row.key for row in rows]


def load_standings(connection: Connection, keys: Collection[str]) -> dict[str, Standing]:
    """Where customers stand after these transactions, as far as it is recorded."""
    rows = fetch(connection, "select * from standings where transaction_key = any(:keys)", keys=sorted(keys))
    return {row.transaction_key: standing_of(row) for row in rows}


def _paid_for(paid: Mapping[str, Transaction]) -> Iterator[tuple[ProductKey, datetime]]:
    """The products that lines name, as of when."""
    for each in paid.values():
        for subscription_key, product_key in {(line.subscription_key, line.product_key) for line in each.lines}:
            if subscription_key and product_key:
                yield (each.provider, subscription_key, product_key), each.occurred_at


def _moments_of(
    fitting: Mapping[str, Iterable[ProductKey]], paid: Mapping[str, Transaction]
) -> Iterator[tuple[ProductKey, datetime]]:
    """The products that posted lines may mean, as of when."""
    return ((product, paid[key].occurred_at) for key, products in fitting.items() for product in products)


def _products(
    connection: Connection, asked: Iterable[tuple[ProductKey, datetime]], horizon: timedelta
) -> dict[ProductKey, tuple[ProductVersion, ...]]:
    """Per product, in order: the version in force at each moment, the first that was in trial or active, and those
    that took effect within `horizon` after a moment.
    """
    wanted = [
        {"provider": provider, "subscription_key": subscription, "product_key": product, "at": at}
        for (provider, subscription, product), at in asked
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
            union all
            (select * from product_history v where v.provider = w.provider
                and v.subscription_key = w.subscription_key and v.product_key = w.product_key
                and v.effective_at > w.at and v.effective_at <= w.at + make_interval(secs => :horizon_s))
        ) h
        order by h.effective_at
        """,
        wanted=as_json(wanted),
        horizon_s=horizon.total_seconds(),
    )
    histories: dict[ProductKey, list[ProductVersion]] = {}
    for row in rows:
        place = (row.provider, row.subscription_key, row.product_key)
        histories.setdefault(place, []).append(version_of(row))
    return {place: tuple(versions) for place, versions in histories.items()}


def _chains(connection: Connection, keys: Collection[str]) -> dict[LineRef, tuple[LineRef, ...]]:
    """For each credit line: its product's latest earlier charge in its currency, then the credits between the two."""
    if not keys:
        return {}
    rows = fetch(
        connection,
        """
        select c.transaction_key as credit, c.line_key as credit_line, e.transaction_key, e.line_key
        from transaction_lines c join transactions credit on credit.key = c.transaction_key
        cross join lateral (
            select p.occurred_at, p.transaction_key from transaction_lines p
            join transactions t on t.key = p.transaction_key and t.currency = credit.currency
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
        join transactions t on t.key = e.transaction_key and t.currency = credit.currency
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
        from transaction_lines p join transactions paid on paid.key = p.transaction_key
        join transaction_lines c on c.provider = p.provider and c.subscription_key = p.subscription_key
            and c.product_key = p.product_key and c.gross_minor < c.discount_minor
            and c.occurred_at >= p.occurred_at and c.transaction_key <> p.transaction_key
        where p.transaction_key = any(:charges) and p.gross_minor > p.discount_minor
            and c.occurred_at <= coalesce((
                select n.occurred_at from transaction_lines n
                join transactions t on t.key = n.transaction_key and t.currency = paid.currency
                where n.provider = p.provider and n.subscription_key = p.subscription_key
                    and n.product_key = p.product_key and n.gross_minor > n.discount_minor
                    and n.occurred_at > p.occurred_at
                order by n.occurred_at limit 1), 'infinity')
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


def load_amounts_booked(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[Commission, ...]]:
    """The same, without what they say besides their amounts."""
    booked: dict[str, list[Commission]] = {}
    rows = fetch_tuples(
        connection,
        """
        select trigger_key, transaction_key, line_key, partner_key, currency, instalment, key, part, state, amount_minor
        from commissions where transaction_key = any(:keys)
        """,
        keys=list(keys),
    )
    for *claimed, key, part, state, amount_minor in rows:
        commission = Commission(key, Claimant(*claimed), part, _STATES[state], amount_minor)
        booked.setdefault(claimed[1], []).append(commission)
    return {key: tuple(commissions) for key, commissions in booked.items()}


#: Looked up, for an enum's own call costs more than the rest of a row.
_STATES = {state.value: state for state in CommissionState}
_EVENTS = {event.value: event for event in TriggerEvent}


def commission_of(row: Any) -> Commission:
    """A row of `commissions` as a value."""
    claimant = Claimant(
        row.trigger_key,
        row.occasion_key,
        row.line_key,
        row.partner_key,
        row.currency,
        row.instalment,
        _EVENTS[row.event],
    )
    particulars = Particulars(
        row.trigger_version, row.member_key, row.customer, row.arithmetic, row.offer, row.earned_at, row.due_at
    )
    return Commission(row.key, claimant, row.part, _STATES[row.state], row.amount_minor, particulars)
