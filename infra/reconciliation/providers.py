"""The providers whose books can be read: those there is an API key for."""

from infra.providers.stripe.client import StripeApi
from infra.reconciliation.provider import Provider
from infra.reconciliation.stripe_provider import StripeProvider
from infra.settings import Settings


def providers_of(settings: Settings) -> dict[str, Provider]:
    """By name. A step asks once: the run itself carries the retries."""
    found: dict[str, Provider] = {}
    if settings.stripe_api_key is not None:
        api = StripeApi(settings.stripe_api_key, settings.stripe_api_base, timeout_s=(3.0, 20.0), network_retries_max=0)
        found["stripe"] = StripeProvider(api)
    return found


def missing_settings(settings: Settings, provider: str) -> str | None:
    """What must be set before the provider's books can be read; None: nothing."""
    if provider == "stripe":
        return "STRIPE_API_KEY" if settings.stripe_api_key is None else None
    return "CHARGEBEE_SITE and CHARGEBEE_API_KEY"
