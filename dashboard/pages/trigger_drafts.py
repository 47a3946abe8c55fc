"""The usual trigger as a form: which products, whose partners, how much. It becomes the JSON that the editor takes,
where the rest of what triggers can say is added; nothing of it is a second way to judge or to save.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from dashboard.api.product_book import Entry
from dashboard.pages.typed import amount_of, day_of, day_starts
from domain.errors import Rejected
from domain.money import parse_currency, parse_percent
from domain.problems import Problems
from domain.triggers import TriggerEvent

#: Of the boxes that stand for products.
SOLD = "sold-"


def drafted(form: Mapping[str, str], book: Sequence[Entry], zone: ZoneInfo) -> dict[str, Any]:
    """The document that a filled-in form stands for. Raises RejectedDocument with every mistake."""
    problems = Problems()
    names = [entry.name for entry in book if f"{SOLD}{entry.key}" in form]
    action = _action(form, problems)
    document: dict[str, Any] = {
        "name": form.get("title") or _title(form, names),
        "event": TriggerEvent.TRANSACTION_CREATED.value,
        "rules": _rules(names, form.get("group")),
        "action": action,
        "offer": {"description": form.get("offer_text")},
        "active": True,
    }
    if (since := form.get("counts_from")) is not None:
        try:
            document["effective_from"] = day_starts(day_of(since, "counts_from"), zone)
        except Rejected as error:
            problems.add("counts_from", str(error))
    problems.raise_any()
    return {name: value for name, value in document.items() if value is not None}


def _title(form: Mapping[str, str], names: Sequence[str]) -> str:
    """What it pays on what, cut to what a name may hold."""
    share = (
        f"{form['percent']} %" if "percent" in form else f"{form.get('flat', '')} {form.get('currency', '')}".strip()
    )
    return f"{share} of {', '.join(names) or 'every payment'}"[:200]


def _rules(names: Sequence[str], group: str | None) -> dict[str, Any] | None:
    conditions = []
    if names:
        conditions.append({"field": "product.name", "op": "is_any_of", "value": list(names)})
    if group is not None:
        conditions.append({"field": "partner.group", "op": "is_any_of", "value": [group]})
    return {"all": conditions} if len(conditions) > 1 else next(iter(conditions), None)


def _action(form: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    percent, flat, currency = form.get("percent"), form.get("flat"), form.get("currency")
    if (percent is None) == (flat is None):
        problems.add("percent", "or a flat amount: one of the two is what it pays")
        return {}
    try:
        if flat is None:
            parse_percent(percent, "percent")
            return {"type": "percent", "percent": percent}
        code = parse_currency(currency, "currency")
        return {"type": "flat", "amount": amount_of(flat, code, "flat"), "currency": code}
    except Rejected as error:
        problems.add(error.field or "percent", str(error))
        return {}
