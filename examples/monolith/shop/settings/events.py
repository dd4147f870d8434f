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
class StoredAddress:
    """An address of the customer."""

    address_id: int
    """Key of the row."""
    name: str
    """Whom it is of."""
    street: str
    """Street and number."""
    postcode: str
    """Postcode."""
    city: str
    """City."""

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "address_id": self.address_id,
            "name": self.name,
            "street": self.street,
            "postcode": self.postcode,
            "city": self.city,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            address_id=datum["address_id"],
            name=datum["name"],
            street=datum["street"],
            postcode=datum["postcode"],
            city=datum["city"],
        )


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
class MailRequested(Event):
    """A mail is to be sent."""

    topic: ClassVar[str | None] = "shop.mails.v1"
    aggregate_type: ClassVar[str] = "mail"
    event_type: ClassVar[str] = "shop.MailRequested"
    schema_version: ClassVar[int] = 1

    mail_id: UUID
    """The mail."""
    sender: str
    """Address that the mail server is told as the sender."""
    recipients: tuple[str, ...]
    """Addresses that it goes to, hidden ones too."""
    content: str
    """The mail with its headers and attachments, as seven-bit text (RFC 5322)."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.mail_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "mail_id": self.mail_id,
            "sender": self.sender,
            "recipients": list(self.recipients),
            "content": self.content,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            mail_id=datum["mail_id"],
            sender=datum["sender"],
            recipients=tuple(datum["recipients"]),
            content=datum["content"],
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


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryRemoved(Event):
    """The row of a category is gone."""

    topic: ClassVar[str | None] = "shop.rows.categories.v1"
    aggregate_type: ClassVar[str] = "category"
    event_type: ClassVar[str] = "shop.CategoryRemoved"
    schema_version: ClassVar[int] = 1

    category_id: int
    """Key of the row."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.category_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "category_id": self.category_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            category_id=datum["category_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryStored(Event):
    """A category with all its columns, as it stands."""

    topic: ClassVar[str | None] = "shop.rows.categories.v1"
    aggregate_type: ClassVar[str] = "category"
    event_type: ClassVar[str] = "shop.CategoryStored"
    schema_version: ClassVar[int] = 1

    category_id: int
    """Key of the row."""
    name: str
    """Shown to visitors."""
    slug: str
    """Its part of an address."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.category_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "category_id": self.category_id,
            "name": self.name,
            "slug": self.slug,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            category_id=datum["category_id"],
            name=datum["name"],
            slug=datum["slug"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerRemoved(Event):
    """The row of a customer is gone, and the addresses with it."""

    topic: ClassVar[str | None] = "shop.rows.customers.v1"
    aggregate_type: ClassVar[str] = "customer"
    event_type: ClassVar[str] = "shop.CustomerRemoved"
    schema_version: ClassVar[int] = 1

    customer_id: int
    """Key of the row."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.customer_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "customer_id": self.customer_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            customer_id=datum["customer_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerStored(Event):
    """A customer with all columns and addresses, as they stand."""

    topic: ClassVar[str | None] = "shop.rows.customers.v1"
    aggregate_type: ClassVar[str] = "customer"
    event_type: ClassVar[str] = "shop.CustomerStored"
    schema_version: ClassVar[int] = 1

    customer_id: int
    """Key of the row."""
    user_id: int
    """Key of the user that they log in as."""
    name: str
    """Full name."""
    email: str
    """Mail address; may be empty."""
    phone: str
    """Telephone number; may be empty."""
    created_at: str
    """When they signed up: RFC 3339, in UTC."""
    addresses: tuple[StoredAddress, ...]
    """All addresses."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.customer_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "customer_id": self.customer_id,
            "user_id": self.user_id,
            "name": self.name,
            "email": self.email,
            "phone": self.phone,
            "created_at": self.created_at,
            "addresses": [item.to_avro() for item in self.addresses],
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            customer_id=datum["customer_id"],
            user_id=datum["user_id"],
            name=datum["name"],
            email=datum["email"],
            phone=datum["phone"],
            created_at=datum["created_at"],
            addresses=tuple(map(StoredAddress.from_avro, datum["addresses"])),
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


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductRemoved(Event):
    """The row of a product is gone."""

    topic: ClassVar[str | None] = "shop.rows.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "shop.ProductRemoved"
    schema_version: ClassVar[int] = 1

    product_id: int
    """Key of the row."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.product_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "product_id": self.product_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            product_id=datum["product_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductStored(Event):
    """A product with all its columns, as it stands."""

    topic: ClassVar[str | None] = "shop.rows.products.v1"
    aggregate_type: ClassVar[str] = "product"
    event_type: ClassVar[str] = "shop.ProductStored"
    schema_version: ClassVar[int] = 1

    product_id: int
    """Key of the row."""
    category_id: int | None = None
    """Key of its category, if any."""
    name: str
    """Shown to visitors."""
    description: str
    """What it is; may be empty."""
    price: int
    """Price of one, in minor units."""
    stock: int
    """How many are left."""
    on_sale: bool
    """Whether visitors see it."""
    created_at: str
    """When it was added: RFC 3339, in UTC."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.product_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "product_id": self.product_id,
            "category_id": self.category_id,
            "name": self.name,
            "description": self.description,
            "price": self.price,
            "stock": self.stock,
            "on_sale": self.on_sale,
            "created_at": self.created_at,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            product_id=datum["product_id"],
            category_id=datum["category_id"],
            name=datum["name"],
            description=datum["description"],
            price=datum["price"],
            stock=datum["stock"],
            on_sale=datum["on_sale"],
            created_at=datum["created_at"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewRemoved(Event):
    """The row of a review is gone."""

    topic: ClassVar[str | None] = "shop.rows.reviews.v1"
    aggregate_type: ClassVar[str] = "review"
    event_type: ClassVar[str] = "shop.ReviewRemoved"
    schema_version: ClassVar[int] = 1

    review_id: int
    """Key of the row."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.review_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "review_id": self.review_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            review_id=datum["review_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewStored(Event):
    """A review with all its columns, as it stands."""

    topic: ClassVar[str | None] = "shop.rows.reviews.v1"
    aggregate_type: ClassVar[str] = "review"
    event_type: ClassVar[str] = "shop.ReviewStored"
    schema_version: ClassVar[int] = 1

    review_id: int
    """Key of the row."""
    product_id: int
    """Key of the product."""
    customer_id: int
    """Key of the customer."""
    author: str
    """Name of the customer on the day of the review."""
    stars: int
    """1 to 5."""
    text: str
    """What they say; may be empty."""
    published: bool
    """Whether visitors see it."""
    created_at: str
    """When it was written: RFC 3339, in UTC."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.review_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "review_id": self.review_id,
            "product_id": self.product_id,
            "customer_id": self.customer_id,
            "author": self.author,
            "stars": self.stars,
            "text": self.text,
            "published": self.published,
            "created_at": self.created_at,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            review_id=datum["review_id"],
            product_id=datum["product_id"],
            customer_id=datum["customer_id"],
            author=datum["author"],
            stars=datum["stars"],
            text=datum["text"],
            published=datum["published"],
            created_at=datum["created_at"],
        )


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "shop.MailRequested": MailRequested,
        "shop.OrderErased": OrderErased,
        "shop.OrderRecorded": OrderRecorded,
        "shop.ProductErased": ProductErased,
        "shop.ProductRecorded": ProductRecorded,
        "shop.CategoryRemoved": CategoryRemoved,
        "shop.CategoryStored": CategoryStored,
        "shop.CustomerRemoved": CustomerRemoved,
        "shop.CustomerStored": CustomerStored,
        "shop.OrderRemoved": OrderRemoved,
        "shop.OrderStored": OrderStored,
        "shop.ProductRemoved": ProductRemoved,
        "shop.ProductStored": ProductStored,
        "shop.ReviewRemoved": ReviewRemoved,
        "shop.ReviewStored": ReviewStored,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("shop.MailRequested", 1): "shop.mails.v1/MailRequested.v1.avsc",
        ("shop.OrderErased", 1): "shop.orders.v1/OrderErased.v1.avsc",
        ("shop.OrderRecorded", 1): "shop.orders.v1/OrderRecorded.v1.avsc",
        ("shop.ProductErased", 1): "shop.products.v1/ProductErased.v1.avsc",
        ("shop.ProductRecorded", 1): "shop.products.v1/ProductRecorded.v1.avsc",
        ("shop.CategoryRemoved", 1): "shop.rows.categories.v1/CategoryRemoved.v1.avsc",
        ("shop.CategoryStored", 1): "shop.rows.categories.v1/CategoryStored.v1.avsc",
        ("shop.CustomerRemoved", 1): "shop.rows.customers.v1/CustomerRemoved.v1.avsc",
        ("shop.CustomerStored", 1): "shop.rows.customers.v1/CustomerStored.v1.avsc",
        ("shop.OrderRemoved", 1): "shop.rows.orders.v1/OrderRemoved.v1.avsc",
        ("shop.OrderStored", 1): "shop.rows.orders.v1/OrderStored.v1.avsc",
        ("shop.ProductRemoved", 1): "shop.rows.products.v1/ProductRemoved.v1.avsc",
        ("shop.ProductStored", 1): "shop.rows.products.v1/ProductStored.v1.avsc",
        ("shop.ReviewRemoved", 1): "shop.rows.reviews.v1/ReviewRemoved.v1.avsc",
        ("shop.ReviewStored", 1): "shop.rows.reviews.v1/ReviewStored.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
