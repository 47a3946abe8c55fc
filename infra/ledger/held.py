"""Whose facts a transaction has to itself. Never waits: what somebody else has raises TryLater.

A payment is judged with facts of others where it credits what another was charged for: whoever writes one down has all
of them locked that it is judged by. Whoever changes a fact finds the payments that are written down already, and locks
who paid them. So of two at work at once one comes second, and sees what the other did.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from domain import ids
from domain.case import CaseFile
from domain.errors import TryLater
from infra.ledger.deciding import Holding, NamedFile
from infra.locks import lock_customers


def lock_name(provider: str, provider_customer_key: str | None) -> str:
    """What is locked for a customer nobody may have linked; a linked one is locked by our own key as well."""
    return ids.provider_customer_subject(provider, provider_customer_key or "")


class Held(Holding):
    """The names that the caller's transaction has locked; more are locked as they turn out to be concerned."""

    def __init__(self, connection: Connection, names: Iterable[str] = ()) -> None:
        self.connection = connection
        self._names = set(names)

    def take(self, names: Iterable[str]) -> bool:
        """Lock these as well; False: all of them were. Raises TryLater while somebody else has one of them."""
        missing = set(names) - self._names
        if not missing:
            return False
        if missing - lock_customers(self.connection, missing):
            raise TryLater("another worker is busy with a customer whom this concerns")
        self._names |= missing
        return True

    def for_judging(self, case: CaseFile) -> bool:
        """Everybody who paid for what a case holds: those judged, and those whose charges they credit."""
        places = {(paid.provider, paid.provider_customer_key or "") for paid in case.transactions.values()}
        owners = (case.customers.get(place) for place in places)
        return self.take({lock_name(*place) for place in places} | {owner for owner in owners if owner is not None})

    def for_occasions(self, files: Sequence[NamedFile]) -> bool:
        """Whoever owns a product that changed: it may be billed to another."""
        return self.take(
            name
            for file, names in files
            for name in ([file.customer] if file.customer is not None else [lock_name(*place) for place in names])
        )
