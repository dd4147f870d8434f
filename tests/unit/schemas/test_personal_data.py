"""No event holds personal data: a field whose name could hold it needs an entry here, with its reason."""

import re
from collections.abc import Iterator

from schemas.contracts import load
from schemas.fields import Array, FieldType, Nullable, Record, Scalar, read_record

SUSPECT = re.compile(
    r"name|mail|phone|mobile|fax|address|street|city|town|zip|postal|postcode|country|contact|recipient|birth|gender|"
    r"age$|passport|ssn|tax|vat|iban|bic|card|cvc|cvv|pan$|ip$|ip_|user|login|password|secret|token|geo|lat$|lon$|"
    r"text|note|comment|message|description|subject|reason|title",
)
EXEMPT = {
    "waybill.inventory.ProductListed.name": "the product's, out of the catalogue",
    "waybill.inventory.ProductRenamed.name": "the product's, out of the catalogue",
    "waybill.inventory.StockReceived.reason": "the staff's words on goods; the API says that no person is named",
    "waybill.inventory.StockCorrected.reason": "the staff's words on goods; the API says that no person is named",
    "waybill.order.OrderCancellationStarted.reason": "one of a fixed set of codes",
    "waybill.order.OrderCancelled.reason": "one of a fixed set of codes",
    "waybill.notification.NotificationRequested.reason": "one of a fixed set of codes",
}


def _paths(kind: FieldType, path: str) -> Iterator[str]:
    match kind:
        case Scalar():
            yield path
        case Array(items):
            yield from _paths(items, path)
        case Nullable(of):
            yield from _paths(of, path)
        case Record():
            for field in kind.fields:
                yield from _paths(field.type, f"{path}.{field.name}")


def _suspects() -> set[str]:
    paths = (path for contract in load() for path in _paths(read_record(contract.schema), contract.event_type))
    return {path for path in paths if SUSPECT.search(path.rpartition(".")[2])}


def test_no_field_could_hold_personal_data_without_a_reason() -> None:
    assert _suspects() - EXEMPT.keys() == set(), "leave it out; other services ask the owner of the data for it"


def test_no_exemption_outlives_its_field() -> None:
    assert EXEMPT.keys() - _suspects() == set()
