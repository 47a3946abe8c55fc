"""Fold what is said of customers into what is known: who they are, whom they are linked to, whose they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from domain import ids
from domain.addresses import addresses_in, owner_of_address
from domain.customers import Attribution, Claim, Customer, attributions, first_difference
from domain.facts import COMPANY, BillingEvent, CustomerLinked, CustomerSeen, Source
from domain.known import BEGINNING, Changes, Known, ProviderCustomer, ProviderCustomerKey, note_earliest
from domain.record_money import cause_of


def note_unknown_customers(events: Iterable[BillingEvent], known: Known, changes: Changes) -> None:
    """Whoever is only named is known by name. By the company's own id, a customer is linked to itself."""
    for event in events:
        if event.provider_customer_key is not None:
            place = (event.provider, event.provider_customer_key)
            if place not in known.provider_customers and place not in changes.provider_customers:
                own = _customer(event.provider_customer_key, known, changes) if event.provider == COMPANY else None
                changes.provider_customers[place] = ProviderCustomer(*place, customer=own)


def record_customers(
    events: Sequence[CustomerSeen | CustomerLinked], known: Known, lookback: timedelta, changes: Changes
) -> None:
    """Record descriptions, links and whose customers are."""
    before = _histories(known.provider_customers.values(), known.claims, lookback)
    people = dict(known.provider_customers)
    claims = {subject: list(said) for subject, said in known.claims.items()}
    causes: dict[str, str] = {}
    described: dict[ProviderCustomerKey, tuple[datetime, str]] = {}
    names = _names_of(people)
    for event in events:
        place = (event.provider, event.provider_customer_key)
        person = people.get(place) or ProviderCustomer(*place)
        people[place] = _told(person, event, known, changes)
        _rename(names, place, person.customer, people[place].customer)
        if isinstance(event, CustomerSeen):
            changes.descriptions.append(event)
            has_other_names = len(names.get(people[place].customer or "", ())) > 1
            if (since := _described_since(person, people[place], event, has_other_names)) is not None:
                note_earliest(described, place, since, cause_of(event))
            if (claim := customer_claim(event)) is not None:
                add_claim(claim, claims, changes)
        if people[place] != person or place not in known.provider_customers:
            changes.provider_customers[place] = people[place]
        for customer in (person.customer, people[place].customer):
            if customer is not None:  # the one before may have just lost what was said under this name
                causes.setdefault(customer, cause_of(event))
    _link_by_address(events, known, people, claims, causes, changes)
    _touch_described(described, people, changes)
    after = _histories(people.values(), claims, lookback)
    _touch_moved(known, people, causes, (before, after), changes)


def _told(
    person: ProviderCustomer, event: CustomerSeen | CustomerLinked, known: Known, changes: Changes
) -> ProviderCustomer:
    if isinstance(event, CustomerLinked):
        return _linked(person, event.source, event.customer_key, known, changes)
    person = _described(person, event)
    if event.customer_key is not None:
        return _linked(person, event.source, event.customer_key, known, changes)
    if event.partner_key is not None and person.customer is None:
        # A partner's name alone makes a customer known under its provider's id.
        return replace(person, customer=_customer(event.provider_customer_key, known, changes))
    return person


def customer_claim(seen: CustomerSeen) -> Claim | None:
    """What is said of whose a provider's customer is."""
    if seen.partner_key is None:
        return None
    subject = ids.provider_customer_subject(seen.provider, seen.provider_customer_key)
    said_at = seen.source.occurred_at
    return Claim(subject, seen.partner_key, seen.member_key, said_at, cause_of(seen), seen.attributed_at)


def _described(person: ProviderCustomer, seen: CustomerSeen) -> ProviderCustomer:
    """The newest description wins; a deletion stays, whatever comes late."""
    at = seen.source.occurred_at
    person = replace(
        person,
        deleted=person.deleted or seen.deleted,
        created_at=min(seen.created_at or at, person.created_at or seen.created_at or at),
        described_at=min(at, person.described_at or at),
    )
    if person.source is not None and seen.source <= person.source:
        return person
    return replace(
        person, source=seen.source, email=seen.email, name=seen.name, country=seen.country, metadata=seen.metadata
    )


