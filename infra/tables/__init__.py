"""Every table, declared once; migrations must equal this (`alembic check`)."""

from infra.tables.access import api_keys, audit_log, idempotent_answers, member_tokens, people
from infra.tables.checks import checks
from infra.tables.columns import metadata
from infra.tables.commissions import commission_entries, commissions
from infra.tables.customers import claims, customer_descriptions, customers, provider_customers
from infra.tables.erasures import erasures
from infra.tables.inbox import inbox
from infra.tables.outgoing import webhook_deliveries, webhook_earlier_secrets, webhook_endpoints
from infra.tables.payments import payment_links, reversals, standings, transaction_lines, transactions
from infra.tables.program import (
    partner_members,
    partner_versions,
    partners,
    product_book,
    product_book_aliases,
    product_book_names,
    product_descriptions,
    program_revision,
    trigger_versions,
    triggers,
)
from infra.tables.reconciliation import reconciliation_objects, reconciliations, watermarks
from infra.tables.sessions import sessions
from infra.tables.subscriptions import product_history, products, subscription_snapshots
from infra.tables.tallies import tallies

__all__ = (
    "api_keys",
    "audit_log",
    "checks",
    "claims",
    "commission_entries",
    "commissions",
    "customer_descriptions",
    "customers",
    "erasures",
    "idempotent_answers",
    "inbox",
    "member_tokens",
    "metadata",
    "partner_members",
    "partner_versions",
    "partners",
    "payment_links",
    "people",
    "product_book",
    "product_book_aliases",
    "product_book_names",
    "product_descriptions",
    "product_history",
    "products",
    "program_revision",
    "provider_customers",
    "reconciliation_objects",
    "reconciliations",
    "reversals",
    "sessions",
    "standings",
    "subscription_snapshots",
    "tallies",
    "transaction_lines",
    "transactions",
    "trigger_versions",
    "triggers",
    "watermarks",
    "webhook_deliveries",
    "webhook_earlier_secrets",
    "webhook_endpoints",
)
