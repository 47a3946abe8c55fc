"""A subscription from a moment on, and the state that all facts before it left: folded afresh every time."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from domain.facts import SubscriptionSeen
from domain.known import SubscriptionKey, SubscriptionWindow
from domain.products import Evidence, ProductVersion, SubscriptionState, fold, state_before, version_at


def window_of(
    snapshots: Iterable[SubscriptionSeen],
    evidence: Iterable[tuple[str, Evidence]],
    stored: Mapping[str, tuple[ProductVersion, ...]],
    place: SubscriptionKey,
    since: datetime,
) -> SubscriptionWindow:
    """One subscription's window, from every snapshot there is and from its own evidence and stored history."""
    seen = [s for s in snapshots if (s.provider, s.subscription_key) == place]
    proven = list(evidence)
    earlier = [s for s in seen if s.effective_at < since], [proof for _, proof in proven if proof.at < since]
    inside = {p: tuple(v for v in versions if v.effective_at >= since) for p, versions in stored.items()}
    return SubscriptionWindow(
        since=since,
        before=_state(*earlier, since),
        snapshots=tuple(s for s in seen if s.effective_at >= since),
        evidence=tuple((key, proof) for key, proof in proven if proof.at >= since),
        versions={product: versions for product, versions in inside.items() if versions},
    )


def _state(seen: list[SubscriptionSeen], proven: list[Evidence], since: datetime) -> SubscriptionState:
    """What all facts before a moment leave of a subscription."""
    histories = fold(SubscriptionState(), seen, proven)
    last = {product: version for product, known in histories.items() if (version := version_at(known, since))}
    return state_before(last, seen, proven)
