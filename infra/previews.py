"""Preview a draft trigger over recorded history, in portions: memory does not grow with the history.

Everything is read from one snapshot that holds no lock on the program: a preview of an hour keeps nobody waiting, and
what is saved meanwhile is not in it.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, text

from domain import ids
from domain.errors import Rejected
from domain.known import BEGINNING
from domain.occasions import subjects_of
from domain.preview import Preview, PreviewRow, RowKey, with_draft
from domain.trigger_warnings import TriggerWarning
from domain.triggers import TriggerEvent, parse_trigger
from domain.windows import epoch_ms
from infra.ledger.case_files import load_previewed
from infra.ledger.customer_files import load_booked_on, load_customer_files
from infra.program import ProgramReader
from infra.program_changes import key_of, warnings_about
from infra.settings import Settings

#: Transactions, customers or partners judged at once.
_PORTION = 1_000
_STATEMENT_TIMEOUT = "10min"

#: Told how much is judged, and how much there is in all; what it raises ends the preview.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a draft would have paid from `since` on and before `until`, per partner, product and currency."""

    since: datetime
    until: datetime
    rows: Mapping[RowKey, PreviewRow]
    transactions_count: int
    warnings: Sequence[TriggerWarning]


def preview(
    connection: Connection,
    document: object,
    from_: datetime | None,
    to: datetime,
    settings: Settings,
    *,
    replaces: str | None = None,
    now: datetime | None = None,
    progress: Progress = lambda done, total: None,
) -> Previewed:
    """Judge what happened from `from_` (None: from the beginning) until before `to` as if the draft had been in force.

    `replaces` names a trigger whose place the draft takes. Warnings are as of `now` (None: as of `to`). `connection` is
    in a transaction that has done nothing yet. Raises RejectedDocument with every mistake in the document, Rejected for
    an unknown trigger or an empty period.
    """
    draft = parse_trigger(document)
    since = from_ or BEGINNING
    if since >= to:
        raise Rejected("must be later than from", "to")
    connection.execute(text("set transaction isolation level repeatable read, read only"))
    connection.execute(text(f"set local statement_timeout = '{_STATEMENT_TIMEOUT}'"))
    reader = ProgramReader(settings)
    program = reader.read(connection)
    if replaces is not None and replaces not in program.triggers:
        raise Rejected(f"there is no trigger {replaces}", "replaces")
    # A tie between positions is settled by key: the draft stands under the one that saving it would give it.
    saying = draft if from_ is None else replace(draft, effective_from=from_)
    key = replaces or key_of(saying, lambda key: program.triggers.get(key, ()))
    drafted = with_draft(program, key, draft, since)
    judged = Preview(drafted, key, since, to)
    count = _judge(connection, judged, progress)
    saved = drafted.triggers[key][-1]
    return Previewed(since, to, judged.rows, count, warnings_about(connection, reader, saved, now or to))


def _judge(connection: Connection, judged: Preview, progress: Progress) -> int:
    """Judge everything, portion by portion; how many transactions that were."""
    events = {version.event for versions in judged.program.docket.on_occasions for version in versions}
    paid = "select count(*) from transactions where occurred_at >= :since and occurred_at < :until"
    payments = _count(connection, paid, since=judged.since, until=judged.until)
    parts = [_payments(connection, judged)]
    total = payments
    if events - {TriggerEvent.PARTNER_JOINED}:
        parts.append(_customers(connection, judged))
        total += _count(connection, f"select count(*) from ({_EVERYBODY}) who")
    if TriggerEvent.PARTNER_JOINED in events:
        parts.append(_partners(connection, judged))
        total += len(judged.program.partners)
    done = 0
    progress(done, total)
    for part in parts:
        with closing(part):
            for count in part:
                done += count
                progress(done, total)
    return payments


def _count(connection: Connection, statement: str, **parameters: object) -> int:
    return int(connection.scalar(text(statement), parameters) or 0)


