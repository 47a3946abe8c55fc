"""Which provider's code reads which envelope."""

from collections.abc import Callable, Mapping
from datetime import datetime

from domain.facts import Fact, Missing, NotUsed
from infra.providers.api.translate import translate as translate_api
from infra.providers.chargebee.translate import translate as translate_chargebee
from infra.providers.stripe.translate import translate as translate_stripe

#: (event type, event key, occurred at, exact body) -> facts. Pure; raises Unreadable.
Translate = Callable[[str, str, datetime, bytes], tuple[Fact, ...] | NotUsed | Missing]

TRANSLATORS: Mapping[str, Translate] = {
    "api": translate_api,
    "chargebee": translate_chargebee,
    "stripe": translate_stripe,
}
