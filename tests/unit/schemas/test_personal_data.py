"""No event holds personal data: what could hold it needs an entry here, with its reason.

Two nets. A field of any type whose name sounds like a person needs an exemption of its own. And every text, however it
is called, needs a word on what stands in it: free text is where names, addresses and numbers end up.
"""

import json
import re
from collections.abc import Iterable, Iterator

import pytest

from tests.support.schema_samples import CURRENT, Schema, add
from waybill.contracts.contracts import Contract, load
from waybill.contracts.fields import Array, FieldType, Nullable, Record, Scalar, read_record

SUSPECT = re.compile(
    r"name|mail|phone|mobile|fax|address|street|city|town|zip|postal|postcode|country|contact|recipient|birth|gender|"
    r"age$|passport|ssn|tax|vat|iban|bic|card|cvc|cvv|pan$|ip$|ip_|user|login|password|secret|token|geo|lat$|lon$|"
    r"text|note|comment|message|description|subject|reason|title",
)
EXEMPT = {
    "waybill.inventory.ProductListed.name": "the product's, out of the catalogue",
    "waybill.inventory.ProductRenamed.name": "the product's, out of the catalogue",
    "waybill.inventory.ProductImported.name": "the product's, out of the webshop's catalogue",
    "shop.ProductRecorded.name": "the product's, out of the webshop's catalogue",
    "waybill.inventory.StockReceived.reason": "the staff's words on goods; the API says that no person is named",
    "waybill.inventory.StockCorrected.reason": "the staff's words on goods; the API says that no person is named",
    "waybill.order.OrderCancellationStarted.reason": "one of a fixed set of codes",
    "waybill.order.OrderCancelled.reason": "one of a fixed set of codes",
    "waybill.notification.NotificationRequested.reason": "one of a fixed set of codes",
}
# What stands in a text of this name, in every event that has one.
TEXTS = {
    "sku": "a product's key",
    "currency": "an ISO 4217 code",
    "kind": "one of a fixed set of codes",
    "channel": "one of a fixed set of codes",
    "code": "a code of a provider, a mail server or a webhook's receiver",
    "kinds": "of a fixed set of codes",
    "cause": "one of a fixed set of codes",
    "customer_id": "the subject of a token: the issuer's own id of the customer",
    "status": "one of a fixed set of codes",
    "provenance": "one of a fixed set of codes",
    "placed_at": "a time",
    "shipped_at": "a time",
    "charge_id": "the provider's own id",
    "refund_id": "the provider's own id, or an operator's reference, of which the command says that it names no person",
    "payment_method": "the provider's token for a way to pay; the API takes no number in its place",
    "provider": "one of a fixed set of names",
    "settled_by": "one of a fixed set of codes",
}


def _scalars(kind: FieldType, path: str) -> Iterator[tuple[str, Scalar]]:
    match kind:
        case Scalar():
            yield path, kind
        case Array(items):
            yield from _scalars(items, path)
        case Nullable(of):
            yield from _scalars(of, path)
        case Record():
            for field in kind.fields:
                yield from _scalars(field.type, f"{path}.{field.name}")


def _suspects(contracts: Iterable[Contract]) -> set[str]:
    """Every scalar of every version that sounds like a person."""
    found = (path for c in contracts for path, _ in _scalars(read_record(c.schema), c.event_type))
    return {path for path in found if SUSPECT.search(path.rpartition(".")[2])}


def _texts(contracts: Iterable[Contract]) -> set[str]:
    """Every other text of every version."""
    found = (pair for c in contracts for pair in _scalars(read_record(c.schema), c.event_type))
    texts = {path for path, kind in found if kind == Scalar("string")}
    return texts - EXEMPT.keys()


def test_no_field_could_hold_personal_data_without_a_reason() -> None:
    assert _suspects(load()) - EXEMPT.keys() == set(), "leave it out; other services ask the owner of the data for it"


def test_no_text_is_without_a_word_on_what_stands_in_it() -> None:
    unknown = {path for path in _texts(load()) if path.rpartition(".")[2] not in TEXTS}
    assert unknown == set(), "leave it out, or say in TEXTS why no person can be named there"


def test_no_exemption_outlives_its_field() -> None:
    assert EXEMPT.keys() - _suspects(load()) == set()
    assert TEXTS.keys() - {path.rpartition(".")[2] for path in _texts(load())} == set()


def _edited(field: Schema, *, in_a_line: bool) -> Contract:
    placed = CURRENT["waybill.order.OrderPlaced", 1]
    schema = json.loads(json.dumps(placed.schema))
    add(field)(schema["fields"][2]["type"]["items"] if in_a_line else schema)
    return Contract(event_type=placed.event_type, version=1, topic=placed.topic, source=placed.source, schema=schema)


@pytest.mark.parametrize("in_a_line", [False, True], ids=["on-top", "in-a-line"])
@pytest.mark.parametrize("kind", ["string", ["null", "string"], {"type": "array", "items": "string"}], ids=str)
@pytest.mark.parametrize("name", ["customer_name", "email", "delivery_address", "phone", "free_text", "gift_message"])
def test_a_field_that_sounds_like_a_person_is_found_wherever_it_stands(
    name: str, kind: object, in_a_line: bool
) -> None:
    (found,) = _suspects([_edited({"name": name, "type": kind}, in_a_line=in_a_line)])
    assert found.endswith(f".{name}")


def test_a_number_that_sounds_like_a_person_is_found_too() -> None:
    assert _suspects([_edited({"name": "phone", "type": "long"}, in_a_line=False)])


def test_a_text_whose_name_gives_nothing_away_is_found_too() -> None:
    found = _texts([_edited({"name": "remark", "type": ["null", "string"]}, in_a_line=True)])
    assert {path.rpartition(".")[2] for path in found} - TEXTS.keys() == {"remark"}
