"""What one event says of its order; and what a batch of them says, one row an order."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from waybill.consumer.message import Message
from waybill.contracts.event import Event
from waybill.deciders.outcomes import Unreadable

# The step that an event of the order leads to; the names are those of the order's own statuses.
STEPS: Final = {
    "OrderPlaced": "PENDING",
    "OrderReserved": "RESERVED",
    "OrderCharged": "CHARGED",
    "OrderConfirmed": "CONFIRMED",
    "OrderCancellationStarted": "CANCELLING",
    "OrderCancelled": "CANCELLED",
    "OrderImported": "IMPORTED",
    "OrderImportErased": "ERASED",
}
STOCK: Final = {
    "StockReserved": "RESERVED",
    "StockRejected": "REJECTED",
    "StockReleased": "RELEASED",
    "StockCommitted": "COMMITTED",
}
PAYMENT: Final = {
    "PaymentCharged": "CHARGED",
    "PaymentDeclined": "DECLINED",
    "PaymentVoided": "VOIDED",
    "PaymentRefunded": "REFUNDED",
}
# What a line about an event shows of its payload: nothing that says who somebody is.
SHOWN: Final = (
    "reason",
    "status",
    "code",
    "kind",
    "channel",
    "charge_id",
    "refund_id",
    "provider",
    "settled_by",
    "sku",
)


class Note(NamedTuple):
    """What is kept of an event."""

    event_id: str
    event_type: str
    service: str
    aggregate_type: str
    aggregate_id: str
    version: int
    order_id: str | None
    topic: str
    partition: int
    offset: int
    recorded_at: str
    correlation_id: str
    causation_id: str
    detail: str
    customer_id: str | None
    total: int | None
    currency: str | None
    reason: str | None
    placed_at: str | None

    @classmethod
    def of(cls, event: Event, message: Message) -> "Note":
        """Read an event and its record. Raises Unreadable where the record lacks a header."""
        headers = message.headers
        order_id = getattr(event, "order_id", None)
        return cls(
            event_id=message.event_id,
            event_type=type(event).__name__,
            service=headers.get("ce_source", "").rpartition("/")[2].removesuffix("_service"),
            aggregate_type=event.aggregate_type,
            aggregate_id=str(event.aggregate_id),
            version=message.version,
            order_id=str(order_id) if isinstance(order_id, UUID) else None,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            recorded_at=_time(headers.get("ce_time", "")),
            correlation_id=headers.get("ce_correlationid", ""),
            causation_id=headers.get("ce_causationid", ""),
            detail=", ".join(f"{name} {said}" for name in SHOWN if (said := getattr(event, name, None))),
            customer_id=getattr(event, "customer_id", None),
            total=getattr(event, "total", None),
            currency=getattr(event, "currency", None),
            reason=getattr(event, "reason", None),
            placed_at=getattr(event, "placed_at", None),
        )


@dataclass(slots=True)
class OrderNote:
    """What a batch says of one order; the names are the columns'."""

    order_id: str
    last_event_at: str = ""
    customer_id: str | None = None
    status: str = ""
    step_since: str | None = None
    version: int = 0
    placed_at: str | None = None
    total: int | None = None
    currency: str | None = None
    reason: str | None = None
    stock: str = ""
    stock_version: int = 0
    payment: str = ""
    payment_version: int = 0

    def hear(self, note: Note) -> None:
        """Take in one more event."""
        self.last_event_at = max(self.last_event_at, note.recorded_at)
        self.customer_id = self.customer_id or note.customer_id
        if note.event_type in STEPS and note.version > self.version:
            self.version, self.status, self.step_since = note.version, STEPS[note.event_type], note.recorded_at
            self.reason = note.reason or self.reason
        elif note.event_type in STOCK and note.version > self.stock_version:
            self.stock_version, self.stock = note.version, STOCK[note.event_type]
        elif note.event_type in PAYMENT and note.version > self.payment_version:
            self.payment_version, self.payment = note.version, PAYMENT[note.event_type]
        if note.event_type in {"OrderPlaced", "OrderImported"}:
            self.placed_at, self.total, self.currency = note.placed_at or note.recorded_at, note.total, note.currency


def orders(notes: Iterable[Note]) -> list[OrderNote]:
    """Return what they say of each order, by order id: two writers lock the rows in one sequence."""
    found: dict[str, OrderNote] = {}
    for note in notes:
        if note.order_id:
            found.setdefault(note.order_id, OrderNote(note.order_id)).hear(note)
    return [found[order_id] for order_id in sorted(found)]


def _time(given: str) -> str:
    try:
        return datetime.fromisoformat(given).isoformat()
    except ValueError:
        raise Unreadable(f"header ce_time is {given[:100]!r}, not a time") from None


def as_json(one: Any) -> dict[str, Any]:
    """Return a note as a row's columns."""
    return one._asdict() if isinstance(one, Note) else {name: getattr(one, name) for name in one.__slots__}
