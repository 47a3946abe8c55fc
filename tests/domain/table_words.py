"""The words of the tables: what each kind of line looks like, and what a trigger's options mean."""

import re
from collections.abc import Callable
from typing import Any

from domain.money import exponent

_MONEY = r"(?P<amount>-?[\d.]+) (?P<currency>[A-Z]{3})"
_NAME = r"[A-Z][\w ]*?"
_SINCE = r"(, from (?P<since>\S+))?"

WORDS = {
    "product": re.compile(rf"(?P<name>{_NAME})(, also (?P<alias>\S+))?{_SINCE}"),
    "partner": re.compile(rf"(?P<key>\w+)( in (?P<group>\w+))?( tagged (?P<tags>[\w ]+?))?{_SINCE}"),
    "trigger": re.compile(
        r"(?P<key>\w+): (?P<worth>[\d.]+ (percent|[A-Z]{3})) (?P<of>(of|when) [\w ]+)(?P<more>(, [^,]+)*)"
    ),
    "people": re.compile(r"(?P<verb>approve|pay|hold|resume|decline)( (?P<what>\w+))?( because (?P<reason>.+))?"),
    "calendar": re.compile(r"releases( after (?P<days>\d+) days)?"),
    "customer": re.compile(
        r"(?P<key>cus_\w+)( is (?P<company>\w+))?( of (?P<partner>\w+))?(, in (?P<country>[A-Z]{2}))?"
        r"(, mail (?P<email>\S+))?"
    ),
    "subscription": re.compile(
        r"(?P<key>sub_\w+) of (?P<customer>\w+)( through (?P<partner>\w+))? (?P<status>\w+)( since (?P<over>\S+))?: "
        r"(?P<items>.+)"
    ),
    "item": re.compile(rf"(?P<product>{_NAME}) {_MONEY}"),
    "invoice": re.compile(r"(?P<key>in_\w+) of (?P<customer>\w+) paid (?P<lines>.+?)(, tax (?P<tax>[\d.]+))?"),
    "line": re.compile(
        rf"{_MONEY} (?P<product>{_NAME}|nothing)( at (?P<price>\S+))?( less (?P<discount>[\d.]+))?( on (?P<sub>\S+))?"
    ),
    "taken": re.compile(
        rf"(?P<key>\w\w_\w+) of (?P<invoice>in_\w+) (?P<verb>\w+) {_MONEY}( off (?P<of>.+?))?(?P<out>, paid out)?"
    ),
}

_EVENTS = {
    "when a partner joins": "partner_joined",
    "when a customer is created": "customer_created",
    "when a product is bought": "product_created",
    "when a product changes": "product_status_changed",
}
_PLACES = ["first", "second", "third"]


def trigger_document(key: str, worth: str, of: str, options: list[str]) -> dict[str, Any]:
    """The trigger's JSON body; `since` beside it is the day it takes effect, if one is named."""
    number, unit = worth.split()
    action: dict[str, Any] = {"type": "percent", "percent": number}
    if unit != "percent":
        action = {"type": "flat", "amount": minor(number, unit), "currency": unit.lower()}
    document: dict[str, Any] = {"name": key, "event": _EVENTS.get(of, "transaction_created"), "action": action}
    rules: list[dict[str, Any]] = []
    if of not in _EVENTS and of != "of every payment":
        rules.append(condition("product.name", "is_any_of", of.removeprefix("of ").split(" or ")))
    for option in options:
        _read_option(option, rules, document)
    return {**document, "rules": {"all": rules} if rules else None}


def condition(field: str, operator: str, value: object) -> dict[str, Any]:
    """One condition's JSON."""
    return {"field": field, "op": operator, "value": value}


def minor(amount: str, currency: str) -> int:
    """`49.00` dollars in cents."""
    units, _, cents = amount.partition(".")
    places = exponent(currency)
    return int(units + cents.ljust(places, "0")[:places]) if places else int(units)


def _read_option(option: str, rules: list[dict[str, Any]], document: dict[str, Any]) -> None:
    """What stands after a comma. Raises ValueError for what nobody can read."""
    for pattern, make in _CONDITIONS:
        if (found := re.fullmatch(pattern, option)) is not None:
            rules.append(make(*found.groups()))
            return
    _read_term(option, document)


_CONDITIONS: list[tuple[str, Callable[..., dict[str, Any]]]] = [
    (r"for group (\w+)", lambda group: condition("partner.group", "is_any_of", [group])),
    (r"tagged (\w+)", lambda tag: condition("partner.tags", "contains", tag)),
    (r"for customers in (\w+)", lambda country: condition("customer.country", "is_any_of", [country])),
    (r"for customers at (\S+)", lambda domain: condition("customer.email_domain", "is_any_of", [domain])),
    (r"for customers younger than (\d+) days", lambda n: condition("customer.age", "newer_than", {"days": int(n)})),
    (r"for product (.+)", lambda name: condition("product.name", "is_any_of", [name])),
    (r"(?:while|to) (\w+)", lambda status: condition("product.status", "is_any_of", [status])),
    (r"from payments of (\S+) (\w+)", lambda *money: condition("transaction.amount", "gte", minor(*money))),
    (r"on the first (\d+) payments", lambda count: condition("transaction.number", "lte", int(count))),
    (r"after (\S+) (\w+) revenue", lambda *money: condition("customer.revenue", "gte", minor(*money))),
]


def _read_term(option: str, document: dict[str, Any]) -> None:
    action = document["action"]
    match option.split():
        case [("first" | "second" | "third") as place, "of", group]:
            document |= {"position": _PLACES.index(place), "exclusive_group": group}
        case ["once", "per", "customer"]:
            action.setdefault("limit", {})["per_customer"] = 1
        case ["for", months, "months"]:
            action.setdefault("limit", {})["months"] = int(months)
        case ["up", "to", amount, currency]:
            action.setdefault("limit", {})["amount_max"] = minor(amount, currency)
        case ["in", count, "monthly", "parts", *rest]:
            stops = rest == ["until", "churn"]
            action["drip"] = {"cycle": {"months": 1}, "occurrences": int(count), "stop_on_churn": stops}
        case ["since", day]:
            document["since"] = day
        case ["stopped"]:
            document["active"] = False
        case _:
            raise ValueError(f"cannot read the option {option}")
