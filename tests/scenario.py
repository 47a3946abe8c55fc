"""Scenarios that a program manager can read: who did what on which day, and what must be in the books then.

    on 2026-01-01   product   Inbox, also price_inbox_eu
    on 2026-01-01   partner   ada in gold tagged vip
    on 2026-01-01   trigger   inbox: 20 percent of Inbox, for group gold
    on 2026-03-01   customer  cus_1 is acme of ada
    on 2026-03-02   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
    on 2026-03-02   stripe    in_1 of cus_1 paid 99.00 USD Inbox on sub_1
    expect          19.80 USD to ada for Inbox in in_1, pending

Lines arrive in the order they are written, whatever day they are of. The expectations between two other lines are
all commissions there are (`expect nothing`), and any products (`expect sub_1/Inbox active`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.money import exponent, format_money
from domain.windows import epoch_ms
from infra.program_changes import save_product
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import Event, ItemExample, LineExample
from tests.stage import Stage

_MONEY = r"(?P<amount>-?[\d.]+) (?P<currency>[A-Z]{3})"
_LINE = re.compile(
    rf"{_MONEY} (?P<product>[A-Z][\w ]*?|nothing)( at (?P<price>\S+))?( less (?P<discount>[\d.]+))?( on (?P<sub>\S+))?"
)
_ITEM = re.compile(rf"(?P<product>[A-Z][\w ]*?) {_MONEY}( at (?P<price>\S+))?")
_SINCE = r"(, from (?P<since>\S+))?"
_WHAT = {
    "product": re.compile(rf"(?P<id>prod_\w+ is )?(?P<name>[A-Z][\w ]*)(, also (?P<alias>\S+))?{_SINCE}"),
    "partner": re.compile(rf"(?P<key>\w+)( in (?P<group>\w+))?( tagged (?P<tags>[\w ]+?))?{_SINCE}"),
    "trigger": re.compile(r"(?P<key>\w+): (?P<worth>[\d.]+ (percent|[A-Z]+)) of (?P<of>[\w ]+)(?P<more>(, [\w -]+)*)"),
    "customer": re.compile(r"(?P<key>cus_\w+)( is (?P<company>\w+))?( of (?P<partner>\w+))?( by (?P<member>\w+))?"),
    "invoice": re.compile(r"(?P<key>in_\w+) of (?P<customer>\w+) paid (?P<lines>.+)"),
    "subscription": re.compile(
        r"(?P<key>sub_\w+) of (?P<customer>\w+)( through (?P<partner>\w+))? "
        r"(?P<status>\w+)( since (?P<over>\S+))?: (?P<items>.+)"
    ),
}
#: The catalogue and the partners of the reference story, and what it pays for each product.
CATALOGUE = """
on 2026-01-01   product   Live Chat
on 2026-01-01   product   Knowledge Base
on 2026-01-01   product   Surveys
on 2026-01-01   product   Inbox
on 2026-01-01   partner   ada in gold
on 2026-01-01   partner   bob in silver tagged vip
"""
OFFERS = """
on 2026-01-01   trigger   chat: 10 percent of Live Chat
on 2026-01-01   trigger   base: 15 percent of Knowledge Base
on 2026-01-01   trigger   surveys: 10 percent of Surveys
on 2026-01-01   trigger   inbox: 20 percent of Inbox
"""


@dataclass
class Step:
    """One line: something to do, or what must be so."""

    text: str
    do: Callable[[Stage], None] | None = None
    event: Event | None = None


@dataclass
class Scenario:
    """A table, read."""

    steps: list[Step] = field(default_factory=list)
    #: Product names by the provider's id.
    names: dict[str, str] = field(default_factory=dict)
    _seconds: dict[str, int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def play(self, stage: Stage) -> int:
        """Line by line, asserting every expectation where it stands; how many there were."""
        for step, expected in self._with_expectations():
            if step.do is not None:
                step.do(stage)
                stage.drainer.sweep()
            if step.event is not None:
                stage.play([step.event])
            if expected:
                self._compare(stage, expected, step.text)
        return sum(step.do is None and step.event is None for step in self.steps)

    def play_backwards(self, stage: Stage) -> int:
        """All that people set first, then all events in one batch, the last first, twice; asserting how it ends.

        How many expectations there were at the end.
        """
        for step in self.steps:
            if step.do is not None:
                step.do(stage)
        stage.play([step.event for step in reversed(self.steps) if step.event is not None])
        stage.replay()
        last = [expected for _, expected in self._with_expectations()][-1]
        assert last, "a scenario ends with what is expected"
        self._compare(stage, last, "everything, backwards")
        return len(last)

    def _with_expectations(self) -> Iterator[tuple[Step, list[str]]]:
        step: Step | None = None
        expected: list[str] = []
        for each in self.steps:
            if each.do is None and each.event is None:
                expected.append(each.text)
                continue
            if step is not None:
                yield step, expected
            step, expected = each, []
        if step is not None:
            yield step, expected

    def _compare(self, stage: Stage, expected: list[str], after: str) -> None:
        money = sorted(line for line in expected if " to " in line)
        if money or "nothing" in expected:
            assert self._commissions(stage) == money, f"after: {after}"
        products = stage.products()
        for line in expected:
            if line not in money and line != "nothing":
                place, _, status = line.rpartition(" ")
                subscription, _, name = place.partition("/")
                assert products.get(f"{subscription}/{_id(name)}", "unknown") == status, f"{place} after: {after}"

    def _commissions(self, stage: Stage) -> list[str]:
        rows = stage.ask("""
            select c.partner_key, c.amount_minor, c.currency, c.state, c.member_key, l.product_key, c.line_key,
                c.transaction_key
            from commissions c left join transaction_lines l using (transaction_key, line_key) where amount_minor <> 0
        """)
        return sorted(self._shown(*row) for row in rows)

    def _shown(
        self,
        partner: str,
        amount: int,
        currency: str,
        state: str,
        member: str | None,
        product: str | None,
        line: str | None,
        transaction: str,
    ) -> str:
        what = self.names.get(product or "", "nothing") if line else "all"
        whom = f"{partner}'s {member}" if member else partner
        invoice = transaction.removeprefix("stripe:")
        return f"{format_money(amount, currency)} to {whom} for {what} in {invoice}, {state}"

    # Reading.

    def read(self, line: str) -> None:
        """Add one line of the table. Raises ValueError for one that cannot be read."""
        when, _, rest = line.partition("  ")
        if when == "expect":
            self.steps.append(Step(re.sub(r"\s+", " ", rest.strip())))
            return
        _, _, day = when.partition(" ")
        who, _, what = rest.strip().partition(" ")
        what = re.sub(r"\s+", " ", what.strip())
        kind = {"sub": "subscription", "in_": "invoice"}.get(what[:3], who) if who == "stripe" else who
        found = _WHAT[kind].fullmatch(what)
        if found is None:
            raise ValueError(f"cannot read: {line}")
        at = self._moment(day)
        step = Step(line.strip())
        if kind in ("customer", "invoice", "subscription"):
            step.event = getattr(self, f"_{kind}")(at, **found.groupdict())
        else:
            step.do = getattr(self, f"_{kind}")(at, **found.groupdict())
        self.steps.append(step)

    def _moment(self, day: str) -> datetime:
        """Noon, a second later for each line of that day."""
        count = self._seconds[day] = self._seconds.get(day, -1) + 1
        return _noon(day) + timedelta(seconds=count)

    def _product(self, at: datetime, id: str | None, name: str, alias: str | None, since: str | None) -> Any:  # noqa: A002
        key = id.split()[0] if id else _id(name)
        self.names.setdefault(key, name)

        def save(stage: Stage) -> None:
            aliases = [alias] if alias else []
            since_at = _noon(since) if since else None
            with stage.engine.begin() as connection:
                save_product(
                    connection, name=name, external_key=key, aliases=aliases, effective_from=since_at, now=at
                )  # fmt: skip

        return save

    def _partner(self, at: datetime, key: str, group: str | None, tags: str | None, since: str | None) -> Any:
        since_at = _noon(since) if since else None
        words = tuple((tags or "").split())
        return lambda stage: stage.partner(key, group=group, tags=words, effective_from=since_at, now=at)

    def _trigger(self, at: datetime, key: str, worth: str, of: str, more: str, **_: object) -> Any:
        number, unit = worth.split()
        action: dict[str, Any] = {"type": "percent", "percent": number}
        if unit != "percent":
            action = {"type": "flat", "amount": _minor(number, unit), "currency": unit.lower()}
        document: dict[str, Any] = {}
        rules = [] if of == "every payment" else [_condition("product.name", "is_any_of", of.split(" or "))]
        for option in filter(None, more.split(", ")):
            _read_option(option, rules, document)
        document["rules"] = {"all": rules} if rules else None
        return lambda stage: stage.trigger(key, now=at, action=action, **document)

    def _customer(self, at: datetime, key: str, company: str | None, partner: str | None, member: str | None) -> Event:
        words = {"customer_key": company, "partner_key": partner, "member_key": member}
        kind = self._kind(key)
        return stripe.customer(key, change=kind, at=at, metadata={k: v for k, v in words.items() if v})

    def _subscription(
        self,
        at: datetime,
        key: str,
        customer: str,
        partner: str | None,
        status: str,
        over: str | None,
        items: str,
        **_: object,
    ) -> Event:
        parts = [_matched(_ITEM, part) for part in items.split(", ")]
        kind = "deleted" if status == "canceled" else self._kind(key)
        fields: dict[str, Any] = {"cancel_at_period_end": True} if status == "leaving" else {}
        return stripe.subscription(
            key,
            customer=customer,
            items=[self._item(part) for part in parts],
            status="active" if status == "leaving" else status,
            change=kind,
            at=at,
            ended_at=_noon(over) if over else None,
            currency=parts[0]["currency"].lower(),
            metadata={"partner_key": partner} if partner else {},
            **fields,
        )

    def _item(self, part: dict[str, Any]) -> ItemExample:
        product = self._sold(part["product"])
        price = part["price"] or f"price_{product}"
        return stripe.item(product, price=price, amount=_minor(part["amount"], part["currency"]))

    def _invoice(self, at: datetime, key: str, customer: str, lines: str, **_: object) -> Event:
        parts = [_matched(_LINE, part) for part in lines.split(" + ")]
        subscription = next((part["sub"] for part in parts if part["sub"]), None)
        return stripe.invoice_paid(
            key,
            customer=customer,
            lines=[self._line(part) for part in parts],
            subscription=subscription,
            currency=parts[0]["currency"].lower(),
            paid_at=at,
            at=at,
        )

    def _line(self, part: dict[str, Any]) -> LineExample:
        amount, currency = _minor(part["amount"], part["currency"]), part["currency"]
        product = None if part["product"] == "nothing" else self._sold(part["product"])
        price = part["price"] or (f"price_{product}" if product else None)
        discount = _minor(part["discount"] or "0", currency)
        return LineExample(
            product, price, amount, subscription=part["sub"], discount=discount, proration=amount < 0
        )  # fmt: skip

    def _sold(self, name: str) -> str:
        key = next((key for key, known in self.names.items() if known == name), _id(name))
        self.names.setdefault(key, name)
        return key

    def _kind(self, key: str) -> str:
        kind = "updated" if key in self._seen else "created"
        self._seen.add(key)
        return kind


def scenario(table: str) -> Scenario:
    """A table as a scenario; what follows `#` is for the reader."""
    found = Scenario()
    for line in table.splitlines():
        if text := line.partition("#")[0].strip():
            found.read(text)
    return found


def _read_option(option: str, rules: list[dict[str, Any]], document: dict[str, Any]) -> None:
    match option.split():
        case ["for", "group", group]:
            rules.append(_condition("partner.group", "is_any_of", [group]))
        case ["for", "tag", tag]:
            rules.append(_condition("partner.tags", "contains", tag))
        case ["while", status]:
            rules.append(_condition("product.status", "is_any_of", [status]))
        case [("first" | "second" | "third") as place, "of", group]:
            document |= {"position": ["first", "second", "third"].index(place), "exclusive_group": group}
        case ["from", day]:
            document["effective_from"] = epoch_ms(_noon(day))
        case ["stopped"]:
            document["active"] = False
        case _:
            raise ValueError(f"cannot read the option {option}")


def _condition(field_name: str, operator: str, value: object) -> dict[str, Any]:
    return {"field": field_name, "op": operator, "value": value}


def _matched(pattern: re.Pattern[str], text: str) -> dict[str, Any]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"cannot read: {text}")
    return found.groupdict()


def _noon(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)


def _minor(amount: str, currency: str) -> int:
    units, _, cents = amount.partition(".")
    places = exponent(currency)
    return int(units + cents.ljust(places, "0")[:places]) if places else int(units)


def _id(name: str) -> str:
    return "prod_" + name.lower().replace(" ", "_")
