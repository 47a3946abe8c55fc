"""What rules read of each object, as of one moment: the values behind `domain.fields`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain import fields, ids
from domain.case import Program
from domain.catalogue import Entry, placeholder
from domain.customers import Attribution, Claim, attribution_at, attributions
from domain.facts import CustomerSeen, ProductStatus, Source
from domain.money import Money
from domain.partners import Partner
from domain.products import ProductVersion, purchased_at, version_at
from domain.standings import Standing
from domain.transactions import Line, Transaction

Values = Mapping[str, object]

NO_PRODUCT = fields.Unknown("the line names no product")


def entry_of(price_keys: Sequence[str], provider: str, product_key: str, program: Program) -> Entry:
    """The product book entry of a sold product; one that the book lacks is called by its provider's id."""
    return program.catalogue.match(price_keys, product_key) or placeholder(provider, product_key)


def line_product_values(
    line: Line, paid: Transaction, history: Sequence[ProductVersion], program: Program
) -> Values | fields.Unknown:
    """The product a line paid for. `history` holds its versions, oldest first; empty without a subscription."""
    named = line_product_names(line, paid, program)
    return NO_PRODUCT if named is None else {**named, **line_product_states(line, paid, history)}


def line_product_names(line: Line, paid: Transaction, program: Program) -> dict[str, str] | None:
    """What can be read of a line's product however that stood; None without a product."""
    if line.product_key is None:
        return None
    entry = entry_of(line.price_keys, paid.place_of(line)[0], line.product_key, program)
    return {"name": entry.name_at(paid.occurred_at), "key": entry.key}


def line_product_states(line: Line, paid: Transaction, history: Sequence[ProductVersion]) -> dict[str, object]:
    """How a line's product stood when it was paid. What was bought once is Active from its payment on."""
    if line.subscription_key is not None:
        return _state_values(history, paid.occurred_at, paid.currency)
    return {"status": ProductStatus.ACTIVE, "created": paid.occurred_at} if line.net_minor > 0 else {}


def product_values(
    provider: str, product_key: str, history: Sequence[ProductVersion], at: datetime, program: Program
) -> Values:
    """A product of a subscription as it was at a moment when it had begun."""
    version = version_at(history, at)
    entry = entry_of(version.price_keys if version else (), provider, product_key, program)
    return {"name": entry.name_at(at), "key": entry.key, **_state_values(history, at, None)}


def _state_values(history: Sequence[ProductVersion], at: datetime, currency: str | None) -> dict[str, object]:
    values: dict[str, object] = {"created": purchased_at(history)}
    if (version := version_at(history, at)) is not None:
        currency = version.currency or currency
        amount = None
        if version.amount_minor is not None and currency is not None:
            amount = Money(version.amount_minor, currency)
        values |= {"status": version.status, "amount": amount, "quantity": version.quantity}
    return values


def partner_values(partner: Partner, at: datetime) -> Values:
    """A partner, with the group, tags, country and metadata in force."""
    version = partner.version_at(at)
    return {
        "key": partner.partner_key,
        "group": version.group,
        "tags": version.tags,
        "joined": partner.joined_at,
        "country": version.country,
        "metadata": version.metadata,
    }


def customer_values(
    created_at: datetime | None,
    descriptions: Sequence[CustomerSeen],
    standing: Standing,
    at: datetime,
    currency: str | None,
) -> Values:
    """One of our customers: the newest description by then, and what was paid by then, the payment judged included.

    The first known description holds from the beginning of time. `currency` is the one that revenue is counted in;
    None: revenue is not known.
    """
    said = _description_at(descriptions, at)
    values: dict[str, object] = {"created": created_at, "transactions": standing.number}
    if currency is not None:
        values["revenue"] = Money(standing.revenue.get(currency, 0), currency)
    if said is not None:
        values |= {"email_domain": _domain_of(said.email), "country": said.country, "metadata": said.metadata or {}}
    return values


def _description_at(descriptions: Sequence[CustomerSeen], at: datetime) -> CustomerSeen | None:
    ordered = sorted(descriptions, key=_place_in_time)
    in_force = [said for said in ordered if said.source.occurred_at <= at]
    return in_force[-1] if in_force else next(iter(ordered), None)


def _place_in_time(said: CustomerSeen) -> tuple[datetime, Source, str, str]:
    return said.source.occurred_at, said.source, said.provider, said.provider_customer_key


def _domain_of(email: str | None) -> str | None:
    _, at_sign, domain = (email or "").rpartition("@")
    return domain.strip().lower() or None if at_sign else None


def payee_of(
    place: tuple[str, str | None, str | None],
    customer_claims: Sequence[Claim],
    sale_claims: Mapping[str, tuple[Claim, ...]],
    at: datetime,
    program: Program,
) -> Attribution | None:
    """Whom a product (provider, subscription, product) pays: its own partner, else its subscription's, else its
    customer's. None: nobody had it at the time.
    """
    for subject in ids.sale_subjects(*place):
        said = attributions(sale_claims.get(subject, ()), program.lookback)
        if (own := attribution_at(said, at)) is not None:
            return own
    return attribution_at(attributions(customer_claims, program.lookback), at)
