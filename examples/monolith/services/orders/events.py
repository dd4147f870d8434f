"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from waybill.contracts.event import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLine:
    """One product of the order."""

    line_id: int
    """Key of the row."""
    product_id: int
    """Key of the product."""
    name: str
    """Its name on the day of the order."""
    price: int
    """Price of one on that day, in minor units."""
    quantity: int
    """How many."""

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "line_id": self.line_id,
            "product_id": self.product_id,
            "name": self.name,
            "price": self.price,
            "quantity": self.quantity,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            line_id=datum["line_id"],
            product_id=datum["product_id"],
            name=datum["name"],
            price=datum["price"],
            quantity=datum["quantity"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRemoved(Event):
    """The row of an order is gone, and its lines with it."""

    topic: ClassVar[str | None] = "shop.rows.orders.v1"
    aggregate_type: ClassVar[str] = "order_row"
    event_type: ClassVar[str] = "shop.OrderRemoved"
    schema_version: ClassVar[int] = 1

    order_id: int
    """Key of the row."""

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
class OrderStored(Event):
    """An order with all columns and lines, as they stand."""

    topic: ClassVar[str | None] = "shop.rows.orders.v1"
    aggregate_type: ClassVar[str] = "order_row"
    event_type: ClassVar[str] = "shop.OrderStored"
    schema_version: ClassVar[int] = 1

    order_id: int
    """Key of the row."""
    customer_id: int
    """Key of the customer."""
    status: str
    """new, shipped or cancelled."""
    placed_at: str
    """When it was placed: RFC 3339, in UTC."""
    shipped_at: str | None = None
    """When it was shipped; null until then."""
    name: str
    """Who receives it."""
    email: str
    """Mail address for messages about it."""
    street: str
    """Street and number."""
    postcode: str
    """Postcode."""
    city: str
    """City."""
    note: str
    """What the customer asks for; may be empty."""
    total: int
    """Sum over the lines, in minor units."""
    lines: tuple[StoredLine, ...]
    """What was ordered."""

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
            "placed_at": self.placed_at,
            "shipped_at": self.shipped_at,
            "name": self.name,
            "email": self.email,
            "street": self.street,
            "postcode": self.postcode,
            "city": self.city,
            "note": self.note,
            "total": self.total,
            "lines": [item.to_avro() for item in self.lines],
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            status=datum["status"],
            placed_at=datum["placed_at"],
            shipped_at=datum["shipped_at"],
            name=datum["name"],
            email=datum["email"],
            street=datum["street"],
            postcode=datum["postcode"],
            city=datum["city"],
            note=datum["note"],
            total=datum["total"],
            lines=tuple(map(StoredLine.from_avro, datum["lines"])),
        )


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "shop.OrderRemoved": OrderRemoved,
        "shop.OrderStored": OrderStored,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("shop.OrderRemoved", 1): "shop.rows.orders.v1/OrderRemoved.v1.avsc",
        ("shop.OrderStored", 1): "shop.rows.orders.v1/OrderStored.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
