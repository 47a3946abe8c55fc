"""Events about money and the catalogue as older API versions sent them; `tests.builders` has invoices and the like."""

import copy
from collections.abc import Callable
from typing import Any, Final

Json = dict[str, Any]
Shaping = Callable[[Json], Json]


def since_basil(event: Json) -> Json:
    """Basil, clover and dahlia agree on everything about money that is read."""
    return copy.deepcopy(event)


def hybrid(event: Json) -> Json:
    """2025-02-24.acacia: old and new places filled at once; charges still name their invoice."""
    older = copy.deepcopy(event)
    content = older["data"]["object"]
    if content["object"] == "credit_note":
        refunds = content["refunds"]
        content["refund"] = refunds[0]["refund"] if len(refunds) == 1 else None
        content["tax_amounts"] = [_old_tax(tax) for tax in content["total_taxes"]]
        for line in content["lines"]["data"]:
            line["tax_amounts"] = [_old_tax(tax) for tax in line["taxes"]]
        for newer in ("pre_payment_amount", "post_payment_amount"):
            del content[newer]
    return older


def of_2020(event: Json) -> Json:
    """2020-08-27: only the old places; refunds inline in the charge."""
    older = hybrid(event)
    content = older["data"]["object"]
    if content["object"] == "credit_note":
        for newer in ("refunds", "total_taxes"):
            del content[newer]
        for line in content["lines"]["data"]:
            for newer in ("taxes", "pretax_credit_amounts"):
                del line[newer]
    if content["object"] == "charge":
        content["refunds"] = {"object": "list", "data": [], "has_more": False, "total_count": 0}
    return older


def of_2019(event: Json) -> Json:
    """2019-08-14: plans instead of prices, no discounts on a credit note's lines."""
    older = of_2020(event)
    content = older["data"]["object"]
    if content["object"] == "price":
        older["type"] = older["type"].replace("price.", "plan.")
        content["object"], content["amount"] = "plan", content.pop("unit_amount")
        content["interval"] = content.pop("recurring")["interval"]
    if content["object"] == "credit_note":
        for line in content["lines"]["data"]:
            del line["discount_amounts"]
    return older


def of_2016(event: Json) -> Json:
    """2016: no payment intents; a plan has a name and no product."""
    older = of_2019(event)
    content = older["data"]["object"]
    if content["object"] in ("charge", "refund", "dispute"):
        del content["payment_intent"]
    if content["object"] == "plan":
        content["name"] = content["nickname"] or content["id"]
        del content["product"], content["active"]
    return older


#: What changed the shape of an event about money, newest first.
MONEY_ERAS: Final[dict[str, Shaping]] = {
    "dahlia": since_basil,
    "clover": since_basil,
    "basil": since_basil,
    "acacia": hybrid,
    "2020": of_2020,
    "2019": of_2019,
    "2016": of_2016,
}
NAMES: Final = {
    "dahlia": "2026-03-25.dahlia",
    "clover": "2025-10-29.clover",
    "basil": "2025-03-31.basil",
    "acacia": "2025-02-24.acacia",
    "2020": "2020-08-27",
    "2019": "2019-08-14",
    "2016": "2016-07-06",
}
#: From then on a charge does not name its invoice.
WITHOUT_INVOICE: Final = ("dahlia", "clover", "basil")


def in_era(event: Json, era: str) -> Json:
    """The event as it was sent in an era."""
    return MONEY_ERAS[era](event) | {"api_version": NAMES[era]}


def _old_tax(tax: Json) -> Json:
    return {"amount": tax["amount"], "inclusive": tax["tax_behavior"] == "inclusive", "tax_rate": "txr_1"}
