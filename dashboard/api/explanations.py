"""`/transactions/{key}/explanation`: why each trigger fired or not, judged again by the very function that booked."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, answered
from dashboard.fields import Key
from dashboard.visits import ThisVisit, manager_routes
from infra.explanations import document, explain_by_name

router = manager_routes("/transactions", "transactions")

_CONDITION: dict[str, Any] = {
    "field": "product.name",
    "op": "is_any_of",
    "expected": ["Inbox"],
    "actual": "Inbox",
    "held": True,
    "note": None,
}
EXAMPLE: dict[str, Any] = {
    "transaction": {
        "key": "stripe:in_1",
        "provider": "stripe",
        "provider_customer_key": "cus_1",
        "customer_key": "acme",
        "amount": 9900,
        "amount_reversed": 0,
        "currency": "usd",
        "occurred_at": 1767225600000,
    },
    "as_of": 1767225600000,
    "partner_key": "ada",
    "lines": [
        {
            "key": "sub_1/prod_inbox",
            "external_subscription_key": "sub_1",
            "external_product_key": "prod_inbox",
            "amount": 9900,
            "amount_reversed": 0,
            "quantity": 1,
            "product_name": "Inbox",
            "product_status": "active",
            "reason": None,
        }
    ],
    "triggers": [
        {
            "trigger_key": "trg_inbox",
            "trigger_version": 1,
            "name": "20 % of Inbox",
            "line_key": "sub_1/prod_inbox",
            "fired": True,
            "reason": "its rules hold",
            "amount": 1980,
            "currency": "usd",
            "partner_key": "ada",
            "arithmetic": "99.00 USD line x 20 % = 19.80 USD",
            "conditions": _CONDITION,
        }
    ],
    "commissions": [
        {
            "key": "cmsn_0a1b2c3d4e5f60718293",
            "trigger_key": "trg_inbox",
            "line_key": "sub_1/prod_inbox",
            "partner_key": "ada",
            "amount": 1980,
            "currency": "usd",
            "reward_status": "pending",
            "instalment": 0,
            "due_at": None,
            "arithmetic": "99.00 USD line x 20 % = 19.80 USD",
        }
    ],
}


class Explained(BaseModel):
    """The payment."""

    key: str
    provider: str
    provider_customer_key: str | None
    customer_key: str | None = Field(description="The company's own id; null while nobody has linked the customer.")
    amount: int
    amount_reversed: int
    currency: str
    occurred_at: int


class ExplainedLine(BaseModel):
    """A line as it was judged."""

    key: str
    external_subscription_key: str | None
    external_product_key: str | None
    amount: int
    amount_reversed: int
    quantity: int | None
    product_name: str | None = Field(description="As of the payment; null without a product.")
    product_status: str | None = Field(description="As of the payment.")
    reason: str | None = Field(description="Why it has no product, or what the eye would miss, such as capitals.")


class Verdict(BaseModel):
    """What one trigger says of one line, or of the whole payment."""

    trigger_key: str
    trigger_version: int
    name: str
    line_key: str | None = Field(description="Null: judged once, on the whole payment.")
    fired: bool
    reason: str
    amount: int | None
    currency: str | None
    partner_key: str | None
    arithmetic: str | None
    conditions: dict[str, Any] | None = Field(
        description="`{field, op, expected, actual, held, note}`, or `{all|any|not: [...], held, note}`; null where "
        "there was nothing to judge. About an object that is not there (a line without product) neither a condition "
        "nor its negation holds; the note says so."
    )


class ExplainedReward(BaseModel):
    """What is booked on it."""

    key: str
    trigger_key: str
    line_key: str | None
    partner_key: str
    amount: int
    currency: str
    reward_status: str
    instalment: int
    due_at: int | None
    arithmetic: str


class Explanation(BaseModel):
    """A payment, its lines, what every trigger says of each, and what is booked."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    transaction: Explained
    as_of: int = Field(description="The moment it was judged as of: when it was paid.")
    partner_key: str | None = Field(description="Whose customer it was then.")
    lines: list[ExplainedLine]
    triggers: list[Verdict]
    commissions: list[ExplainedReward]


@router.get("/{key:path}/explanation")
def explain(visit: ThisVisit, key: Key) -> Answer[Explanation]:
    """Explain a payment by its key, its provider's id, or the key of a commission earned on it."""
    found = document(explain_by_name(visit.connection, key, visit.settings))
    return answered(Explanation(**found), "explained")
