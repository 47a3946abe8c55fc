"""What moves a commission besides facts: its due date, the end of its hold period, and people.

Every move holds the customer's lock, as judging does: neither overwrites what the other has just decided.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from domain import ids
from domain.commissions import Commission, CommissionState, move, released
from domain.errors import Missing, TryLater
from domain.known import Touched
from infra.ledger.case_files import commission_of
from infra.ledger.deciding import judge_again
from infra.ledger.held import Held
from infra.ledger.postgres import PostgresLedger
from infra.locks import lock_customers, share_program
from infra.program import ProgramReader
from infra.rows import as_json, fetch

#: Commissions released in one go.
PORTION = 1_000


def release(connection: Connection, now: datetime, hold_days: int | None) -> int:
    """Move up to a portion of what is due: instalments whose day has come, and what was pending long enough.

    How many were moved; fewer than a portion: nothing else is due, but for customers somebody is busy with.
    """
    rows = fetch(
        connection,
        """
        (select * from commissions where state = 'scheduled' and due_at <= :now order by due_at, key limit :count)
        union all
        (select * from commissions where state = 'pending' and earned_at <= :held_since
            and coalesce(due_at, earned_at) <= :held_since order by earned_at, key limit :count)
        """,
        now=now,
        held_since=None if hold_days is None else now - timedelta(days=hold_days),
        count=PORTION,
    )
    locked = lock_customers(connection, {lock_name(row) for row in rows})
    # Asked again under the lock: what was due a moment ago may have been reversed since.
    free = [row.key for row in rows if lock_name(row) in locked]
    found = [commission_of(row) for row in fetch(connection, "select * from commissions where key = any(:k)", k=free)]
    moved = [(c, state) for c in found if (state := released(c, now, hold_days)) is not c.state]
    _set_states(connection, moved)
    return len(moved)


def move_commission(
    connection: Connection, reader: ProgramReader, key: str, to: CommissionState, reason: str | None, cause: str
) -> Commission:
    """Move a commission as a person does; it as it was before.

    Raises Missing for a key nobody knows, Rejected for a move that is not legal, TryLater while the customer's events
    are being worked on. What is declined was never paid out: the customer's later credits are judged again.
    """
    share_program(connection)
    rows = fetch(connection, "select * from commissions where key = :key", key=key)
    if not rows:
        raise Missing(f'no commission is called "{key}"', "key")
    if not lock_customers(connection, {lock_name(rows[0])}):
        raise TryLater("events of this customer are being worked on")
    row = fetch(connection, "select * from commissions where key = :key for update", key=key)[0]
    commission = commission_of(row)
    if to is CommissionState.DECLINED:
        held = Held(connection, {lock_name(row)})
        touched = _credits_on(held, commission, cause)
    _set_states(connection, [(commission, move(commission, to, reason))], reason)
    if to is CommissionState.DECLINED:
        program = reader.read(connection)
        ledger = PostgresLedger(connection, program)
        judge_again(ledger, ledger.affected(touched, program.horizon), program, held)
    return commission


def move_seen(
    connection: Connection, seen: Mapping[str, int], before: CommissionState, to: CommissionState
) -> list[str]:
    """Move the commissions whose key and amount somebody has seen in one state on, in one go; the keys of those moved.

    Left as they are: those that have come to another state or amount since, and those of customers whose events are
    being worked on.
    """
    share_program(connection)
    wanted = "select * from commissions where key = any(:keys) order by key"
    rows = fetch(connection, wanted, keys=sorted(seen))
    locked = lock_customers(connection, {lock_name(row) for row in rows})
    free = [row.key for row in rows if lock_name(row) in locked]
    found = [commission_of(row) for row in fetch(connection, f"{wanted} for update", keys=free)]
    asked = [c for c in found if c.state is before and c.amount_minor == seen[c.key]]
    _set_states(connection, [(c, move(c, to, None)) for c in asked])
    return [c.key for c in asked]


def lock_name(row: Any) -> str:
    """What judging a commission's occasion locks, too."""
    return str(row.customer) if row.customer is not None else ids.partner_subject(row.partner_key)


def _set_states(
    connection: Connection, moved: Iterable[tuple[Commission, CommissionState]], reason: str | None = None
) -> None:
    rows = [{"key": commission.key, "state": state} for commission, state in moved]
    if rows:
        connection.execute(
            text("""
                update commissions c set state = w.state,
                    decline_reason = case when w.state = 'declined' then :reason end
                from json_to_recordset(cast(:rows as json)) as w(key text, state text) where c.key = w.key
            """),
            {"rows": as_json(rows), "reason": reason},
        )


#: A payment, once for every subscription that it paid for.
_CHARGED = """
    select distinct t.provider, t.provider_customer_key, t.occurred_at, l.subscription_key from transactions t
    left join transaction_lines l on l.transaction_key = t.key where t.key = :key
"""


def _credits_on(held: Held, declined: Commission, cause: str) -> Touched:
    """The credits on what a commission was earned on; nobody writes down others meanwhile."""
    rows = fetch(held.connection, _CHARGED, key=declined.claimant.transaction_key)
    paid = [row for row in rows if row.provider_customer_key is not None]
    billed = {(row.provider, row.subscription_key): (row.occurred_at, cause) for row in paid if row.subscription_key}
    held.take({ids.subscription_subject(*place) for place in billed})
    payers = {(row.provider, row.provider_customer_key): (row.occurred_at, cause) for row in paid}
    return Touched(credits=payers, credited=billed)
