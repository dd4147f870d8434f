"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self
from uuid import UUID

from waybill.contracts.event import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedLine:
    """One product of the order."""

    sku: str
    """The product: UUIDv5 of table and key."""
    quantity: int
    """How many."""
    unit_price: int
    """Price of one, in minor units, on the day of the order."""

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "quantity": self.quantity,
            "unit_price": self.unit_price,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            quantity=datum["quantity"],
            unit_price=datum["unit_price"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderErased(Event):
    """An order of the webshop was deleted."""

    topic: ClassVar[str | None] = "shop.orders.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "shop.OrderErased"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order: UUIDv5 of its table and key."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRecorded(Event):
    """An order of the webshop, as it stands: told once for what was there before, and after each change."""

    topic: ClassVar[str | None] = "shop.orders.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "shop.OrderRecorded"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order: UUIDv5 of its table and key."""
    customer_id: str
    """The customer: UUIDv5 of table and key."""
    status: str
    """PENDING, CONFIRMED once it is shipped, or CANCELLED."""
    lines: tuple[RecordedLine, ...]
    """What was ordered."""
    total: int
    """Sum over the lines, in minor units."""
    currency: str
    """ISO 4217 code of the currency."""
    placed_at: str
    """When it was placed: RFC 3339, in UTC."""
    shipped_at: str | None = None
    """When it was shipped; null until then."""
    provenance: str
    """Where this is from: `snapshot`, a row as it stands and not its history."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "status": self.status,
            "lines": [item.to_avro() for item in self.lines],
            "total": self.total,
            "currency": self.currency,
            "placed_at": self.placed_at,
            "shipped_at": self.shipped_at,
            "provenance": self.provenance,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            status=datum["status"],
            lines=tuple(map(RecordedLine.from_avro, datum["lines"])),
            total=datum["total"],
            currency=datum["currency"],
            placed_at=datum["placed_at"],
            shipped_at=datum["shipped_at"],
            provenance=datum["provenance"],
        )


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "shop.OrderErased": OrderErased,
        "shop.OrderRecorded": OrderRecorded,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("shop.OrderErased", 1): "shop.orders.v1/OrderErased.v1.avsc",
        ("shop.OrderRecorded", 1): "shop.orders.v1/OrderRecorded.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
