"""Chargebee's catalogues as descriptions: plans and addons (1.0), items and their prices (2.0).

In 1.0 a plan is product and price at once. In 2.0 lines name item prices only, and nothing but these events says of
which item a price is.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from domain.facts import CatalogueEvent, PriceDescribed, ProductDescribed
from infra.providers.chargebee import shapes
from infra.providers.chargebee.reading import PROVIDER, Told, text_of

_products: Final = msgspec.json.Decoder(shapes.Product)
_item_prices: Final = msgspec.json.Decoder(shapes.ItemPrice)


def _product_described(raw: msgspec.Raw, told: Told) -> CatalogueEvent:
    product = _products.decode(raw)
    deleted = product.deleted or product.status == "deleted" or told.event_type.endswith("_deleted")
    return ProductDescribed(
        provider=PROVIDER,
        product_key=product.id,
        source=told.source(product),
        name=text_of(product.name),
        description=text_of(product.description),
        archived=deleted or product.status == "archived",
        deleted=deleted,
    )


def _price_described(raw: msgspec.Raw, told: Told) -> CatalogueEvent:
    """A price that was deleted still leads to what was bought at it."""
    price = _item_prices.decode(raw)
    return PriceDescribed(PROVIDER, price.id, price.item_id, told.source(price))


#: By the name of the resource, which is also what the event's type begins with. Families hold items and are no product.
CATALOGUE: Final[Mapping[str, Callable[[msgspec.Raw, Told], CatalogueEvent]]] = {
    "plan": _product_described,
    "addon": _product_described,
    "item": _product_described,
    "item_price": _price_described,
}
