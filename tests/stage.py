"""The whole way from stored envelopes to the ledger, without HTTP and Celery: what most tests of meaning play on."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, text

from infra.bodies import encode
from infra.program_changes import save_partner, save_product, save_trigger
from infra.providers.stripe import example_events
from infra.rows import fetch
from infra.settings import Settings, load_settings
from worker.drain import Drain, DrainReport

#: When the program of a test was set up, long before anything else.
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
_GUARDS = r"""
    select cast(tgrelid as regclass), tgname from pg_trigger where not tgisinternal and tgname not like '%\_tallied'
    and tgrelid = any(array['commissions', 'commission_entries']::regclass[])
"""
#: Tests want everything done, however busy the machine is.
_SLICE_S = 60.0


class Stage:
    """One company's program on a database of its own."""

    def __init__(self, engine: Engine, settings: Settings | None = None) -> None:
        self.engine = engine
        self.settings = settings or load_settings({}, env_file=None)
        self.drainer = Drain(engine, self.settings, slice_s=_SLICE_S)

    # Setting the scene.

    def product(self, name: str, external_key: str, **details: Any) -> str:
        """A product book entry."""
        with self.engine.begin() as connection:
            return save_product(connection, name=name, external_key=external_key, now=LONG_AGO, **details)

    def partner(self, partner_key: str, **details: Any) -> None:
        """A partner, joined long ago."""
        with self.engine.begin() as connection:
            save_partner(connection, partner_key=partner_key, now=details.pop("now", LONG_AGO), **details)

    def trigger(self, key: str, percent: str | None = None, *, now: datetime = LONG_AGO, **document: Any) -> None:
        """A trigger on payments; a percentage unless `action` says otherwise."""
        action = document.pop("action", {"type": "percent", "percent": percent})
        body = {"name": key, "event": "transaction_created", "action": action, **document}
        with self.engine.begin() as connection:
            save_trigger(connection, key, body, now)

    # Playing.

    def store(self, events: Iterable[Mapping[str, Any]], delivered_with: str | None = None) -> None:
        """Put Stripe's or Chargebee's events into the inbox, as the receiver does; known ones stay as they are.

        `delivered_with`: the fingerprint of the secret that they showed at the door.
        """
        with self.engine.begin() as connection:
            for event in events:
                body = example_events.body(dict(event))
                codec, stored = encode(body)
                connection.execute(
                    text("""
                        insert into inbox (provider, event_key, event_type, account, livemode, occurred_at,
                            secret_fingerprint, body_codec, body_bytes, body)
                        values (:provider, :key, :type, :account, :livemode, to_timestamp(:second), :secret,
                            :codec, :size, :stored)
                        on conflict do nothing
                    """),
                    {
                        **_envelope(event),
                        "key": event["id"],
                        "secret": delivered_with,
                        "account": event.get("account"),
                        "codec": codec,
                        "size": len(body),
                        "stored": stored,
                    },
                )

    def play(self, events: Sequence[Mapping[str, Any]]) -> DrainReport:
        """Store events and work until nothing is due."""
        self.store(events)
        return self.drainer.sweep()

    def replay(self) -> DrainReport:
        """Everything again, with today's code."""
        with self.engine.begin() as connection:
            connection.execute(
                text("update inbox set state = 'received', next_attempt_at = now(), attempts = 0, finished_at = null")
            )
        return self.drainer.sweep()

    def tamper(self, statement: str) -> None:
        """Change rows by hand, as the tables' owner could, with the books' guards off; what is changed is tallied."""
        with self.engine.begin() as connection:
            guards = connection.execute(text(_GUARDS)).all()
            for table, guard in guards:
                connection.execute(text(f'alter table {table} disable trigger "{guard}"'))
            connection.execute(text(statement))
            for table, guard in guards:
                connection.execute(text(f'alter table {table} enable trigger "{guard}"'))

    def bury(self, *event_keys: str, reason: str, fingerprint: str, attempts: int = 0) -> None:
        """Let stored events have died of one cause when they came."""
        with self.engine.begin() as connection:
            connection.execute(
                text("""
                    update inbox set state = 'dead', next_attempt_at = null, finished_at = now(), attempts = :attempts,
                        reason = :reason, fingerprint = :fingerprint where event_key = any(:keys)
                """),
                {"keys": list(event_keys), "reason": reason, "fingerprint": fingerprint, "attempts": attempts},
            )

    # Looking.

    def ask(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query as tuples."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in fetch(connection, query, **parameters)]

    def commissions(self) -> list[tuple[Any, ...]]:
        """(trigger, transaction, line, partner, minor units, currency) of everything that amounts to something."""
        return self.ask("""
            select trigger_key, transaction_key, line_key, partner_key, amount_minor, currency from commissions
            where amount_minor <> 0 order by 1, 2, 3, 4
        """)

    def products(self) -> dict[str, str]:
        """Status per `<subscription>/<product>`."""
        rows = self.ask("select subscription_key || '/' || product_key, status from products order by 1")
        return dict(rows)

    def books(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that must come out the same, whatever the order: facts, products, transactions, commissions."""
        queries = {
            "transactions": "select key, provider_customer_key, currency, occurred_at from transactions order by 1",
            "lines": "select transaction_key, line_key, gross_minor, discount_minor from transaction_lines"
            " order by 1, 2",
            "products": "select * from products order by 1, 2, 3",
            "history": "select * from product_history order by 1, 2, 3, 4",
            "customers": "select key, customer_key from customers order by 1",
            "links": "select provider, provider_customer_key, customer, email from provider_customers order by 1, 2",
            "inbox": "select event_key, state, reason from inbox order by 1",
        }
        return {"commissions": self.commissions()} | {name: self.ask(query) for name, query in queries.items()}


def _envelope(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the receiver reads of an event, by whose fields it has."""
    if "event_type" in event:
        kind, at = event["event_type"], event["occurred_at"]
        return {"provider": "chargebee", "type": kind, "livemode": None, "second": at}
    return {"provider": "stripe", "type": event["type"], "livemode": event["livemode"], "second": event["created"]}
