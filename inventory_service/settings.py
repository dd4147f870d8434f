"""Settings that only the inventory service needs."""

from pydantic import Field

from waybill.runtime.settings import Environment


class InventorySettings(Environment):
    """What a product may be."""

    product_max_stock: int = Field(default=1_000_000_000, ge=1, description="Units on hand at most.")
    currencies: tuple[str, ...] = Field(
        default=("EUR", "USD", "GBP", "CHF", "SEK", "JPY"), description="ISO 4217 codes that the shop sells in."
    )
    product_max_price: int = Field(default=10**12, ge=1, description="Price of one unit at most, in minor units.")
