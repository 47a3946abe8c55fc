"""Wake events that waited for something that has come."""

from sqlalchemy import Connection, text

from domain.known import Changes, Known
from infra.rows import as_json


def wake_waiting(connection: Connection, known: Known, changes: Changes) -> None:
    """What waited for a payment that has come now is due at once; what another worker has at hand, it looks after.

    Several events may tell of one reversal, and all of them wait for the same payment.
    """
    if not known.reversals or not (changes.payments or changes.transactions):
        return
    connection.execute(
        text("""
            update inbox set next_attempt_at = now()
            from json_to_recordset(cast(:told as json)) as w(provider text, reversal_key text)
            where inbox.provider = w.provider and jsonb_exists(inbox.outcome -> 'reversals', w.reversal_key)
                and inbox.state = 'waiting' and inbox.claimed_by is null
        """),
        {"told": as_json({"provider": r.provider, "reversal_key": r.reversal_key} for r in known.reversals.values())},
    )
