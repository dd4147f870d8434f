"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self
from uuid import UUID

from waybill.contracts.event import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class StockLine:
    """Units of one product."""

    sku: str
    """Stock keeping unit: the product's key."""
    quantity: int
    """Units, 1 or more."""

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "quantity": self.quantity,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            quantity=datum["quantity"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortage:
    """A product of which too little is free."""

    sku: str
    """Stock keeping unit: the product's key."""
    requested: int
    """Units the order wants."""
    available: int
    """Units on hand that no other order holds."""
    on_hand: int | None = None
    """Units on hand, held ones included; null in what version 1 wrote."""

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "requested": self.requested,
            "available": self.available,
            "on_hand": self.on_hand,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            requested=datum["requested"],
            available=datum["available"],
            on_hand=datum["on_hand"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderLine:
    """One product of an order, at the price it was placed at."""

    sku: str
    """Stock keeping unit: the product's key."""
    quantity: int
    """Units wanted, 1 or more."""
    unit_price: int
    """Price of one unit, in minor units of the order's currency."""

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
class StockCommitted(Event):
    """The goods held for the order left the stock."""

    topic: ClassVar[str | None] = "inventory.events.v1"
    aggregate_type: ClassVar[str] = "reservation"
    event_type: ClassVar[str] = "waybill.inventory.StockCommitted"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    lines: tuple[StockLine, ...]
    """What left, one line a product."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "lines": [item.to_avro() for item in self.lines],
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            lines=tuple(map(StockLine.from_avro, datum["lines"])),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StockRejected(Event):
    """Nothing is held, since at least one line falls short."""

    topic: ClassVar[str | None] = "inventory.events.v1"
    aggregate_type: ClassVar[str] = "reservation"
    event_type: ClassVar[str] = "waybill.inventory.StockRejected"
    schema_version: ClassVar[int] = 2

    order_id: UUID
    """The order."""
    shortages: tuple[Shortage, ...]
    """What falls short, one entry a product."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "shortages": [item.to_avro() for item in self.shortages],
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            shortages=tuple(map(Shortage.from_avro, datum["shortages"])),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StockReleased(Event):
    """Nothing is held for the order, and nothing will be."""

    topic: ClassVar[str | None] = "inventory.events.v1"
    aggregate_type: ClassVar[str] = "reservation"
    event_type: ClassVar[str] = "waybill.inventory.StockReleased"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    lines: tuple[StockLine, ...]
    """What was held until now; empty where nothing was."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "lines": [item.to_avro() for item in self.lines],
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            lines=tuple(map(StockLine.from_avro, datum["lines"])),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StockReserved(Event):
    """Every line of the order is held."""

    topic: ClassVar[str | None] = "inventory.events.v1"
    aggregate_type: ClassVar[str] = "reservation"
    event_type: ClassVar[str] = "waybill.inventory.StockReserved"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    lines: tuple[StockLine, ...]
    """What is held, one line a product."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "lines": [item.to_avro() for item in self.lines],
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            lines=tuple(map(StockLine.from_avro, datum["lines"])),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductDelisted(Event):
    """A product can no longer be ordered; orders placed before go on."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.ProductDelisted"
    schema_version: ClassVar[int] = 1

    sku: str
    """Stock keeping unit: the product's key."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductImportErased(Event):
    """An imported product was deleted in the webshop, and is forgotten here."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.ProductImportErased"
    schema_version: ClassVar[int] = 1

    sku: str
    """The product."""
    source_version: int
    """Version of the product in the webshop's own events, after the deletion."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "source_version": self.source_version,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            source_version=datum["source_version"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductImported(Event):
    """A product of the webshop, as it stood there; nothing of it can be held until it is owned here."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.ProductImported"
    schema_version: ClassVar[int] = 1

    sku: str
    """The product's key, as the webshop tells it."""
    name: str
    """What the product is called in the webshop."""
    unit_price: int
    """Price of one unit, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""
    on_hand: int
    """Units that the webshop can sell; what was ordered there has left them."""
    for_sale: bool
    """Whether the webshop sells it."""
    provenance: str
    """Where this is from: `snapshot`, a row as it stood and not its history."""
    source_version: int
    """Version of the product in the webshop's own events; rises, and may leave numbers out."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "name": self.name,
            "unit_price": self.unit_price,
            "currency": self.currency,
            "on_hand": self.on_hand,
            "for_sale": self.for_sale,
            "provenance": self.provenance,
            "source_version": self.source_version,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            name=datum["name"],
            unit_price=datum["unit_price"],
            currency=datum["currency"],
            on_hand=datum["on_hand"],
            for_sale=datum["for_sale"],
            provenance=datum["provenance"],
            source_version=datum["source_version"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductListed(Event):
    """A product can be ordered."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.ProductListed"
    schema_version: ClassVar[int] = 1

    sku: str
    """Stock keeping unit: the product's key."""
    name: str
    """What the product is called in the shop."""
    unit_price: int
    """Price of one unit, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "name": self.name,
            "unit_price": self.unit_price,
            "currency": self.currency,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            name=datum["name"],
            unit_price=datum["unit_price"],
            currency=datum["currency"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductRenamed(Event):
    """A product has another name."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.ProductRenamed"
    schema_version: ClassVar[int] = 1

    sku: str
    """Stock keeping unit: the product's key."""
    name: str
    """What the product is called from now on."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "name": self.name,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            name=datum["name"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductRepriced(Event):
    """A product has another price; orders placed before keep theirs."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.ProductRepriced"
    schema_version: ClassVar[int] = 1

    sku: str
    """Stock keeping unit: the product's key."""
    unit_price: int
    """Price of one unit, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "unit_price": self.unit_price,
            "currency": self.currency,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            unit_price=datum["unit_price"],
            currency=datum["currency"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StockCorrected(Event):
    """A count or a loss changed the units on hand."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.StockCorrected"
    schema_version: ClassVar[int] = 1

    sku: str
    """Stock keeping unit: the product's key."""
    change: int
    """Units added; negative where units are gone."""
    reason: str
    """Why, in the words of the staff."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "change": self.change,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            change=datum["change"],
            reason=datum["reason"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StockReceived(Event):
    """Units of a product came in."""

    topic: ClassVar[str | None] = "inventory.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "waybill.inventory.StockReceived"
    schema_version: ClassVar[int] = 1

    sku: str
    """Stock keeping unit: the product's key."""
    quantity: int
    """Units that came in, 1 or more."""
    reason: str
    """Where they came from, in the words of the staff."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "quantity": self.quantity,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            quantity=datum["quantity"],
            reason=datum["reason"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationFailed(Event):
    """The customer could not be told."""

    topic: ClassVar[str | None] = "notification.events.v1"
    aggregate_type: ClassVar[str] = "notification"
    event_type: ClassVar[str] = "waybill.notification.NotificationFailed"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    kind: str
    """Which message: a stable code, one for each event that is told."""
    channel: str
    """The way to the customer, such as email."""
    code: str
    """Stable code of what stood in the way."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "kind": self.kind,
            "channel": self.channel,
            "code": self.code,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            kind=datum["kind"],
            channel=datum["channel"],
            code=datum["code"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationSent(Event):
    """The customer was told."""

    topic: ClassVar[str | None] = "notification.events.v1"
    aggregate_type: ClassVar[str] = "notification"
    event_type: ClassVar[str] = "waybill.notification.NotificationSent"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    kind: str
    """Which message: a stable code, one for each event that is told."""
    channel: str
    """The way to the customer, such as email."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "kind": self.kind,
            "channel": self.channel,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            kind=datum["kind"],
            channel=datum["channel"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryFailed(Event):
    """The message will not be delivered by itself any more."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "delivery"
    event_type: ClassVar[str] = "waybill.notification.DeliveryFailed"
    schema_version: ClassVar[int] = 1

    delivery_id: UUID
    """The delivery; what the receiver knows it by at every try."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""
    code: str
    """Stable code of what stood in the way."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.delivery_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "delivery_id": self.delivery_id,
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
            "code": self.code,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            delivery_id=datum["delivery_id"],
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
            code=datum["code"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRequested(Event):
    """A message is to be delivered to a webhook, for the first time or again."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "delivery"
    event_type: ClassVar[str] = "waybill.notification.DeliveryRequested"
    schema_version: ClassVar[int] = 1

    delivery_id: UUID
    """The delivery; what the receiver knows it by at every try."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""
    order_id: UUID
    """The order that it tells of."""
    kind: str
    """Which message: a stable code, one for each event that is told."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.delivery_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "delivery_id": self.delivery_id,
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
            "order_id": self.order_id,
            "kind": self.kind,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            delivery_id=datum["delivery_id"],
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
            order_id=datum["order_id"],
            kind=datum["kind"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliverySucceeded(Event):
    """The webhook's receiver has the message."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "delivery"
    event_type: ClassVar[str] = "waybill.notification.DeliverySucceeded"
    schema_version: ClassVar[int] = 1

    delivery_id: UUID
    """The delivery; what the receiver knows it by at every try."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.delivery_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "delivery_id": self.delivery_id,
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            delivery_id=datum["delivery_id"],
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationRequested(Event):
    """The customer is to be told."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "notification"
    event_type: ClassVar[str] = "waybill.notification.NotificationRequested"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    kind: str
    """Which message: a stable code, one for each event that is told."""
    channel: str
    """The way to the customer, such as email."""
    reason: str | None = None
    """Code of why the order was cancelled; null where the message gives none."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "kind": self.kind,
            "channel": self.channel,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            kind=datum["kind"],
            channel=datum["channel"],
            reason=datum["reason"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDeleted(Event):
    """A webhook is gone, with its URL and secrets."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "subscriber"
    event_type: ClassVar[str] = "waybill.notification.WebhookDeleted"
    schema_version: ClassVar[int] = 1

    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.customer_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDisabled(Event):
    """Nothing is delivered to a webhook until it is enabled."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "subscriber"
    event_type: ClassVar[str] = "waybill.notification.WebhookDisabled"
    schema_version: ClassVar[int] = 1

    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""
    cause: str
    """Stable code: the customer asked, the receiver is gone, or it failed for long."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.customer_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
            "cause": self.cause,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
            cause=datum["cause"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookEnabled(Event):
    """A webhook that was disabled is told again."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "subscriber"
    event_type: ClassVar[str] = "waybill.notification.WebhookEnabled"
    schema_version: ClassVar[int] = 1

    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.customer_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookRegistered(Event):
    """A customer wants to be told at a URL."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "subscriber"
    event_type: ClassVar[str] = "waybill.notification.WebhookRegistered"
    schema_version: ClassVar[int] = 1

    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""
    kinds: tuple[str, ...]
    """Which messages are delivered there: stable codes."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.customer_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
            "kinds": list(self.kinds),
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
            kinds=tuple(datum["kinds"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookSubscribed(Event):
    """A webhook is told of these messages from now on, and of no others."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "subscriber"
    event_type: ClassVar[str] = "waybill.notification.WebhookSubscribed"
    schema_version: ClassVar[int] = 1

    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    webhook_id: UUID
    """The webhook. Its URL and secrets stand in no event."""
    kinds: tuple[str, ...]
    """Which messages are delivered there: stable codes."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.customer_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "customer_id": self.customer_id,
            "webhook_id": self.webhook_id,
            "kinds": list(self.kinds),
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            customer_id=datum["customer_id"],
            webhook_id=datum["webhook_id"],
            kinds=tuple(datum["kinds"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderCancellationStarted(Event):
    """The order will be cancelled; stock and money held for it must be given back."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderCancellationStarted"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    lines: tuple[OrderLine, ...]
    """The products of the order, whether or not stock was held for them."""
    reason: str
    """Stable code of why the order is cancelled."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "lines": [item.to_avro() for item in self.lines],
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            lines=tuple(map(OrderLine.from_avro, datum["lines"])),
            reason=datum["reason"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderCancelled(Event):
    """The order is cancelled: no stock is held and no money kept."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderCancelled"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    reason: str
    """Stable code of why the order is cancelled."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            reason=datum["reason"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderCharged(Event):
    """The order is paid."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderCharged"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    charge_id: str
    """The provider's id of the charge."""
    total: int
    """Sum over the lines of quantity times unit price, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "charge_id": self.charge_id,
            "total": self.total,
            "currency": self.currency,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            charge_id=datum["charge_id"],
            total=datum["total"],
            currency=datum["currency"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderConfirmed(Event):
    """The order stands: paid, and its goods leave the stock."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderConfirmed"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    lines: tuple[OrderLine, ...]
    """The products of the order, one line a product."""
    total: int
    """Sum over the lines of quantity times unit price, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "lines": [item.to_avro() for item in self.lines],
            "total": self.total,
            "currency": self.currency,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            lines=tuple(map(OrderLine.from_avro, datum["lines"])),
            total=datum["total"],
            currency=datum["currency"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderImportErased(Event):
    """An imported order was deleted in the webshop, and is forgotten here."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderImportErased"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    source_version: int
    """Version of the order in the webshop's own events, after the deletion."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "source_version": self.source_version,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            source_version=datum["source_version"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderImported(Event):
    """An order of the webshop, as it stood there: it ends there, and nothing follows from it here."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderImported"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order, under the id that the webshop tells of it."""
    customer_id: str
    """The customer, under the id that the webshop tells of them; opaque, no personal data."""
    status: str
    """Where it stood there: PENDING, CONFIRMED or CANCELLED."""
    lines: tuple[OrderLine, ...]
    """The products of the order, one line a product."""
    total: int
    """Sum over the lines, as the webshop has it, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""
    placed_at: str
    """When it was placed there: RFC 3339, in UTC."""
    shipped_at: str | None = None
    """When it was shipped there: RFC 3339, in UTC; null until then."""
    provenance: str
    """Where this is from: `snapshot`, a row as it stood and not its history."""
    source_version: int
    """Version of the order in the webshop's own events; rises, and may leave numbers out."""

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
            "source_version": self.source_version,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            status=datum["status"],
            lines=tuple(map(OrderLine.from_avro, datum["lines"])),
            total=datum["total"],
            currency=datum["currency"],
            placed_at=datum["placed_at"],
            shipped_at=datum["shipped_at"],
            provenance=datum["provenance"],
            source_version=datum["source_version"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderPlaced(Event):
    """A customer placed an order; its prices are fixed from here on."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderPlaced"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    lines: tuple[OrderLine, ...]
    """The products of the order, one line a product."""
    total: int
    """Sum over the lines of quantity times unit price, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""
    payment_method: str
    """The provider's token for the way to pay; holds no card data."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "lines": [item.to_avro() for item in self.lines],
            "total": self.total,
            "currency": self.currency,
            "payment_method": self.payment_method,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            lines=tuple(map(OrderLine.from_avro, datum["lines"])),
            total=datum["total"],
            currency=datum["currency"],
            payment_method=datum["payment_method"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderReserved(Event):
    """Stock is held for every line; the order may be charged."""

    topic: ClassVar[str | None] = "order.events.v1"
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderReserved"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    total: int
    """Sum over the lines of quantity times unit price, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""
    payment_method: str
    """The provider's token for the way to pay; holds no card data."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "total": self.total,
            "currency": self.currency,
            "payment_method": self.payment_method,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            total=datum["total"],
            currency=datum["currency"],
            payment_method=datum["payment_method"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderPaymentClosed(Event):
    """The payment of an order under cancellation is known to need nothing more."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderPaymentClosed"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""

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
class OrderStockClosed(Event):
    """The stock of an order under cancellation is known to need nothing more."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "order"
    event_type: ClassVar[str] = "waybill.order.OrderStockClosed"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""

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
class PaymentCharged(Event):
    """The provider took the money."""

    topic: ClassVar[str | None] = "payment.events.v1"
    aggregate_type: ClassVar[str] = "payment"
    event_type: ClassVar[str] = "waybill.payment.PaymentCharged"
    schema_version: ClassVar[int] = 2

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    charge_id: str
    """The provider's id of the charge."""
    amount: int
    """What was taken, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""
    provider: str | None = None
    """Whose books the charge stands in: simulator or stripe; null in what version 1 wrote."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "charge_id": self.charge_id,
            "amount": self.amount,
            "currency": self.currency,
            "provider": self.provider,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            charge_id=datum["charge_id"],
            amount=datum["amount"],
            currency=datum["currency"],
            provider=datum["provider"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaymentDeclined(Event):
    """The provider refused the charge; no money moved."""

    topic: ClassVar[str | None] = "payment.events.v1"
    aggregate_type: ClassVar[str] = "payment"
    event_type: ClassVar[str] = "waybill.payment.PaymentDeclined"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    code: str
    """The provider's code of the refusal, such as card_declined."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "code": self.code,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            code=datum["code"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaymentRefunded(Event):
    """The money of the charge went back to the customer, or is no longer owed: see settled_by."""

    topic: ClassVar[str | None] = "payment.events.v1"
    aggregate_type: ClassVar[str] = "payment"
    event_type: ClassVar[str] = "waybill.payment.PaymentRefunded"
    schema_version: ClassVar[int] = 2

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    refund_id: str
    """The provider's id of the refund, or an operator's reference; empty where it was written off."""
    amount: int
    """The whole charge, in minor units of the currency: what went back or was written off."""
    currency: str
    """ISO 4217 code, three capital letters."""
    settled_by: str | None = None
    """How an operator settled it, paid_elsewhere or written_off; null where the provider paid, and in version 1."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "refund_id": self.refund_id,
            "amount": self.amount,
            "currency": self.currency,
            "settled_by": self.settled_by,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            refund_id=datum["refund_id"],
            amount=datum["amount"],
            currency=datum["currency"],
            settled_by=datum["settled_by"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaymentVoided(Event):
    """Nothing was charged for the order, and nothing will be."""

    topic: ClassVar[str | None] = "payment.events.v1"
    aggregate_type: ClassVar[str] = "payment"
    event_type: ClassVar[str] = "waybill.payment.PaymentVoided"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""

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
class PaymentRefundRequested(Event):
    """The provider is to be asked to give the money back."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "payment"
    event_type: ClassVar[str] = "waybill.payment.PaymentRefundRequested"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""

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
class PaymentRequested(Event):
    """The provider is to be asked for the money."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "payment"
    event_type: ClassVar[str] = "waybill.payment.PaymentRequested"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""
    customer_id: str
    """The customer, as the subject of their token; opaque, no personal data."""
    amount: int
    """What to charge, in minor units of the currency."""
    currency: str
    """ISO 4217 code, three capital letters."""
    payment_method: str
    """The provider's token for the way to pay; holds no card data."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.order_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "amount": self.amount,
            "currency": self.currency,
            "payment_method": self.payment_method,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            amount=datum["amount"],
            currency=datum["currency"],
            payment_method=datum["payment_method"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaymentVoidRequested(Event):
    """The provider is to be asked to bar the charge, which may have happened already."""

    topic: ClassVar[str | None] = None
    aggregate_type: ClassVar[str] = "payment"
    event_type: ClassVar[str] = "waybill.payment.PaymentVoidRequested"
    schema_version: ClassVar[int] = 1

    order_id: UUID
    """The order."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductErased(Event):
    """A product of the webshop was deleted."""

    topic: ClassVar[str | None] = "shop.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "shop.ProductErased"
    schema_version: ClassVar[int] = 1

    sku: str
    """The product: UUIDv5 of its table and key."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductRecorded(Event):
    """A product of the webshop, as it stands: told once for what was there before, and after each change."""

    topic: ClassVar[str | None] = "shop.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "shop.ProductRecorded"
    schema_version: ClassVar[int] = 1

    sku: str
    """The product: UUIDv5 of its table and key."""
    name: str
    """What the product is called in the webshop."""
    unit_price: int
    """Price of one unit, in minor units of the currency."""
    currency: str
    """ISO 4217 code of the currency."""
    stock: int
    """Units that can be sold; what is ordered has left it."""
    on_sale: bool
    """Whether the webshop sells it."""
    provenance: str
    """Where this is from: `snapshot`, a row as it stands and not its history."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.sku

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "sku": self.sku,
            "name": self.name,
            "unit_price": self.unit_price,
            "currency": self.currency,
            "stock": self.stock,
            "on_sale": self.on_sale,
            "provenance": self.provenance,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            sku=datum["sku"],
            name=datum["name"],
            unit_price=datum["unit_price"],
            currency=datum["currency"],
            stock=datum["stock"],
            on_sale=datum["on_sale"],
            provenance=datum["provenance"],
        )


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "waybill.inventory.StockCommitted": StockCommitted,
        "waybill.inventory.StockRejected": StockRejected,
        "waybill.inventory.StockReleased": StockReleased,
        "waybill.inventory.StockReserved": StockReserved,
        "waybill.inventory.ProductDelisted": ProductDelisted,
        "waybill.inventory.ProductImportErased": ProductImportErased,
        "waybill.inventory.ProductImported": ProductImported,
        "waybill.inventory.ProductListed": ProductListed,
        "waybill.inventory.ProductRenamed": ProductRenamed,
        "waybill.inventory.ProductRepriced": ProductRepriced,
        "waybill.inventory.StockCorrected": StockCorrected,
        "waybill.inventory.StockReceived": StockReceived,
        "waybill.notification.NotificationFailed": NotificationFailed,
        "waybill.notification.NotificationSent": NotificationSent,
        "waybill.notification.DeliveryFailed": DeliveryFailed,
        "waybill.notification.DeliveryRequested": DeliveryRequested,
        "waybill.notification.DeliverySucceeded": DeliverySucceeded,
        "waybill.notification.NotificationRequested": NotificationRequested,
        "waybill.notification.WebhookDeleted": WebhookDeleted,
        "waybill.notification.WebhookDisabled": WebhookDisabled,
        "waybill.notification.WebhookEnabled": WebhookEnabled,
        "waybill.notification.WebhookRegistered": WebhookRegistered,
        "waybill.notification.WebhookSubscribed": WebhookSubscribed,
        "waybill.order.OrderCancellationStarted": OrderCancellationStarted,
        "waybill.order.OrderCancelled": OrderCancelled,
        "waybill.order.OrderCharged": OrderCharged,
        "waybill.order.OrderConfirmed": OrderConfirmed,
        "waybill.order.OrderImportErased": OrderImportErased,
        "waybill.order.OrderImported": OrderImported,
        "waybill.order.OrderPlaced": OrderPlaced,
        "waybill.order.OrderReserved": OrderReserved,
        "waybill.order.OrderPaymentClosed": OrderPaymentClosed,
        "waybill.order.OrderStockClosed": OrderStockClosed,
        "waybill.payment.PaymentCharged": PaymentCharged,
        "waybill.payment.PaymentDeclined": PaymentDeclined,
        "waybill.payment.PaymentRefunded": PaymentRefunded,
        "waybill.payment.PaymentVoided": PaymentVoided,
        "waybill.payment.PaymentRefundRequested": PaymentRefundRequested,
        "waybill.payment.PaymentRequested": PaymentRequested,
        "waybill.payment.PaymentVoidRequested": PaymentVoidRequested,
        "shop.OrderErased": OrderErased,
        "shop.OrderRecorded": OrderRecorded,
        "shop.ProductErased": ProductErased,
        "shop.ProductRecorded": ProductRecorded,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("waybill.inventory.StockCommitted", 1): "inventory.events.v1/StockCommitted.v1.avsc",
        ("waybill.inventory.StockRejected", 1): "inventory.events.v1/StockRejected.v1.avsc",
        ("waybill.inventory.StockRejected", 2): "inventory.events.v1/StockRejected.v2.avsc",
        ("waybill.inventory.StockReleased", 1): "inventory.events.v1/StockReleased.v1.avsc",
        ("waybill.inventory.StockReserved", 1): "inventory.events.v1/StockReserved.v1.avsc",
        ("waybill.inventory.ProductDelisted", 1): "inventory.products.v1/ProductDelisted.v1.avsc",
        ("waybill.inventory.ProductImportErased", 1): "inventory.products.v1/ProductImportErased.v1.avsc",
        ("waybill.inventory.ProductImported", 1): "inventory.products.v1/ProductImported.v1.avsc",
        ("waybill.inventory.ProductListed", 1): "inventory.products.v1/ProductListed.v1.avsc",
        ("waybill.inventory.ProductRenamed", 1): "inventory.products.v1/ProductRenamed.v1.avsc",
        ("waybill.inventory.ProductRepriced", 1): "inventory.products.v1/ProductRepriced.v1.avsc",
        ("waybill.inventory.StockCorrected", 1): "inventory.products.v1/StockCorrected.v1.avsc",
        ("waybill.inventory.StockReceived", 1): "inventory.products.v1/StockReceived.v1.avsc",
        ("waybill.notification.NotificationFailed", 1): "notification.events.v1/NotificationFailed.v1.avsc",
        ("waybill.notification.NotificationSent", 1): "notification.events.v1/NotificationSent.v1.avsc",
        ("waybill.notification.DeliveryFailed", 1): "notification.private/DeliveryFailed.v1.avsc",
        ("waybill.notification.DeliveryRequested", 1): "notification.private/DeliveryRequested.v1.avsc",
        ("waybill.notification.DeliverySucceeded", 1): "notification.private/DeliverySucceeded.v1.avsc",
        ("waybill.notification.NotificationRequested", 1): "notification.private/NotificationRequested.v1.avsc",
        ("waybill.notification.WebhookDeleted", 1): "notification.private/WebhookDeleted.v1.avsc",
        ("waybill.notification.WebhookDisabled", 1): "notification.private/WebhookDisabled.v1.avsc",
        ("waybill.notification.WebhookEnabled", 1): "notification.private/WebhookEnabled.v1.avsc",
        ("waybill.notification.WebhookRegistered", 1): "notification.private/WebhookRegistered.v1.avsc",
        ("waybill.notification.WebhookSubscribed", 1): "notification.private/WebhookSubscribed.v1.avsc",
        ("waybill.order.OrderCancellationStarted", 1): "order.events.v1/OrderCancellationStarted.v1.avsc",
        ("waybill.order.OrderCancelled", 1): "order.events.v1/OrderCancelled.v1.avsc",
        ("waybill.order.OrderCharged", 1): "order.events.v1/OrderCharged.v1.avsc",
        ("waybill.order.OrderConfirmed", 1): "order.events.v1/OrderConfirmed.v1.avsc",
        ("waybill.order.OrderImportErased", 1): "order.events.v1/OrderImportErased.v1.avsc",
        ("waybill.order.OrderImported", 1): "order.events.v1/OrderImported.v1.avsc",
        ("waybill.order.OrderPlaced", 1): "order.events.v1/OrderPlaced.v1.avsc",
        ("waybill.order.OrderReserved", 1): "order.events.v1/OrderReserved.v1.avsc",
        ("waybill.order.OrderPaymentClosed", 1): "order.private/OrderPaymentClosed.v1.avsc",
        ("waybill.order.OrderStockClosed", 1): "order.private/OrderStockClosed.v1.avsc",
        ("waybill.payment.PaymentCharged", 1): "payment.events.v1/PaymentCharged.v1.avsc",
        ("waybill.payment.PaymentCharged", 2): "payment.events.v1/PaymentCharged.v2.avsc",
        ("waybill.payment.PaymentDeclined", 1): "payment.events.v1/PaymentDeclined.v1.avsc",
        ("waybill.payment.PaymentRefunded", 1): "payment.events.v1/PaymentRefunded.v1.avsc",
        ("waybill.payment.PaymentRefunded", 2): "payment.events.v1/PaymentRefunded.v2.avsc",
        ("waybill.payment.PaymentVoided", 1): "payment.events.v1/PaymentVoided.v1.avsc",
        ("waybill.payment.PaymentRefundRequested", 1): "payment.private/PaymentRefundRequested.v1.avsc",
        ("waybill.payment.PaymentRequested", 1): "payment.private/PaymentRequested.v1.avsc",
        ("waybill.payment.PaymentVoidRequested", 1): "payment.private/PaymentVoidRequested.v1.avsc",
        ("shop.OrderErased", 1): "shop.orders.v1/OrderErased.v1.avsc",
        ("shop.OrderRecorded", 1): "shop.orders.v1/OrderRecorded.v1.avsc",
        ("shop.ProductErased", 1): "shop.products.v1/ProductErased.v1.avsc",
        ("shop.ProductRecorded", 1): "shop.products.v1/ProductRecorded.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
