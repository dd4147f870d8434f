"""What all event classes share; the classes themselves are generated into `schemas.events`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self


# Not an ABC: `case BookingMade():` is an isinstance test, and ABCMeta makes each several times slower.
@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to one aggregate, told as one record."""

    topic: ClassVar[str | None]
    """The topic it is published to; None for a private event, which never leaves its service."""
    aggregate_type: ClassVar[str]
    event_type: ClassVar[str]
    """The Avro full name, such as `waybill.bookings.BookingMade`."""
    schema_version: ClassVar[int]

    @property
    def aggregate_id(self) -> str:
        """Give the id of the aggregate it happened to, which is the key of its record."""
        raise NotImplementedError

    def to_avro(self) -> dict[str, Any]:
        """Give the fields as fastavro writes them."""
        raise NotImplementedError

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any]) -> Self:
        """Build the event from the fields as fastavro reads them."""
        raise NotImplementedError
