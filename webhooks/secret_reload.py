"""The webhooks' secrets are read again while the receiver runs (SIGHUP); every other setting takes a restart.

What is wrong leaves the secrets that are in force. So does a provider that has none any more: a misspelt name would
take its endpoint away. What is read is `.env` and the files that `<NAME>_FILE` names.
"""

from collections.abc import Callable, Mapping

import structlog

from infra.settings import WEBHOOK_SECRETS, Settings, SettingsError, fixed_by_environment, load_settings
from webhooks.doors import Door, doors_of

_log = structlog.get_logger()


def accepted_by(doors: Mapping[str, Door]) -> dict[str, list[str]]:
    """Fingerprints of the secrets that are believed, by provider."""
    return {door.provider: list(door.fingerprints) for door in doors.values()}


class SecretReload:
    """Called, reads the settings and hands new doors to `replace_doors`; tells `count` whether it did.

    `settings` and `doors` are those the process started with.
    """

    def __init__(
        self,
        settings: Settings,
        doors: Mapping[str, Door],
        replace_doors: Callable[[Mapping[str, Door]], None],
        count: Callable[[str], None],
    ) -> None:
        self._started_with = settings
        self._doors = doors
        self._replace_doors = replace_doors
        self._count = count

    def __call__(self) -> None:
        """Read again. Nothing is raised: a bad setting is logged by name."""
        try:
            settings = load_settings()
            doors = doors_of(settings)
            self._require_every_door(doors)
        except SettingsError as error:
            self._count("refused")
            _log.error("secrets.kept", problems=list(error.problems), accepted=accepted_by(self._doors))
            return
        self._doors = doors
        self._replace_doors(doors)
        self._count("applied")
        _log.info("secrets.reloaded", accepted=accepted_by(doors))
        self._tell_what_stays(settings)

    def _require_every_door(self, doors: Mapping[str, Door]) -> None:
        names = {f"/webhooks/{field.partition('_')[0]}": field.upper() for field in WEBHOOK_SECRETS}
        problems = tuple(
            f"{names[path]}: is not set any more; set it, or restart the receiver to close {path}"
            for path in self._doors
            if path not in doors
        )
        if problems:
            raise SettingsError(problems)

    def _tell_what_stays(self, settings: Settings) -> None:
        """A change that was made and does nothing would be looked for in vain."""
        if fixed := fixed_by_environment():
            reason = "set in this process' environment, which a reload does not change; set it in .env instead"
            _log.warning("secrets.fixed", settings=list(fixed), reason=reason)
        changed = [
            field.upper()
            for field in Settings.model_fields
            if field not in WEBHOOK_SECRETS and getattr(settings, field) != getattr(self._started_with, field)
        ]
        if changed:
            _log.warning("settings.postponed", settings=changed, reason="these take a restart")
