"""The ledger in memory of a program that links customers by e-mail."""

from collections.abc import Sequence
from dataclasses import replace

from domain.catalogue import Catalogue
from domain.facts import BillingEvent, CustomerSeen
from domain.known import Known, ProviderCustomerKey
from tests.memory_ledger import MemoryLedger


class AddressLedger(MemoryLedger):
    """Tells all that was ever said of anybody: more than sharing an address needs."""

    def load_known(self, events: Sequence[BillingEvent], catalogue: Catalogue) -> Known:
        """Everything that was said, too."""
        said: dict[ProviderCustomerKey, tuple[CustomerSeen, ...]] = {}
        for each in self.descriptions.values():
            place = (each.provider, each.provider_customer_key)
            said[place] = (*said.get(place, ()), each)
        return replace(super().load_known(events, catalogue), descriptions=said)
