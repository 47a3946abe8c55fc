"""Where a customer stands after each payment: what counting rules and limits read of everything before it.

One standing follows from the one before it and one payment, so that judging the latest payment needs one standing
and not the customer's history. A standing knows payments as they were paid: reversals change none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.limits import Usage
from domain.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer after a payment; the default is one who has paid nothing yet."""

    #: How many payments of more than nothing.
    number: int = 0
    #: What was paid in all, without tax, in minor units per currency.
    revenue: Mapping[str, int] = field(default_factory=dict)
    #: What each limited trigger fired, by trigger key.
    usage: Mapping[str, Usage] = field(default_factory=dict)

    def paid(self, paid: Transaction) -> "Standing":
        """After this payment, before its triggers. A payment of nothing is not counted."""
        net_minor = paid.net_minor
        if net_minor == 0:
            return self
        earlier = self.revenue.get(paid.currency, 0)
        revenue = {**self.revenue, paid.currency: earlier + net_minor}
        return Standing(self.number + (net_minor > 0), revenue, self.usage)

    def fired(self, trigger_key: str, at: datetime, currency: str, amount_minor: int) -> "Standing":
        """After a limited trigger fired."""
        usage = self.usage.get(trigger_key) or Usage(0, at)
        return replace(self, usage={**self.usage, trigger_key: usage.and_once_more(currency, amount_minor)})
