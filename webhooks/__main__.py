"""`python -m webhooks`: the receiver on PORT, in this one process, until SIGTERM or SIGINT.

SIGHUP has it read the webhooks' secrets again.
"""

import os
import sys
import time

import structlog

from infra.embedded.parent_watch import exit_with_supervisor
from infra.log import configure_logging
from infra.long_lived import spare_what_is_loaded
from infra.serving import require_addresses, require_free_port, serve
from infra.settings import SettingsError, load_settings
from webhooks.app import Application

#: All there is time for between a SIGTERM and the end: reading a body, committing it, saying so.
STOP_WITHIN_S = 10.0

_log = structlog.get_logger()


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings do not do."""
    try:
        settings = load_settings()
        require_addresses(settings)
        require_free_port("PORT", settings.port)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    exit_with_supervisor()
    configure_logging("web", never_block=True, log_format=settings.log_format)
    application = Application(settings)
    spare_what_is_loaded()
    serve(
        application,
        settings.port,
        announce_stop=application.announce_stop,
        cut_short=_end_in_time,
        reload=application.reload_secrets,
    )
    return 0


def _end_in_time() -> None:
    """Nobody was told of anything uncommitted: leaving hard loses nothing but the last answers."""
    time.sleep(STOP_WITHIN_S - 1)
    _log.warning("receiver.cut_short")
    time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
