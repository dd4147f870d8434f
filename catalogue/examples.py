"""An example of each version of each event, as a subscriber meets it: decoded, and with the headers of its record.

The headers are made by the relay's own code. The values are said here by field, and where the same word means different
things, by event; whoever adds a field says one.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from catalogue.book import Chapter, Version
from order_service.domain import Reason
from outbox_relay.relay.kafka.records import Records, Row
from waybill.contracts.fields import Array, FieldType, Nullable, Record, Scalar

ORDER: Final = "0199b2c4-8f00-7000-8000-00000000a11c"
VALUES: Final[Mapping[str, Any]] = {
    "order_id": ORDER,
    "customer_id": "customer-4711",
    "sku": "LAMP-01",
    "name": "Desk lamp",
    "quantity": 2,
    "unit_price": 4_900,
    "total": 9_800,
    "amount": 9_800,
    "currency": "EUR",
    "payment_method": "tok_visa",
    "charge_id": "ch_0199b2c4",
    "refund_id": "re_0199b2c5",
    "provider": "stripe",
    "settled_by": "paid_elsewhere",
    "requested": 2,
    "available": 1,
    "on_hand": 4,
    "change": -1,
    "status": "PENDING",
    "placed_at": "2026-01-02T03:04:05.678901Z",
    "shipped_at": "2026-01-03T03:04:05.678901Z",
    "provenance": "snapshot",
    "source_version": 3,
    "stock": 4,
    "on_sale": True,
    "for_sale": True,
    "kind": "ORDER_CONFIRMED",
    "channel": "EMAIL",
    "OrderCancellationStarted.reason": Reason.CUSTOMER_REQUEST.value,
    "OrderCancelled.reason": Reason.OUT_OF_STOCK.value,
    "StockCorrected.reason": "one is broken",
    "StockReceived.reason": "delivery 20931",
    "NotificationFailed.code": "no_address",
    "PaymentDeclined.code": "card_declined",
}
FIRST: Final = {"OrderPlaced", "StockReserved", "StockRejected", "ProductListed"}  # no private event comes before
TIME: Final = "2026-01-02T03:04:05.678901Z"


def payload(version: Version) -> dict[str, Any]:
    """Give the event's fields as JSON has them. Raises KeyError, which names the field that has no value here."""
    return _value(version.record, version.contract.name, "")


def headers(version: Version, chapter: Chapter) -> dict[str, str]:
    """Give the headers of the event's record, as the relay writes them."""
    contract = version.contract
    row = Row(
        position=1,
        event_id="0199b2c4-8f00-7000-8000-00000000e4e1",
        topic=contract.topic,
        aggregate_type=contract.schema["aggregate"],
        aggregate_id=str(payload(version)[contract.schema["key"]]),
        aggregate_version=1 if contract.name in FIRST else 2,
        event_type=contract.event_type,
        schema_version=contract.version,
        payload=b"",
        size=0,
        correlation_id="0199b2c4-8f00-7000-8000-00000000c022",
        causation_id="0199b2c4-8f00-7000-8000-00000000ca05",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate=None,
        recorded_at=TIME,
        recorded_epoch=0.0,
    )
    found = Records(chapter.producer).headers(row)
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in found.items()}


def _value(kind: FieldType, event: str, name: str) -> Any:
    match kind:
        case Nullable(of):
            return _value(of, event, name)
        case Array(items):
            return [_value(items, event, name)]
        case Record():
            return {field.name: _value(field.type, event, field.name) for field in kind.fields}
        case Scalar():
            found = VALUES.get(f"{event}.{name}", VALUES.get(name))
            if found is None and kind.name == "uuid":
                return str(uuid5(NAMESPACE_OID, name))
            if found is None:
                raise KeyError(f"catalogue/examples.py: say a value for {name} of {event} in VALUES")
            return found
