"""Keys derived from causes, never drawn: the same cause gives the same key on every machine, in every order."""

import hashlib

from domain.facts import COMPANY


def derived(prefix: str, *causes: str) -> str:
    """`<prefix>_<20 hex digits>` of the causes; distinct cause lists never share a digest input."""
    joined = "\x1f".join(f"{len(cause)}:{cause}" for cause in causes)
    return f"{prefix}_{hashlib.sha256(joined.encode()).hexdigest()[:20]}"


def transaction_key(provider: str, invoice_key: str) -> str:
    """One paid invoice is one transaction, whichever event reported it; one that the company posts has its own key."""
    return invoice_key if provider == COMPANY else f"{provider}:{invoice_key}"


def line_key(subscription_key: str | None, product_key: str | None, provider_line_key: str) -> str:
    """A line is (subscription, product) within its transaction; without a product it keeps its provider's line id."""
    return f"{subscription_key or '-'}/{product_key}" if product_key else f"line:{provider_line_key}"


def product_book_key(provider: str, product_key: str) -> str:
    """The key of the entry made for a sold product that the catalogue lacks."""
    return derived("pbook", provider, product_key)


def customer_key(company_key: str) -> str:
    """Our key of the customer that the company calls `company_key`."""
    return derived("cust", company_key)


def commission_key(
    trigger: str,
    occasion: str,
    line: str | None,
    partner: str,
    currency: str,
    instalment: int,
    part: int,
    event: str = "transaction_created",
) -> str:
    """One trigger pays one partner once for one line (or the whole); `part` > 0 adjusts what was already approved."""
    causes = [trigger, occasion, line or "", partner, currency, str(instalment), str(part)]
    return derived("cmsn", *causes, *([] if event == "transaction_created" else [event]))


def customer_subject(key: str) -> str:
    """What an attribution is about: one of our customers."""
    return f"customer:{key}"


def provider_customer_subject(provider: str, provider_customer_key: str) -> str:
    """What an attribution is about: a customer as a provider knows it."""
    return f"{provider}:customer:{provider_customer_key}"


def subscription_subject(provider: str, subscription_key: str) -> str:
    """What an attribution is about: one subscription, when its metadata names another partner than the customer's."""
    return f"{provider}:subscription:{subscription_key}"


def product_subject(provider: str, subscription_key: str, product_key: str) -> str:
    """What an attribution is about: one product, when a person names another partner than its subscription's."""
    return f"{provider}:product:{product_key_of(subscription_key, product_key)}"


def product_key_of(subscription_key: str, product_key: str) -> str:
    """How a product is called outside; posted lines refer to it by this, or by its subscription alone."""
    return f"{subscription_key}/{product_key}"


def sale_subjects(provider: str, subscription_key: str | None, product_key: str | None) -> tuple[str, ...]:
    """Everything but its customer that may say whom a product pays; the narrowest first, for it comes first."""
    if subscription_key is None:
        return ()
    subscription = subscription_subject(provider, subscription_key)
    if product_key is None:
        return (subscription,)
    return product_subject(provider, subscription_key, product_key), subscription


def partner_subject(key: str) -> str:
    """What a partner's own commissions are about."""
    return f"partner:{key}"
