"""`python -m webhooks`: the receiver on PORT, in this one process, until SIGTERM or SIGINT.

SIGHUP has it read the webhooks' secrets again.
"""

import sys

import structlog

from infra.long_lived import spare_what_is_loaded
from infra.serving import begin, end_in_time, serve
from webhooks.app import Application

_log = structlog.get_logger()


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings do not do."""
    settings = begin("web", "PORT", lambda settings: settings.port, never_block=True)
    if settings is None:
        return 2
    application = Application(settings)
    spare_what_is_loaded()
    serve(
        application,
        settings.port,
        announce_stop=application.announce_stop,
        cut_short=lambda: end_in_time(lambda: _log.warning("receiver.cut_short")),
        reload=application.reload_secrets,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
