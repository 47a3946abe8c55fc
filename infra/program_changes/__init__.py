"""What a person sets: product book, partners, triggers. Each change is a version, and asks for judging again."""

from infra.program_changes.partners import change_partner, create_partner, save_partner
from infra.program_changes.product_book import change_entry, create_entry, save_product
from infra.program_changes.rejudging import (
    CUSTOMERS,
    PARTNER_JOINED,
    PROVIDER,
    REJUDGE,
    Rejudge,
    affected_portion,
    customers_portion,
    program_changed,
    request_rejudge,
)
from infra.program_changes.triggers import change_trigger_by_key, create_trigger, key_of, save_trigger, warnings_about

__all__ = (
    "CUSTOMERS",
    "PARTNER_JOINED",
    "PROVIDER",
    "REJUDGE",
    "Rejudge",
    "affected_portion",
    "change_entry",
    "change_partner",
    "change_trigger_by_key",
    "create_entry",
    "create_partner",
    "create_trigger",
    "customers_portion",
    "key_of",
    "program_changed",
    "request_rejudge",
    "save_partner",
    "save_product",
    "save_trigger",
    "warnings_about",
)
