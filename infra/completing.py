"""Ask providers for what events left out, and say what is waited for where nobody can be asked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from domain.errors import CannotProcess
from domain.facts import Fact, Missing, NotUsed
from infra.batch import Translated, translated
from infra.inbox import Envelope
from infra.pace import Pace
from infra.providers.chargebee import completing as chargebee
from infra.providers.chargebee.reading import PROVIDER as CHARGEBEE
from infra.providers.stripe import completing as stripe
from infra.providers.stripe.client import StripeApi
from infra.providers.stripe.reading import PROVIDER as STRIPE
from infra.rows import as_json, fetch
from infra.settings import Settings
from infra.translating import translate

if TYPE_CHECKING:
    from infra.providers.chargebee.client import ChargebeeApi


class Completer:
    """Providers' APIs, as far as there are keys for them. Not shared between threads."""

    def __init__(self, settings: Settings) -> None:
        self._stripe = _stripe_api(settings)
        #: None: there is no key for a site.
        self.chargebee = _chargebee_api(settings)

    def can_ask(self, envelope: Envelope) -> bool:
        """Whether there is a key for the envelope's provider."""
        asked = {STRIPE: self._stripe, CHARGEBEE: self.chargebee}
        return asked.get(envelope.provider) is not None

    def left_out(self, envelope: Envelope, facts: tuple[Fact, ...] | Missing) -> str | None:
        """What the envelope cannot be worked without, for a person to read; None: it can."""
        if envelope.provider == CHARGEBEE:
            missing, setting = _chargebee_left_out(facts), "CHARGEBEE_SITE and CHARGEBEE_API_KEY"
        else:
            missing, setting = stripe.left_out(facts), "STRIPE_API_KEY"
        return None if missing is None else f"{missing}; set {setting} to fetch the rest"

    def to_be_asked(
        self, connection: Connection, read: Sequence[tuple[Envelope, tuple[Fact, ...] | Missing]]
    ) -> set[int]:
        """The ids of envelopes about which a provider can and should be asked before they are worked."""
        askable = [(each, facts) for each, facts in read if each.provider == STRIPE and self.can_ask(each)]
        linked = _linked(connection, [key for _, facts in askable for key in _payments(facts)])
        return {
            envelope.id
            for envelope, facts in askable
            if stripe.left_out(facts) is not None
            or (isinstance(facts, tuple) and stripe.better_fetched(facts))
            or (any(key not in linked for key in _payments(facts)) and not linked.intersection(_payments(facts)))
        } | {
            each.id
            for each, facts in read
            if each.provider == CHARGEBEE and self.can_ask(each) and _chargebee_left_out(facts) is not None
        }

    def completed(self, envelope: Envelope) -> Translated | NotUsed:
        """The envelope with all that was left out. Raises TryLater, CannotProcess."""
        if self.chargebee is not None and envelope.provider == CHARGEBEE:
            answer = chargebee.complete(self.chargebee, envelope.body(), lambda body: translate(envelope, body))
            if isinstance(answer, Missing):
                raise CannotProcess(f"{answer.what} is not in Chargebee's answer either")
            return answer if isinstance(answer, NotUsed) else translated(envelope, answer)
        if self._stripe is None or envelope.provider != STRIPE:
            raise CannotProcess(f"nobody can be asked about events of {envelope.provider}")
        api = self._stripe.of_account(envelope.account)

        def read(event_type: str, body: bytes) -> tuple[Fact, ...] | NotUsed | Missing:
            return translate(envelope, body, event_type)

        facts = stripe.complete(api, envelope.event_type, envelope.body(), read)
        if isinstance(facts, Missing):
            raise CannotProcess(f"{facts.what} is not in Stripe's answer either")
        if isinstance(facts, NotUsed):
            return facts
        alone = stripe.payments_alone(facts)
        links = stripe.linked(api, alone, envelope.event_key, envelope.occurred_at) if alone else ()
        return translated(envelope, (*facts, *links))

    def close(self) -> None:
        """Let go of connections."""
        if self._stripe is not None:
            self._stripe.close()


def _chargebee_left_out(facts: tuple[Fact, ...] | Missing) -> str | None:
    return facts.what if isinstance(facts, Missing) else chargebee.left_out(facts)


def _payments(facts: tuple[Fact, ...] | Missing) -> list[str]:
    return [] if isinstance(facts, Missing) else stripe.payments_alone(facts)


def _linked(connection: Connection, payment_keys: Sequence[str]) -> set[str]:
    """Those that are known to have settled something."""
    if not payment_keys:
        return set()
    rows = fetch(
        connection,
        """
        select l.payment_key from json_to_recordset(cast(:keys as json)) as w(payment_key text)
        join payment_links l on l.provider = 'stripe' and l.payment_key = w.payment_key
        """,
        keys=as_json({"payment_key": key} for key in payment_keys),
    )
    return {row.payment_key for row in rows}


def _stripe_api(settings: Settings) -> StripeApi | None:
    """Without quick retries: the inbox carries them, and an answer never takes longer than a claim holds."""
    if settings.stripe_api_key is None:
        return None
    return StripeApi(
        settings.stripe_api_key,
        settings.stripe_api_base,
        timeout_s=(3.0, 8.0),
        network_retries_max=0,
        pages_within_s=15.0,
        pace=Pace("stripe", settings.stripe_requests_per_s, settings.redis_url),
    )


def _chargebee_api(settings: Settings) -> "ChargebeeApi | None":
    """Like Stripe's: no quick retries, and no long wait for a turn."""
    if settings.chargebee_api_key is None or settings.chargebee_api_base is None:
        return None
    # Its library takes a second to load: only those who use it wait for it.
    from infra.providers.chargebee.client import ChargebeeApi

    return ChargebeeApi(
        settings.chargebee_api_key,
        settings.chargebee_api_base,
        timeout_s=(3.0, 8.0),
        retries_max=0,
        pace=Pace("chargebee", settings.chargebee_requests_per_s, settings.redis_url, patience_s=1.0),
    )
