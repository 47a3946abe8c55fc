"""The providers whose books can be read: those there is an API key for."""

from infra.pace import Pace
from infra.providers.stripe.client import StripeApi
from infra.reconciliation.provider import Provider
from infra.reconciliation.stripe_provider import StripeProvider
from infra.settings import Settings

_TIMEOUT_S = (3.0, 20.0)


def providers_of(settings: Settings) -> dict[str, Provider]:
    """By name. A step asks once: the run itself carries the retries."""
    found: dict[str, Provider] = {}
    if settings.stripe_api_key is not None:
        api = StripeApi(settings.stripe_api_key, settings.stripe_api_base, timeout_s=_TIMEOUT_S, network_retries_max=0)
        found["stripe"] = StripeProvider(api)
    if settings.chargebee_api_key is not None and settings.chargebee_api_base is not None:
        found["chargebee"] = _chargebee(settings, settings.chargebee_api_key, settings.chargebee_api_base)
    return found


def _chargebee(settings: Settings, api_key: str, api_base: str) -> Provider:
    # Its library takes a second to load: only those who use it wait for it.
    from infra.providers.chargebee.client import ChargebeeApi
    from infra.reconciliation.chargebee_provider import ChargebeeProvider

    pace = Pace("chargebee", settings.chargebee_requests_per_s, settings.redis_url)
    return ChargebeeProvider(ChargebeeApi(api_key, api_base, timeout_s=_TIMEOUT_S, retries_max=0, pace=pace))


def missing_settings(settings: Settings, provider: str) -> str | None:
    """What must be set before the provider's books can be read; None: nothing."""
    if provider == "stripe":
        needed = {"STRIPE_API_KEY": settings.stripe_api_key}
    else:
        needed = {"CHARGEBEE_SITE": settings.chargebee_api_base, "CHARGEBEE_API_KEY": settings.chargebee_api_key}
    return " and ".join(name for name, value in needed.items() if value is None) or None
