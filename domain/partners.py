"""Partners, and what was known of them as of when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PartnerVersion:
    """A partner's group, tags and country from `effective_from` on; None: since the beginning of time."""

    effective_from: datetime | None
    group: str | None = None
    tags: frozenset[str] = frozenset()
    country: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Partner:
    """One partner of the program, its versions oldest first."""

    partner_key: str
    joined_at: datetime
    versions: tuple[PartnerVersion, ...]

    def version_at(self, at: datetime) -> PartnerVersion:
        """What held at `at`; the first known version holds from the beginning of time."""
        if len(self.versions) == 1:
            return self.versions[0]
        in_force = [v for v in self.versions if v.effective_from is None or v.effective_from <= at]
        return in_force[-1] if in_force else self.versions[0]
