"""What events say of customers: the newest description counts, its history is kept, and what that can affect."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from domain import ids
from domain.customers import Claim
from domain.facts import CustomerSeen, Source
from domain.known import BEGINNING, Changes, Known, ProviderCustomer
from domain.record import record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOKBACK = timedelta(days=30)
ACME = ids.customer_key("acme")
PLACE, OTHER = ("stripe", "cus_1"), ("stripe", "cus_2")


def at(second: int) -> datetime:
    """A second of the day."""
    return NOON + timedelta(seconds=second)


def seen(second: int, **details: Any) -> CustomerSeen:
    """A customer as an event showed it, in full."""
    said = {"email": "a@acme.com", "name": "Ann", "country": "DE", "metadata": {"plan": "pro"}, **details}
    return CustomerSeen("stripe", "cus_1", Source(0, at(second), 1, f"evt_{second}"), **said)


def after(*events: CustomerSeen, people: tuple[ProviderCustomer, ...] = ()) -> tuple[ProviderCustomer, Changes]:
    """What is known of the customer after these events, and all that changed."""
    changes = record(events, Known({(p.provider, p.key): p for p in people}), LOOKBACK)
    return changes.provider_customers.get(PLACE, people[0] if people else ProviderCustomer(*PLACE)), changes


def test_everything_an_event_says_is_kept() -> None:
    """Mail, name, country, metadata; when it was said, and since when there is a customer."""
    person, changes = after(seen(5, created_at=at(-60)))
    assert (person.email, person.name, person.country, person.metadata) == ("a@acme.com", "Ann", "DE", {"plan": "pro"})
    assert (person.source, person.described_at, person.created_at) == (seen(5).source, at(5), at(-60))
    assert (person.deleted, person.customer) == (False, None)
    assert changes.descriptions == [seen(5, created_at=at(-60))]


def test_the_newest_description_counts_whatever_comes_when() -> None:
    """An older one changes the beginning, and nothing of what is known now."""
    newer, older = seen(9, country="US"), seen(2, country="FR", name="Old")
    for events in ((newer, older), (older, newer)):
        person, changes = after(*events)
        assert (person.country, person.name, person.source) == ("US", "Ann", newer.source)
        assert (person.described_at, person.created_at) == (at(2), at(2))
        assert changes.descriptions == list(events)


def test_a_customer_came_to_be_at_the_earliest_moment_known() -> None:
    """The provider's own word, or the first event where it says none."""
    assert after(seen(5), seen(9, created_at=at(-9)))[0].created_at == at(-9)
    assert after(seen(9, created_at=at(20)), seen(5))[0].created_at == at(5)
    assert after(seen(9, created_at=at(7)), people=after(seen(5))[:1])[0].created_at == at(5)


def test_a_deletion_stays() -> None:
    """Whatever is told of the customer later, or late."""
    gone, back = seen(5, deleted=True), seen(9)
    assert after(gone, back)[0].deleted
    assert after(back, gone)[0].deleted
    assert after(back, people=after(gone)[:1])[0].deleted


def touched(changes: Changes) -> dict[tuple[str, str], tuple[datetime, str]]:
    """Who must be judged again from when on, and why."""
    return changes.touched.customers


def test_the_first_word_holds_from_the_beginning() -> None:
    """So everything the customer ever paid may be judged otherwise; so it is when an earlier word comes late."""
    known, changes = after(seen(5))
    assert touched(changes) == {PLACE: (BEGINNING, "stripe:evt_5")}
    assert touched(after(seen(2), people=(known,))[1]) == {PLACE: (BEGINNING, "stripe:evt_2")}
    older = replace(seen(5, country="US"), source=Source(0, at(5), 0, "evt_older"))
    assert touched(after(older, people=(known,))[1]) == {PLACE: (BEGINNING, "stripe:evt_older")}


