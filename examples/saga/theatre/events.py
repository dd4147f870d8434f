"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from waybill.contracts.event import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatBooked(Event):
    """The seat is paid for, and the guest's."""

    topic: ClassVar[str | None] = "seats.events.v1"
    aggregate_type: ClassVar[str] = "seat"
    event_type: ClassVar[str] = "seats.SeatBooked"
    schema_version: ClassVar[int] = 1

    seat_id: str
    """The seat."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.seat_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "seat_id": self.seat_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            seat_id=datum["seat_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatHeld(Event):
    """A guest holds a seat until their voucher is redeemed."""

    topic: ClassVar[str | None] = "seats.events.v1"
    aggregate_type: ClassVar[str] = "seat"
    event_type: ClassVar[str] = "seats.SeatHeld"
    schema_version: ClassVar[int] = 1

    seat_id: str
    """The seat."""
    voucher_id: str
    """The voucher that pays for it."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.seat_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "seat_id": self.seat_id,
            "voucher_id": self.voucher_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            seat_id=datum["seat_id"],
            voucher_id=datum["voucher_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatReleased(Event):
    """The guest does not get the seat."""

    topic: ClassVar[str | None] = "seats.events.v1"
    aggregate_type: ClassVar[str] = "seat"
    event_type: ClassVar[str] = "seats.SeatReleased"
    schema_version: ClassVar[int] = 1

    seat_id: str
    """The seat."""
    voucher_id: str
    """The voucher that pays for it."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.seat_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "seat_id": self.seat_id,
            "voucher_id": self.voucher_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            seat_id=datum["seat_id"],
            voucher_id=datum["voucher_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class VoucherIssued(Event):
    """A guest bought the voucher."""

    topic: ClassVar[str | None] = "vouchers.events.v1"
    aggregate_type: ClassVar[str] = "voucher"
    event_type: ClassVar[str] = "vouchers.VoucherIssued"
    schema_version: ClassVar[int] = 1

    voucher_id: str
    """The voucher."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.voucher_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "voucher_id": self.voucher_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            voucher_id=datum["voucher_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class VoucherRedeemed(Event):
    """The voucher pays for a seat."""

    topic: ClassVar[str | None] = "vouchers.events.v1"
    aggregate_type: ClassVar[str] = "voucher"
    event_type: ClassVar[str] = "vouchers.VoucherRedeemed"
    schema_version: ClassVar[int] = 1

    voucher_id: str
    """The voucher."""
    seat_id: str
    """The seat that it pays for."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.voucher_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "voucher_id": self.voucher_id,
            "seat_id": self.seat_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            voucher_id=datum["voucher_id"],
            seat_id=datum["seat_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class VoucherRefused(Event):
    """The voucher cannot pay for the seat."""

    topic: ClassVar[str | None] = "vouchers.events.v1"
    aggregate_type: ClassVar[str] = "voucher"
    event_type: ClassVar[str] = "vouchers.VoucherRefused"
    schema_version: ClassVar[int] = 1

    voucher_id: str
    """The voucher."""
    seat_id: str
    """The seat that it does not pay for."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.voucher_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "voucher_id": self.voucher_id,
            "seat_id": self.seat_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            voucher_id=datum["voucher_id"],
            seat_id=datum["seat_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class VoucherReturned(Event):
    """The voucher is good again: its seat was released."""

    topic: ClassVar[str | None] = "vouchers.events.v1"
    aggregate_type: ClassVar[str] = "voucher"
    event_type: ClassVar[str] = "vouchers.VoucherReturned"
    schema_version: ClassVar[int] = 1

    voucher_id: str
    """The voucher."""
    seat_id: str
    """The seat that it paid for."""

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        return self.voucher_id

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        return {
            "voucher_id": self.voucher_id,
            "seat_id": self.seat_id,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build it from the fields as fastavro reads them."""
        return cls(
            voucher_id=datum["voucher_id"],
            seat_id=datum["seat_id"],
        )


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "seats.SeatBooked": SeatBooked,
        "seats.SeatHeld": SeatHeld,
        "seats.SeatReleased": SeatReleased,
        "vouchers.VoucherIssued": VoucherIssued,
        "vouchers.VoucherRedeemed": VoucherRedeemed,
        "vouchers.VoucherRefused": VoucherRefused,
        "vouchers.VoucherReturned": VoucherReturned,
    }
)
"""The current class of each event, by Avro full name."""

SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("seats.SeatBooked", 1): "seats.events.v1/SeatBooked.v1.avsc",
        ("seats.SeatHeld", 1): "seats.events.v1/SeatHeld.v1.avsc",
        ("seats.SeatReleased", 1): "seats.events.v1/SeatReleased.v1.avsc",
        ("vouchers.VoucherIssued", 1): "vouchers.events.v1/VoucherIssued.v1.avsc",
        ("vouchers.VoucherRedeemed", 1): "vouchers.events.v1/VoucherRedeemed.v1.avsc",
        ("vouchers.VoucherRefused", 1): "vouchers.events.v1/VoucherRefused.v1.avsc",
        ("vouchers.VoucherReturned", 1): "vouchers.events.v1/VoucherReturned.v1.avsc",
    }
)
"""The file of each version of each event, below the folder of the schemas."""
