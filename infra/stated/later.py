"""Statements that are written down now and worked on later, by a worker: for as many at once as no transaction could
hold the locks of.
"""

from dataclasses import dataclass

import msgspec
from sqlalchemy import text

from domain.facts import COMPANY
from infra.bodies import encode
from infra.providers.api.documents import Statement
from infra.stated.telling import Telling


@dataclass(frozen=True, slots=True)
class LaterTelling(Telling):
    """Says by putting a row into the inbox, due at once; nothing of it is to be seen before a worker was there."""

    def lock(self, *names: str) -> None:
        """Nothing is worked on here, so nobody needs to be kept away."""

    def say(self, event_type: str, event_key: str, document: Statement) -> bool:
        """Write a statement down; False where this event is there already."""
        body = msgspec.json.encode(document)
        codec, encoded = encode(body)
        row = {
            "provider": COMPANY,
            "event_key": event_key,
            "event_type": event_type,
            "occurred_at": document.stated_at,
            "body_codec": codec,
            "body_bytes": len(body),
            "body": encoded,
        }
        statement = f"insert into inbox ({', '.join(row)}) values ({', '.join(f':{name}' for name in row)})"
        return self.connection.execute(text(f"{statement} on conflict do nothing"), row).rowcount == 1
