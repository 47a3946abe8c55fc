"""`/rewards/{key}/explanation`: why a commission was earned, on a payment or on anything else a trigger waits for."""

from pydantic import BaseModel, ConfigDict, Field

from dashboard.answers import Answer, answered
from dashboard.api.explanations import EXAMPLE, Explained, ExplainedLine, ExplainedReward, Verdict
from dashboard.fields import Key
from dashboard.visits import ThisVisit, manager_routes
from infra.occasion_explanations import any_document, explain_any

router = manager_routes("/rewards", "commissions")


class ExplainedOccasion(BaseModel):
    """What a commission was earned on, where that is no payment."""

    event: str
    key: str
    occurred_at: int | None = Field(description="Null: by what is known today, it did not happen.")
    customer_key: str | None = Field(description="The company's own id; null where it is a partner's own.")
    external_subscription_key: str | None
    external_product_key: str | None
    product_name: str | None = Field(description="As of then.")
    product_status: str | None = Field(description="As of then.")


class RewardExplanation(BaseModel):
    """What a commission was earned on, what every trigger says of that, and what is booked on it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE | {"occasion": None}]})

    transaction: Explained | None = Field(default=None, description="Null where something else than a payment.")
    occasion: ExplainedOccasion | None = Field(default=None, description="Null where it was a payment.")
    as_of: int | None = Field(description="The moment it was judged as of: when it happened.")
    partner_key: str | None = Field(description="Whose customer it was then; null where it is a partner's own.")
    lines: list[ExplainedLine] = Field(default_factory=list, description="Of a payment.")
    triggers: list[Verdict]
    commissions: list[ExplainedReward]


@router.get("/{key}/explanation")
def explain_reward(visit: ThisVisit, key: Key) -> Answer[RewardExplanation]:
    """Explain what a commission was earned on, a payment or anything else."""
    found = any_document(explain_any(visit.connection, key, visit.settings))
    return answered(RewardExplanation(**found), "explained")
