"""Product status: what a subscription's events and payments make of each product, in any order and in any window."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.facts import COMPANY, ProductStatus, Source, SubscriptionItem, SubscriptionSeen
from domain.products import (
    Evidence,
    ProductVersion,
    SubscriptionState,
    fold,
    in_order,
    purchased_at,
    state_before,
    version_at,
)

NONE, TRIAL, ACTIVE, CHURNED = (
    ProductStatus.NONE,
    ProductStatus.TRIAL,
    ProductStatus.ACTIVE,
    ProductStatus.CHURNED,
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: int) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def items(*products: str) -> tuple[SubscriptionItem, ...]:
    """An item of each product."""
    return tuple(SubscriptionItem(product, (f"price_{product}",), 1, 100) for product in products)


def seen(second: int, status: ProductStatus, *products: str, **details: Any) -> SubscriptionSeen:
    """A snapshot; `was` is the former status, `was_products` the former items, `rank` the event type's."""
    was, had, rank = details.pop("was", None), details.pop("was_products", None), details.pop("rank", 1)
    key = details.pop("event", f"evt_{second}_{status}_{'_'.join(products)}_{rank}")
    effective_at = details.pop("over_at", at(second))
    ended = details.pop("ended", False)
    return SubscriptionSeen(
        provider="stripe",
        subscription_key="sub_1",
        provider_customer_key="cus_1",
        source=Source(details.pop("version", 0), at(second), rank, key),
        effective_at=effective_at,
        status=CHURNED if ended else status,
        provider_status=str(status),
        ended=ended,
        absorbing=details.pop("absorbing", ended),
        currency="usd",
        items=items(*products),
        previous_provider_status=None if was is None else str(was),
        previous_items=None if had is None else items(*had),
        **details,
    )


def paid(second: int, product: str, *, recurring: bool = True) -> Evidence:
    """A paid line."""
    return Evidence(product, at(second), recurring, "usd", (f"price_{product}",))


