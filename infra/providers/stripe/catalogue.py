"""Stripe's products, prices and plans as descriptions. A plan of 2016 names no product: it is one itself."""

from typing import Final

import msgspec

from domain.errors import Unreadable
from domain.facts import PriceDescribed, ProductDescribed, Source
from infra.providers.stripe import shapes
from infra.providers.stripe.reading import ENDED_RANK, PROVIDER, Translation, change_of, expect_object, id_of, text_of

_products: Final = msgspec.json.Decoder(shapes.Event[shapes.Product])
_prices: Final = msgspec.json.Decoder(shapes.Event[shapes.DescribedPrice])


def product_described(body: bytes, source: Source) -> Translation:
    """What a product is called; one that was deleted is archived for good."""
    product = change_of(_products.decode(body)).object
    expect_object(product.object, "product")
    return (_described(product, product.id, source),)


def price_described(body: bytes, source: Source) -> Translation:
    """Which product a price or a plan is of. A price that was deleted still leads to what was bought at it."""
    price = change_of(_prices.decode(body)).object
    if price.object not in ("price", "plan"):
        expect_object(price.object, "price")
    product_key = id_of(price.product)
    if product_key is not None:
        return (PriceDescribed(PROVIDER, price.id, product_key, source),)
    if price.object == "plan":
        return (_described(price, price.id, source),)
    raise Unreadable("Object missing required field `product` - at `$.data.object`")


def _described(said: shapes.Product | shapes.DescribedPrice, product_key: str, source: Source) -> ProductDescribed:
    deleted = said.deleted or source.rank == ENDED_RANK
    return ProductDescribed(
        provider=PROVIDER,
        product_key=product_key,
        source=source,
        name=text_of(said.name),
        description=text_of(said.description),
        archived=deleted or not said.active,
        deleted=deleted,
    )
