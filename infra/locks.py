"""Advisory locks, all held until the transaction ends.

Customers are locked without waiting: who does not get the lock does something else first, so no two batches can wait
for each other. Changes to the program wait until no batch is judging, and batches until no change is being made.
"""

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, text

from infra.rows import fetch

#: Any two constants nobody else uses, as PostgreSQL's (int, int) locks: they never meet the bigint ones below.
_PROGRAM = (0x5041, 1)
_CHORE = 0x5043


def lock_customers(connection: Connection, names: Iterable[str]) -> set[str]:
    """Try to lock each of these names; those that are locked now. Never waits."""
    numbers = {name: _number(name) for name in names}
    rows = fetch(
        connection,
        """
        select n from (select distinct n from unnest(cast(:numbers as bigint[])) n order by n) wanted
        where pg_try_advisory_xact_lock(n)
        """,
        numbers=sorted(set(numbers.values())),
    )
    locked = {row.n for row in rows}
    return {name for name, number in numbers.items() if number in locked}


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def share_program(connection: Connection) -> None:
    """Keep the program from changing while this transaction judges by it."""
    fetch(connection, "select pg_advisory_xact_lock_shared(:a, :b)", a=_PROGRAM[0], b=_PROGRAM[1])


def own_program(connection: Connection) -> None:
    """Wait until nobody judges by the program, and keep others from it until this change is committed."""
    fetch(connection, "select pg_advisory_xact_lock(:a, :b)", a=_PROGRAM[0], b=_PROGRAM[1])


def try_chore(connection: Connection, number: int) -> bool:
    """Whether this transaction may do a periodic chore; False while another beat's worker is doing it."""
    return bool(
        connection.scalar(text("select pg_try_advisory_xact_lock(:a, :b)"), {"a": _CHORE, "b": number}),
    )
