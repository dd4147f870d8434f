"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from waybill.contracts.event import Event


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


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "shop.CustomerRemoved": CustomerRemoved,
        "shop.CustomerStored": CustomerStored,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("shop.CustomerRemoved", 1): "shop.rows.customers.v1/CustomerRemoved.v1.avsc",
        ("shop.CustomerStored", 1): "shop.rows.customers.v1/CustomerStored.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
