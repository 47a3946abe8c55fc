"""`attribution up`: servers, schema, then every process, until told to stop."""

import structlog

from infra.database import check_server, make_engine, upgrade_to_head
from infra.embedded import Addresses, servers
from infra.settings import Settings
from worker.processes import process_specs
from worker.supervisor import Supervisor

log = structlog.get_logger()


def run_up(settings: Settings) -> int:
    """Exit code 0 after a clean stop. Raises what keeps it from starting, before anything has."""
    if not settings.stripe_webhook_secrets:
        log.warning("stripe.disabled", reason="STRIPE_WEBHOOK_SECRETS is not set: /webhooks/stripe answers 404")
    with servers(settings.data_dir, database_url=settings.database_url, redis_url=settings.redis_url) as addresses:
        prepare_database(addresses)
        return Supervisor(process_specs(addresses)).run()


def prepare_database(addresses: Addresses) -> None:
    """Check the server and bring its schema up to date."""
    engine = make_engine(addresses.database_url, application_name="attribution-up", pool_size=2)
    try:
        for warning in check_server(engine):
            log.warning("database.unsafe", reason=warning)
        upgrade_to_head(engine)
    finally:
        engine.dispose()
