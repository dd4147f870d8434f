"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from waybill.contracts.event import Event


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


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "shop.CategoryRemoved": CategoryRemoved,
        "shop.CategoryStored": CategoryStored,
        "shop.ProductRemoved": ProductRemoved,
        "shop.ProductStored": ProductStored,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("shop.CategoryRemoved", 1): "shop.rows.categories.v1/CategoryRemoved.v1.avsc",
        ("shop.CategoryStored", 1): "shop.rows.categories.v1/CategoryStored.v1.avsc",
        ("shop.ProductRemoved", 1): "shop.rows.products.v1/ProductRemoved.v1.avsc",
        ("shop.ProductStored", 1): "shop.rows.products.v1/ProductStored.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