def _names_of(people: Mapping[ProviderCustomerKey, ProviderCustomer]) -> dict[str, set[ProviderCustomerKey]]:
    """Under which names providers know each of our customers."""
    names: dict[str, set[ProviderCustomerKey]] = {}
    for place, person in people.items():
        _rename(names, place, None, person.customer)
    return names


def _rename(
    names: dict[str, set[ProviderCustomerKey]], place: ProviderCustomerKey, before: str | None, now: str | None
) -> None:
    if before is not None:
        names[before].discard(place)
    if now is not None:
        names.setdefault(now, set()).add(place)


def _described_since(
    before: ProviderCustomer, after: ProviderCustomer, seen: CustomerSeen, has_other_names: bool
) -> datetime | None:
    """From when on rules may read something else of the customer; the first word holds from ever.

    The same words again say nothing new, unless something else was said meanwhile under another name.
    """
    if before.described_at != after.described_at or before.created_at != after.created_at:
        return BEGINNING
    if before.source == seen.source:
        return None
    if before.source != after.source and _said(before) == _said(after) and not has_other_names:
        return None
    at = seen.source.occurred_at
    # Of two words of the first moment the older one, though told last, is the first.
    return BEGINNING if at == after.described_at else at


def _touch_described(
    described: Mapping[ProviderCustomerKey, tuple[datetime, str]],
    people: Mapping[ProviderCustomerKey, ProviderCustomer],
    changes: Changes,
) -> None:
    """What is said of a customer under one name is known of it under all."""
    names = _names_of(people)
    for place, (since, cause) in described.items():
        for name in (place, *names.get(people[place].customer or "", ())):
            note_earliest(changes.touched.customers, name, since, cause)


def _said(person: ProviderCustomer) -> tuple[object, ...]:
    return person.email, person.country, person.metadata


def _linked(
    person: ProviderCustomer, source: Source, company_key: str, known: Known, changes: Changes
) -> ProviderCustomer:
    """By the newest word on whose it is."""
    if person.link_source is not None and source <= person.link_source:
        return person
    return replace(person, link_source=source, customer=_customer(company_key, known, changes))


def _customer(company_key: str, known: Known, changes: Changes) -> str:
    """The key of our customer. What a provider says of it stays with the provider's: there the newest word wins."""
    by_company_key = (c.key for c in known.customers.values() if c.customer_key == company_key)
    key = next(by_company_key, None) or ids.customer_key(company_key)
    if key not in known.customers and key not in changes.customers:
        changes.customers[key] = Customer(key, company_key)
    return key


def add_claim(claim: Claim, claims: dict[str, list[Claim]], changes: Changes) -> bool:
    """Note what was said of a subject; False: it was known. What says so again with other words replaces itself."""
    said = claims.setdefault(claim.subject, [])
    if claim in said:
        return False
    claims[claim.subject] = [c for c in said if c.cause != claim.cause] + [claim]
    changes.claims.append(claim)
    return True


def _histories(
    people: Iterable[ProviderCustomer], claims: Mapping[str, Sequence[Claim]], lookback: timedelta
) -> dict[str, tuple[Attribution, ...]]:
    """Each customer's attributions, from what was said of it under any of its names."""
    said: dict[str, list[Claim]] = {}
    for person in people:
        if person.customer is not None:
            subject = ids.provider_customer_subject(person.provider, person.key)
            own = ids.customer_subject(person.customer)
            said.setdefault(person.customer, list(claims.get(own, ()))).extend(claims.get(subject, ()))
    return {customer: attributions(spoken, lookback) for customer, spoken in said.items()}


