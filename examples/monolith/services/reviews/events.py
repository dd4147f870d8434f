"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from waybill.contracts.event import Event


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
        "shop.ReviewRemoved": ReviewRemoved,
        "shop.ReviewStored": ReviewStored,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("shop.ReviewRemoved", 1): "shop.rows.reviews.v1/ReviewRemoved.v1.avsc",
        ("shop.ReviewStored", 1): "shop.rows.reviews.v1/ReviewStored.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