def test_a_later_word_counts_from_when_it_was_said() -> None:
    """New words from their own time on; the same words again touch nothing; a word between two from its time on."""
    known, _ = after(seen(5))
    assert touched(after(seen(9, country="US"), people=(known,))[1]) == {PLACE: (at(9), "stripe:evt_9")}
    assert touched(after(seen(9, email="b@acme.com"), people=(known,))[1]) == {PLACE: (at(9), "stripe:evt_9")}
    assert touched(after(seen(9, metadata={}), people=(known,))[1]) == {PLACE: (at(9), "stripe:evt_9")}
    assert touched(after(seen(9), people=(known,))[1]) == {}
    assert touched(after(seen(9, name="Bea"), people=(known,))[1]) == {}
    assert touched(after(seen(5), people=(known,))[1]) == {}
    between, _ = after(seen(9, country="US"), people=(known,))
    assert touched(after(seen(7), people=(between,))[1]) == {PLACE: (at(7), "stripe:evt_7")}


def test_an_earlier_beginning_touches_everything() -> None:
    """The customer's age was another all along."""
    known, _ = after(seen(5))
    assert touched(after(seen(9, created_at=at(1)), people=(known,))[1]) == {PLACE: (BEGINNING, "stripe:evt_9")}


def test_what_is_said_under_one_name_is_known_under_all() -> None:
    """Every name of the same customer of ours is judged again, and nobody else's."""
    known = replace(after(seen(5))[0], customer=ACME)
    same = ProviderCustomer(*OTHER, ACME)
    stranger = ProviderCustomer("stripe", "cus_3", ids.customer_key("other"))
    nobody = ProviderCustomer("stripe", "cus_4")
    changes = after(seen(9, country="US"), people=(known, same, stranger, nobody))[1]
    assert touched(changes) == {PLACE: (at(9), "stripe:evt_9"), OTHER: (at(9), "stripe:evt_9")}
    unlinked = after(seen(9, country="US"), people=(replace(known, customer=None), nobody))[1]
    assert touched(unlinked) == {PLACE: (at(9), "stripe:evt_9")}


def test_who_joins_and_who_is_left_are_both_moved() -> None:
    """Our customers between whom a name has moved are judged as customers, too."""
    known = replace(after(seen(5))[0], customer=ACME, link_source=seen(5).source)
    changes = after(seen(9, customer_key="other"), people=(known, ProviderCustomer(*OTHER, ACME)))[1]
    assert changes.touched.moved == {ACME: "stripe:evt_9", ids.customer_key("other"): "stripe:evt_9"}
    assert touched(changes) == {PLACE: (BEGINNING, "stripe:evt_9"), OTHER: (BEGINNING, "stripe:evt_9")}
    assert changes.customers[ids.customer_key("other")].key == ids.customer_key("other")
    assert after(seen(10), people=(known,))[1].touched.moved == {}


def test_a_claim_names_partner_and_member() -> None:
    """Said again by the same event it is one claim; by that event in other words, the last."""
    changes = after(seen(5, partner_key="ada", member_key="ann"))[1]
    ((claim,),) = [changes.claims]
    assert (claim.subject, claim.partner_key, claim.member_key) == ("stripe:customer:cus_1", "ada", "ann")
    assert (claim.learnt_at, claim.cause, claim.effective_from) == (at(5), "stripe:evt_5", None)
    twice = after(*[seen(5, partner_key="ada", member_key="ann")] * 2)[1]
    assert twice.claims == [claim]


def test_another_partner_counts_from_when_it_was_said() -> None:
    """In otherwise the same words: payments from then on are judged again, those before it are not."""
    known = replace(after(seen(5))[0], customer=ACME, link_source=seen(5).source)
    subject = ids.provider_customer_subject(*PLACE)
    whose = {subject: (Claim(subject, "ada", None, at(5), "stripe:evt_5"),)}
    told = seen(9, partner_key="bob")
    changes = record([told], Known({PLACE: known}, claims=whose), LOOKBACK)
    assert touched(changes) == {PLACE: (at(9), "stripe:evt_9")}


def test_names_that_move_in_one_batch_all_count() -> None:
    """Two names of two customers, linked at once: all four customers are moved."""
    people = {PLACE: ProviderCustomer(*PLACE, ACME), OTHER: ProviderCustomer(*OTHER, ids.customer_key("b"))}
    events = [seen(9, customer_key="c"), replace(seen(9, customer_key="d"), provider_customer_key="cus_2")]
    moved = record(events, Known(people), LOOKBACK).touched.moved
    assert set(moved) == {ACME, *(ids.customer_key(name) for name in "bcd")}
