"""`python -m dashboard`: the pages and the API on DASHBOARD_PORT, in this one process, until SIGTERM or SIGINT."""

import os
import sys
import time

import structlog

from dashboard.app import create_app
from infra.embedded.parent_watch import exit_with_supervisor
from infra.log import configure_logging
from infra.serving import require_addresses, require_free_port, serve
from infra.settings import SettingsError, load_settings

#: All there is time for between a SIGTERM and the end; `attribution up` waits no longer either.
STOP_WITHIN_S = 10.0

_log = structlog.get_logger()


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings do not do."""
    try:
        settings = load_settings()
        require_addresses(settings)
        require_free_port("DASHBOARD_PORT", settings.dashboard_port)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    exit_with_supervisor()
    configure_logging("dashboard", log_format=settings.log_format)
    app = create_app(settings)

    def announce_stop() -> None:
        app.state.health.stopping = True

    serve(app, settings.dashboard_port, announce_stop=announce_stop, cut_short=_end_in_time)
    return 0


def _end_in_time() -> None:
    """What is not committed was promised to nobody: leaving hard loses nothing but the last answers."""
    time.sleep(STOP_WITHIN_S - 1)
    _log.warning("dashboard.cut_short")
    time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
