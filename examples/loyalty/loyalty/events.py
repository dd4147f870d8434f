"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from waybill.contracts.event import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingCancelled(Event):
    """A booking was cancelled; its room is free again."""

    topic: ClassVar[str | None] = "bookings.events.v1"
    aggregate_type: ClassVar[str] = "booking"
    event_type: ClassVar[str] = "bookings.BookingCancelled"
    schema_version: ClassVar[int] = 1

    booking_id: int
    """The booking."""
    guest_id: int
    """The guest, by the id of their account."""
    nights: int
    """Number of nights that are given back."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.booking_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "booking_id": self.booking_id,
            "guest_id": self.guest_id,
            "nights": self.nights,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            booking_id=datum["booking_id"],
            guest_id=datum["guest_id"],
            nights=datum["nights"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingMade(Event):
    """A guest booked a room."""

    topic: ClassVar[str | None] = "bookings.events.v1"
    aggregate_type: ClassVar[str] = "booking"
    event_type: ClassVar[str] = "bookings.BookingMade"
    schema_version: ClassVar[int] = 1

    booking_id: int
    """The booking."""
    guest_id: int
    """The guest, by the id of their account."""
    arrives: str
    """First night, as an ISO 8601 date."""
    nights: int
    """Number of nights, 1 or more."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.booking_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "booking_id": self.booking_id,
            "guest_id": self.guest_id,
            "arrives": self.arrives,
            "nights": self.nights,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            booking_id=datum["booking_id"],
            guest_id=datum["guest_id"],
            arrives=datum["arrives"],
            nights=datum["nights"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingMoved(Event):
    """A booking got other nights."""

    topic: ClassVar[str | None] = "bookings.events.v1"
    aggregate_type: ClassVar[str] = "booking"
    event_type: ClassVar[str] = "bookings.BookingMoved"
    schema_version: ClassVar[int] = 1

    booking_id: int
    """The booking."""
    guest_id: int
    """The guest, by the id of their account."""
    arrives: str
    """First night from now on, as an ISO 8601 date."""
    nights: int
    """Number of nights from now on."""
    nights_before: int
    """Number of nights before."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return str(self.booking_id)

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "booking_id": self.booking_id,
            "guest_id": self.guest_id,
            "arrives": self.arrives,
            "nights": self.nights,
            "nights_before": self.nights_before,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            booking_id=datum["booking_id"],
            guest_id=datum["guest_id"],
            arrives=datum["arrives"],
            nights=datum["nights"],
            nights_before=datum["nights_before"],
        )


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "bookings.BookingCancelled": BookingCancelled,
        "bookings.BookingMade": BookingMade,
        "bookings.BookingMoved": BookingMoved,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("bookings.BookingCancelled", 1): "bookings.events.v1/BookingCancelled.v1.avsc",
        ("bookings.BookingMade", 1): "bookings.events.v1/BookingMade.v1.avsc",
        ("bookings.BookingMoved", 1): "bookings.events.v1/BookingMoved.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