def _link_by_address(
    events: Iterable[CustomerSeen | CustomerLinked],
    known: Known,
    people: dict[ProviderCustomerKey, ProviderCustomer],
    claims: Mapping[str, Sequence[Claim]],
    causes: dict[str, str],
    changes: Changes,
) -> None:
    """Whoever shares an address with somebody the events speak of may be another's now, or nobody's."""
    if known.descriptions is None:
        return
    said = _all_said(known.descriptions, changes.descriptions)
    spoken: dict[str, str] = {}
    for event in events:
        for address in addresses_in(said.get((event.provider, event.provider_customer_key), ())):
            spoken[address] = min(spoken.get(address, cause_of(event)), cause_of(event))
    linked = _said_of_linked(said, people)
    having = _having_addresses(linked)
    for place, person in sorted(people.items()):
        shared = spoken.keys() & addresses_in(said.get(place, ()))
        if not shared or person.link_source is not None or person.provider == COMPANY:
            continue
        sharing = {key for address in addresses_in(said[place]) for key in having.get(address, ())}
        owner = owner_of_address(said[place], {key: linked[key] for key in sorted(sharing)})
        if owner is None and claims.get(ids.provider_customer_subject(*place)):
            owner = _customer(person.key, known, changes)
        if owner != person.customer:
            cause = min(spoken[address] for address in shared)
            people[place] = changes.provider_customers[place] = replace(person, customer=owner)
            note_earliest(changes.touched.customers, place, BEGINNING, cause)
            for customer in filter(None, (person.customer, owner)):
                causes.setdefault(customer, cause)


def _all_said(
    known: Mapping[ProviderCustomerKey, Sequence[CustomerSeen]], told: Iterable[CustomerSeen]
) -> dict[ProviderCustomerKey, list[CustomerSeen]]:
    """What was said before and now; the same event once."""
    found = {place: {each.source.event_key: each for each in said} for place, said in known.items()}
    for each in told:
        found.setdefault((each.provider, each.provider_customer_key), {})[each.source.event_key] = each
    return {place: list(said.values()) for place, said in found.items()}


def _said_of_linked(
    said: Mapping[ProviderCustomerKey, Sequence[CustomerSeen]],
    people: Mapping[ProviderCustomerKey, ProviderCustomer],
) -> dict[str, list[Sequence[CustomerSeen]]]:
    """Per customer of ours, under each name that its own id links: an address alone makes nobody's address known."""
    found: dict[str, list[Sequence[CustomerSeen]]] = {}
    for place, person in people.items():
        if person.link_source is not None and person.customer is not None and place in said:
            found.setdefault(person.customer, []).append(said[place])
    return found


def _having_addresses(customers: Mapping[str, Iterable[Sequence[CustomerSeen]]]) -> dict[str, set[str]]:
    """Per address, who ever had it."""
    found: dict[str, set[str]] = {}
    for customer, names in customers.items():
        for address in {address for said in names for address in addresses_in(said)}:
            found.setdefault(address, set()).add(customer)
    return found


def _joined_or_left(known: Known, people: Mapping[tuple[str, str], ProviderCustomer]) -> set[str]:
    """Our customers that a provider's customer has just been linked to, or taken from."""
    moved: set[str | None] = set()
    for place, person in people.items():
        earlier = known.provider_customers.get(place)
        was = earlier.customer if earlier is not None else None
        if was != person.customer:
            moved |= {was, person.customer}
    return {customer for customer in moved if customer is not None}


def _touch_moved(
    known: Known,
    people: Mapping[tuple[str, str], ProviderCustomer],
    causes: Mapping[str, str],
    histories: tuple[Mapping[str, tuple[Attribution, ...]], Mapping[str, tuple[Attribution, ...]]],
    changes: Changes,
) -> None:
    """Customers whose partner changed from some moment on, and those that were linked just now."""
    before, after = histories
    joined = _joined_or_left(known, people)
    for customer in joined:
        changes.touched.moved.setdefault(customer, causes[customer])
    for place, person in people.items():
        if person.customer is None or person.customer not in causes:
            continue
        cause = causes[person.customer]
        if person.customer in joined:
            # Even where nobody is attributed: a subscription may have a partner of its own. And whoever has
            # another name now has other payments before each payment.
            note_earliest(changes.touched.customers, place, BEGINNING, cause)
            continue
        since = first_difference(before.get(person.customer, ()), after.get(person.customer, ()))
        if since is not None:
            note_earliest(changes.touched.customers, place, since, cause)