def _payments(connection: Connection, judged: Preview) -> Generator[int, None, None]:
    """Customer by customer, under all names, each one's payments in order: of who is done with, nothing is kept."""
    rows = _stream(
        connection,
        """
        select t.key, coalesce(p.customer, t.provider || ' ' || coalesce(t.provider_customer_key, t.key)) as whose
        from transactions t left join provider_customers p
            on p.provider = t.provider and p.provider_customer_key = t.provider_customer_key
        where t.occurred_at >= :since and t.occurred_at < :until
        order by whose, t.occurred_at, t.key collate "C"
        """,
        since=judged.since,
        until=judged.until,
    )
    last, program = None, judged.program
    for portion in rows:
        if portion[0].whose != last:
            judged.forget_customers()
        keys = [row.key for row in portion]
        whose = [last, *(row.whose for row in portion)]
        first = [key for key, (before, now) in zip(keys, pairwise(whose), strict=True) if now != before]
        case = load_previewed(connection, keys, first, program.horizon, program.docket.needed)
        judged.add_payments(keys, case)
        last = whose[-1]
        yield len(keys)


#: Our customers, and those of providers that nobody has linked.
_EVERYBODY = """
    select key as customer, null as provider, null as provider_customer_key from customers
    union all select null, provider, provider_customer_key from provider_customers where customer is null
"""


def _customers(connection: Connection, judged: Preview) -> Generator[int, None, None]:
    counting = judged.program.docket.occasions_count_payments
    for portion in _stream(connection, _EVERYBODY):
        customers = [row.customer for row in portion if row.customer is not None]
        people = [(row.provider, row.provider_customer_key) for row in portion if row.customer is None]
        files = [file for file, _ in load_customer_files(connection, people, customers, with_standings=counting)]
        booked = load_booked_on(connection, {subject for file in files for subject in subjects_of(file)})
        for file in files:
            judged.add_customer(file, booked)
        yield len(portion)


def _partners(connection: Connection, judged: Preview) -> Generator[int, None, None]:
    partners = sorted(judged.program.partners)
    for first in range(0, len(partners), _PORTION):
        portion = partners[first : first + _PORTION]
        booked = load_booked_on(connection, [ids.partner_subject(key) for key in portion])
        for partner_key in portion:
            judged.add_partner(partner_key, booked)
        yield len(portion)


def _stream(connection: Connection, statement: str, **parameters: object) -> Generator[Sequence[Any], None, None]:
    """The rows of a query in portions, from a cursor that stays at the server."""
    options = {"stream_results": True, "yield_per": _PORTION}
    with connection.execute(text(statement), parameters, execution_options=options) as rows:
        yield from rows.partitions(_PORTION)


# As a document.


def document(found: Previewed) -> dict[str, Any]:
    """The whole preview for JSON; money in minor units, times in epoch milliseconds, null: from the beginning."""
    rows = sorted(found.rows.items(), key=lambda item: (item[0][0], item[0][2], item[0][1] or ""))
    totals: dict[str, PreviewRow] = {}
    for (_, _, currency), row in rows:
        whole = totals.setdefault(currency, PreviewRow())
        for column in ("draft_minor", "draft_count", "total_minor", "booked_minor"):
            setattr(whole, column, getattr(whole, column) + getattr(row, column))
    return {
        "from": None if found.since == BEGINNING else epoch_ms(found.since),
        "to": epoch_ms(found.until),
        "transactions": found.transactions_count,
        "rows": [
            {"partner_key": partner, "product": product, "currency": currency, **_amounts(row)}
            for (partner, product, currency), row in rows
        ],
        "totals": [{"currency": currency, **_amounts(row)} for currency, row in sorted(totals.items())],
        "warnings": [
            {"kind": each.kind.value, "field": each.field, "message": each.message} for each in found.warnings
        ],
    }


def _amounts(row: PreviewRow) -> dict[str, int]:
    return {
        "amount": row.draft_minor,
        "count": row.draft_count,
        "amount_all_triggers": row.total_minor,
        "amount_booked": row.booked_minor,
    }
