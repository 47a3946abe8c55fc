"""`python -m dashboard`: the pages and the API on DASHBOARD_PORT, in this one process, until SIGTERM or SIGINT."""

import sys

import structlog

from dashboard.app import create_app
from infra.long_lived import spare_what_is_loaded
from infra.serving import begin, end_in_time, serve

_log = structlog.get_logger()


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings do not do."""
    settings = begin("dashboard", "DASHBOARD_PORT", lambda settings: settings.dashboard_port)
    if settings is None:
        return 2
    app = create_app(settings)

    def announce_stop() -> None:
        app.state.health.stopping = True

    spare_what_is_loaded()
    serve(
        app,
        settings.dashboard_port,
        announce_stop=announce_stop,
        cut_short=lambda: end_in_time(lambda: _log.warning("dashboard.cut_short")),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
