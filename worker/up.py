"""`attribution up`: servers, schema, then every process, until told to stop."""

import os
import socket

import structlog

from domain.errors import Rejected
from infra.database import check_server, make_engine, upgrade_to_head
from infra.embedded import Addresses, servers
from infra.settings import Settings
from worker.processes import process_specs
from worker.supervisor import Supervisor

log = structlog.get_logger()


def run_up(settings: Settings) -> int:
    """Exit code 0 after a clean stop. Raises what keeps it from starting, before anything has."""
    refuse_taken_port("PORT", settings.port)
    refuse_taken_port("DASHBOARD_PORT", settings.dashboard_port)
    _announce(settings)
    with servers(settings.data_dir, database_url=settings.database_url, redis_url=settings.redis_url) as addresses:
        prepare_database(addresses)
        overrides = {"LOG_FORMAT": "text"} if settings.log_format == "auto" and os.isatty(1) else {}
        return Supervisor(process_specs(addresses, overrides)).run()


def _announce(settings: Settings) -> None:
    """Where to send webhooks; what is not set up is said once, as many programs have one provider only."""
    endpoints = {"stripe": settings.stripe_webhook_secrets, "chargebee": settings.chargebee_webhook_users}
    if not settings.stripe_webhook_secrets:
        log.warning("stripe.disabled", reason="STRIPE_WEBHOOK_SECRETS is not set: /webhooks/stripe answers 404")
    if not settings.chargebee_webhook_users:
        log.info("chargebee.disabled", reason="CHARGEBEE_WEBHOOK_USERS is not set: /webhooks/chargebee answers 404")
    open_paths = [f"/webhooks/{provider}" for provider, secrets in endpoints.items() if secrets] or ["/webhooks/stripe"]
    receiver = ", ".join(f"http://localhost:{settings.port}{path}" for path in open_paths)
    pages = f"http://localhost:{settings.dashboard_port}/"
    log.info("program.started", receiver=receiver, pages=pages, data_dir=str(settings.data_dir))


def prepare_database(addresses: Addresses) -> None:
    """Check the server and bring its schema up to date."""
    engine = make_engine(addresses.database_url, application_name="attribution-up", pool_size=2)
    try:
        for warning in check_server(engine):
            log.warning("database.unsafe", reason=warning)
        upgrade_to_head(engine)
    finally:
        engine.dispose()


def refuse_taken_port(name: str, port: int) -> None:
    """Raise Rejected where something else listens on the port already that the setting `name` says."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - where it will listen
        except OSError as error:
            message = f"port {port} cannot be used ({error.strerror}); set {name} to another one"
            raise Rejected(message, name.lower()) from None