def story(
    snapshots: Sequence[SubscriptionSeen], evidence: Sequence[Evidence] = ()
) -> dict[str, list[tuple[int, ProductStatus]]]:
    """Per product its statuses by second."""
    return {
        product: [((v.effective_at - NOON) // timedelta(seconds=1), v.status) for v in versions]
        for product, versions in fold(SubscriptionState(), snapshots, evidence).items()
    }


def test_a_payment_reported_before_the_subscription_is_active_is_evidence() -> None:
    """Paid while the subscription still says incomplete, a product is active and does not go back."""
    facts = [seen(0, NONE, "inbox"), seen(2, NONE, "inbox", event="evt_later"), seen(3, ACTIVE, "inbox")]
    assert story(facts[:2], [paid(1, "inbox")]) == {"inbox": [(0, NONE), (1, ACTIVE)]}
    assert [status for _, status in story(facts, [paid(1, "inbox")])["inbox"]][-1] is ACTIVE


def test_a_trial_that_goes_on_takes_nothing_back_that_was_paid_for() -> None:
    """Paid on trial, a product is active from then on; the same word again is no news, a new trial after another is."""
    facts = [seen(0, TRIAL, "inbox"), seen(2, TRIAL, "inbox", event="evt_again"), seen(4, ACTIVE, "inbox")]
    assert story(facts[:2], [paid(1, "inbox")]) == {"inbox": [(0, TRIAL), (1, ACTIVE)]}
    renewed = [*facts, seen(6, TRIAL, "inbox", event="evt_new")]
    assert [status for _, status in story(renewed, [paid(1, "inbox")])["inbox"]][-1] is TRIAL
    assert [status for _, status in story(facts[:2])["inbox"]] == [TRIAL]


def test_an_end_absorbs_whatever_comes_after_it() -> None:
    """Nothing revives a subscription that ended for good: no later event, no later payment."""
    facts = [seen(0, ACTIVE, "inbox"), seen(9, ACTIVE, "inbox", ended=True, over_at=at(5)), seen(7, ACTIVE, "inbox")]
    assert story(facts, [paid(6, "inbox"), paid(8, "chat")]) == {"inbox": [(0, ACTIVE), (5, CHURNED)]}


def test_paid_in_the_second_in_which_it_ended() -> None:
    """Within one second a payment comes before the end and after any other word: it was active, and is over."""
    facts = [seen(0, TRIAL, "inbox"), seen(5, ACTIVE, "inbox", ended=True)]
    assert story(facts, [paid(5, "inbox"), paid(5, "chat")])["inbox"][-1] == (5, CHURNED)
    assert story(facts, [paid(5, "chat")])["chat"] == [(5, CHURNED)]
    assert story([seen(5, TRIAL, "inbox")], [paid(5, "inbox")]) == {"inbox": [(5, ACTIVE)]}


def test_an_end_that_does_not_absorb_is_undone_in_the_same_second() -> None:
    """By the provider's own number the reactivation is later, so the product stays as it was."""
    facts = [
        seen(0, ACTIVE, "inbox", version=1),
        seen(5, ACTIVE, "inbox", version=2, ended=True, absorbing=False),
        seen(5, ACTIVE, "inbox", version=3, event="evt_again"),
    ]
    assert story(facts) == {"inbox": [(0, ACTIVE)]}


def test_the_last_bill_of_what_is_over_brings_nothing_back() -> None:
    """Though it may be reactivated, a cancelled subscription is not by a payment: only by the provider's own word."""
    facts = [
        seen(0, ACTIVE, "inbox", version=1),
        seen(5, ACTIVE, "inbox", version=2, ended=True, absorbing=False),
    ]
    late = [paid(9, "inbox"), paid(9, "chat")]
    assert story(facts, late) == {"inbox": [(0, ACTIVE), (5, CHURNED)]}
    assert story([*facts, seen(12, TRIAL, "inbox", version=3)], late)["inbox"][-1] == (12, TRIAL)
    assert story(facts, [paid(5, "inbox"), paid(4, "chat")])["chat"] == [(4, ACTIVE), (5, CHURNED)]


def test_what_is_paid_in_the_second_of_a_reactivation_is_of_what_resumed() -> None:
    """Payments are dated in whole seconds, changes in milliseconds: the payment was for the product that came back."""
    facts = [
        seen(0, ACTIVE, "inbox", version=1),
        seen(5, ACTIVE, "inbox", version=2, ended=True, absorbing=False),
        replace(seen(9, ACTIVE, "inbox", version=3), effective_at=at(9) + timedelta(milliseconds=700)),
    ]
    history = fold(SubscriptionState(), facts, [paid(9, "inbox")])["inbox"]
    assert [v.status for v in history] == [ACTIVE, CHURNED, ACTIVE]
    assert history[-1].effective_at == at(9)


def test_the_higher_number_of_the_provider_wins_whatever_moment_it_speaks_of() -> None:
    """An end that is dated back undoes what older snapshots said of the time after it, and a newer one comes back."""
    facts = [
        seen(0, ACTIVE, "inbox", version=1),
        seen(20, ACTIVE, "inbox", "chat", version=2),
        seen(25, ACTIVE, "inbox", version=3, ended=True, absorbing=False, over_at=at(10)),
    ]
    assert story(facts) == {"inbox": [(0, ACTIVE), (10, CHURNED)]}
    assert story([*facts, seen(30, ACTIVE, "inbox", version=4)])["inbox"][-1] == (30, ACTIVE)
    assert story([*facts, seen(9, TRIAL, "inbox", version=4)])["inbox"] == [(0, ACTIVE), (9, TRIAL)]


def test_lifecycle_rank_breaks_ties() -> None:
    """Created, changed and deleted in one second happened in that order, whatever their ids say."""
    facts = [
        seen(0, ACTIVE, "inbox", rank=2, ended=True, event="evt_a"),
        seen(0, ACTIVE, "inbox", rank=1, event="evt_b"),
        seen(0, TRIAL, "inbox", rank=0, event="evt_c"),
    ]
    assert [s.source.event_key for s in in_order(facts)] == ["evt_c", "evt_b", "evt_a"]


def test_previous_attributes_chain_events_of_one_second() -> None:
    """Each next event is the one that says it changed the state before it; ids decide only what is left open."""
    first = seen(0, NONE, "inbox", rank=0)
    facts = [
        seen(1, ACTIVE, "inbox", "chat", event="evt_a", was_products=("inbox",)),
        seen(1, ACTIVE, "inbox", event="evt_z", was=NONE),
    ]
    assert [s.source.event_key for s in in_order([first, *facts])][1:] == ["evt_z", "evt_a"]
    assert [s.source.event_key for s in in_order(facts, after=first)] == ["evt_z", "evt_a"]
    assert [s.source.event_key for s in in_order(facts)] == ["evt_z", "evt_a"]
    assert [s.source.event_key for s in in_order([replace(s, previous_items=None) for s in facts])][-1] == "evt_z"


def test_an_item_that_is_gone_churns_and_one_that_comes_starts() -> None:
    """Swapping one product for another ends the first and starts the second at that moment."""
    facts = [seen(0, ACTIVE, "inbox"), seen(5, ACTIVE, "chat")]
    assert story(facts) == {"inbox": [(0, ACTIVE), (5, CHURNED)], "chat": [(5, ACTIVE)]}


def test_a_one_off_charge_is_not_removed_by_the_next_snapshot() -> None:
    """What no snapshot lists is removed by none, unless the whole subscription ends; a recurring one is."""
    facts = [seen(0, ACTIVE, "inbox"), seen(5, ACTIVE, "inbox", event="evt_later")]
    assert story(facts, [paid(1, "setup", recurring=False)])["setup"] == [(1, ACTIVE)]
    assert story(facts, [paid(1, "setup")])["setup"] == [(1, ACTIVE), (5, CHURNED)]
    ended = [*facts, seen(6, ACTIVE, "inbox", ended=True)]
    assert story(ended, [paid(1, "setup", recurring=False)])["setup"] == [(1, ACTIVE), (6, CHURNED)]


def test_items_beyond_the_first_page_are_not_removed() -> None:
    """Where an event shows only its first page, what is not on it follows the subscription's status."""
    facts = [
        seen(0, ACTIVE, "chat", "inbox"),
        seen(1, ACTIVE, "chat", items_missing=True),
        seen(2, CHURNED, "chat", items_missing=True),
        seen(3, ACTIVE, "chat"),
    ]
    assert story(facts[:2])["inbox"] == [(0, ACTIVE)]
    assert story(facts[:3])["inbox"] == [(0, ACTIVE), (2, CHURNED)]
    assert story([facts[0], facts[1], facts[3]])["inbox"] == [(0, ACTIVE), (3, CHURNED)]
    assert story([*facts[:2], seen(4, ACTIVE, "chat", ended=True, items_missing=True)])["inbox"][-1] == (4, CHURNED)


def test_what_the_company_states_of_one_product_leaves_the_others() -> None:
    """Each statement speaks of its own product: another comes beside it, changes and ends without it."""
    facts = [
        replace(each, provider=COMPANY)
        for each in (
            seen(0, ACTIVE, "chat"),
            seen(1, TRIAL, "inbox"),
            seen(2, CHURNED, "chat", ended=True, absorbing=False),
            seen(3, ACTIVE, "inbox"),
            seen(4, ACTIVE, "chat"),
        )
    ]
    assert story(facts) == {
        "chat": [(0, ACTIVE), (2, CHURNED), (4, ACTIVE)],
        "inbox": [(1, TRIAL), (3, ACTIVE)],
    }


def test_a_history_answers_as_of_any_moment() -> None:
    """Before the first version there is none; from each version on it holds; the purchase is the first real start."""
    history = [ProductVersion(at(0), NONE), ProductVersion(at(5), TRIAL), ProductVersion(at(9), CHURNED)]
    assert [version_at(history, at(second)) for second in (-1, 0, 5, 8, 9)] == [None, *history[:2], *history[1:]]
    assert purchased_at(history) == at(5)
    assert purchased_at(history[:1]) is None


# Any facts at all, few seconds, so that ties are common.

_PRODUCTS = ("chat", "inbox", "base")
_some_products = st.lists(st.sampled_from(_PRODUCTS), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
_snapshots = st.builds(
    lambda second, status, on, rank, ended, missing, was, had, version: seen(
        second, status, *on, rank=2 if ended else rank, ended=ended, items_missing=missing, was=was, was_products=had,
        version=version,
    ),
    st.integers(0, 6),
    st.sampled_from(list(ProductStatus)),
    _some_products,
    st.integers(0, 1),
    st.sampled_from([False] * 9 + [True]),
    st.sampled_from([False] * 4 + [True]),
    st.none() | st.sampled_from(list(ProductStatus)),
    st.none() | _some_products,
    st.integers(1, 4),
)  # fmt: skip


def _told(found: list[SubscriptionSeen], provider: str, *, numbered: bool) -> list[SubscriptionSeen]:
    """As one provider tells them: it numbers all of them, and then no end absorbs, or none. Nor does one stated."""
    return [
        replace(s, provider=provider, absorbing=s.absorbing and not numbered and provider != COMPANY,
                source=replace(s.source, event_key=f"evt_{n}", version=s.source.version if numbered else 0))
        for n, s in enumerate(found)
    ]  # fmt: skip


_facts = st.builds(
    lambda found, provider, numbered: _told(found, provider, numbered=numbered and provider != COMPANY),
    st.lists(_snapshots, max_size=8),
    st.sampled_from(["stripe", "stripe", COMPANY]),
    st.booleans(),
)
_evidence = st.lists(
    st.builds(lambda s, p, r: paid(s, p, recurring=r), st.integers(0, 6), st.sampled_from(_PRODUCTS), st.booleans()),
    max_size=5,
)


@given(_facts, _evidence, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    facts: list[SubscriptionSeen], evidence: list[Evidence], random: Any
) -> None:
    """Any permutation of the same facts folds into the same history."""
    expected = fold(SubscriptionState(), facts, evidence)
    random.shuffle(facts)
    random.shuffle(evidence)
    assert fold(SubscriptionState(), facts, evidence) == expected


@settings(max_examples=400)
@given(_facts, _evidence, st.integers(0, 7))
def test_a_window_folds_into_what_everything_folds_into(
    facts: list[SubscriptionSeen], evidence: list[Evidence], cut: int
) -> None:
    """History up to a moment, and from there on what the window makes of it, are together the whole history."""
    whole = fold(SubscriptionState(), facts, evidence)
    since = at(cut)
    earlier = {product: tuple(v for v in history if v.effective_at < since) for product, history in whole.items()}
    windowed = fold(
        _state_at(since, facts, evidence, earlier),
        [s for s in facts if s.effective_at >= since],
        [e for e in evidence if e.at >= since],
    )
    joined = {product: (*earlier.get(product, ()), *windowed.get(product, ())) for product in {*earlier, *windowed}}
    assert {product: history for product, history in joined.items() if history} == whole


def _state_at(
    since: datetime,
    facts: Sequence[SubscriptionSeen],
    evidence: Iterable[Evidence],
    earlier: dict[str, tuple[ProductVersion, ...]],
) -> SubscriptionState:
    """Only what `state_before` asks for: the ledger loads no more."""
    before = [s for s in facts if s.effective_at < since]
    alone = [
        s.effective_at
        for s in before
        if not s.items_missing
        and sum(other.effective_at == s.effective_at for other in before) == 1
        and not any(o.effective_at < s.effective_at and o.source.version > s.source.version for o in before)
    ]
    back_to = max(alone, default=NOON)
    needed = [s for s in before if s.effective_at >= back_to or (s.ended and s.absorbing)]
    last = {e.product_key: e for e in sorted(evidence, key=lambda e: e.at) if e.recurring and e.at < since}
    return state_before({p: history[-1] for p, history in earlier.items() if history}, needed, last.values())
