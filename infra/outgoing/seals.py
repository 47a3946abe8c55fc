"""Endpoints' secrets at rest: sealed with a key from outside the database, where the settings have one.

Without a key they lie there as they are, and whoever reads the database, or a backup of it, can sign. What was written
then stays readable once there is a key, until it is sealed.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection

from domain.errors import Rejected
from infra.rows import as_json, fetch, run

#: No secret of ours begins like this.
_SEALED: Final = "sealed:"
#: Where secrets lie, and by what their rows are known; endpoints first, whose rows are locked before the others'.
_SECRETS: Final = (("webhook_endpoints", "key"), ("webhook_earlier_secrets", "id"))


class SealBroken(Rejected):
    """No key that is set opens what is there: the one that sealed it is missing."""

    def __init__(self) -> None:
        super().__init__("its secret cannot be opened; SEALING_KEYS lacks the key that sealed it")


class Seal:
    """Seals with the first of the keys, opens with any of them. None: nothing is sealed."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    @property
    def is_there(self) -> bool:
        """Whether what is written from now on is sealed."""
        return self._fernet is not None

    def close(self, secret: str) -> str:
        """What to store."""
        if self._fernet is None:
            return secret
        return _SEALED + self._fernet.encrypt(secret.encode()).decode()

    def open(self, stored: str) -> str:
        """The secret. Raises SealBroken."""
        if not stored.startswith(_SEALED):
            return stored
        if self._fernet is None:
            raise SealBroken
        try:
            return self._fernet.decrypt(stored.removeprefix(_SEALED)).decode()
        except InvalidToken:
            raise SealBroken from None

    def open_all(self, stored: Sequence[str]) -> tuple[str, ...]:
        """The present secret, which comes first, and those of the earlier ones that open. Raises SealBroken."""
        found = [self.open(stored[0])]
        for each in stored[1:]:
            with suppress(SealBroken):
                found.append(self.open(each))
        return tuple(found)


def seal_all(connection: Connection, seal: Seal) -> int:
    """Seal every secret anew, with the first key; how many. Raises SealBroken, and nothing is changed."""
    return sum(_seal_column(connection, seal, table, key) for table, key in _SECRETS)


def _seal_column(connection: Connection, seal: Seal, table: str, key: str) -> int:
    rows = fetch(
        connection,
        f"select {key} as key, secret from {table} where secret is not null order by {key} for no key update",
    )
    sealed = [{"key": row.key, "secret": seal.close(seal.open(row.secret))} for row in rows]
    return run(
        connection,
        f"""
        update {table} t set secret = w.secret
        from json_to_recordset(cast(:rows as json)) as w(key text, secret text) where cast(t.{key} as text) = w.key
        """,
        rows=as_json(sealed),
    )


def new_key() -> str:
    """A key as `SEALING_KEYS` takes it."""
    return Fernet.generate_key().decode()
