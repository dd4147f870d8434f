"""What fits its schema comes back equal; what does not is refused by name, before it can be committed."""

from dataclasses import replace
from enum import StrEnum
from uuid import UUID

import pytest

from schemas.events import EVENTS, NotificationRequested, OrderCancelled, OrderLine, OrderPlaced, ProductListed
from tests.support.schema_samples import sample
from waybill.contracts import codec

PLACED = sample("waybill.order.OrderPlaced")
LINE = OrderLine(sku="lamp", quantity=1, unit_price=1)


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize("null", [False, True])
def test_every_event_comes_back_equal(event_type: str, *, null: bool) -> None:
    event = sample(event_type, null=null)
    assert codec.decode(event_type, event.schema_version, codec.encode(event)) == event


def test_lists_come_back_as_tuples_so_that_events_stay_frozen() -> None:
    assert isinstance(PLACED, OrderPlaced)
    assert PLACED.lines == tuple(PLACED.lines)
    assert hash(PLACED) == hash(replace(PLACED))


@pytest.mark.parametrize("number", [-(2**31), 2**31 - 1])
def test_the_ends_of_an_int_are_written(number: int) -> None:
    event = replace(PLACED, lines=(replace(LINE, quantity=number),))
    assert codec.decode(event.event_type, event.schema_version, codec.encode(event)) == event


class Reason(StrEnum):
    DECLINED = "declined"


def test_a_text_enum_is_text() -> None:
    event = OrderCancelled(order_id=UUID(int=1), customer_id="c", reason=Reason.DECLINED)
    read = codec.decode(event.event_type, event.schema_version, codec.encode(event))
    assert read == event
    assert type(read.reason) is str


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"total": "5"}, "total is '5', and the schema wants long"),
        ({"total": 2.5}, "total is 2.5, and the schema wants long"),
        ({"total": None}, "total is None, and the schema wants long"),
        ({"total": 2**63}, "total is 9223372036854775808, which is beyond an Avro long"),
        ({"total": -(2**63) - 1}, "total is -9223372036854775809, which is beyond an Avro long"),
        ({"currency": None}, "currency is None, and the schema wants string"),
        ({"currency": b"EUR"}, "currency is b'EUR', and the schema wants string"),
        ({"currency": 978}, "currency is 978, and the schema wants string"),
        ({"currency": "\ud800"}, "currency is '\\ud800', which UTF-8 cannot hold"),
        (
            {"order_id": str(UUID(int=1))},
            "order_id is '00000000-0000-0000-0000-000000000001', and the schema wants uuid",
        ),
        ({"order_id": None}, "order_id is None, and the schema wants uuid"),
        ({"lines": None}, "lines is None, and the schema wants an array"),
        ({"lines": "ab"}, "lines is 'ab', and the schema wants an array"),
        ({"lines": ("a",)}, "lines[0] is 'a', and the schema wants OrderLine"),
        ({"lines": (LINE, None)}, "lines[1] is None, and the schema wants OrderLine"),
        (
            {"lines": (LINE, replace(LINE, quantity=2**31))},
            "lines[1].quantity is 2147483648, which is beyond an Avro int",
        ),
        (
            {"lines": (replace(LINE, quantity=-(2**31) - 1),)},
            "lines[0].quantity is -2147483649, which is beyond an Avro int",
        ),
        ({"lines": (replace(LINE, quantity="2"),)}, "lines[0].quantity is '2', and the schema wants int"),
        ({"lines": (replace(LINE, sku=None),)}, "lines[0].sku is None, and the schema wants string"),
    ],
)
def test_a_wrong_value_is_refused_by_event_and_field(changes: dict[str, object], named: str) -> None:
    with pytest.raises(codec.UnwritableEvent) as refused:
        codec.encode(replace(PLACED, **changes))
    assert str(refused.value) == f"waybill.order.OrderPlaced: {named}"


def test_a_nullable_field_takes_null_and_its_own_type_only() -> None:
    event = NotificationRequested(order_id=UUID(int=1), customer_id="c", kind="k", channel="email")
    assert event.reason is None
    codec.encode(event)
    with pytest.raises(codec.UnwritableEvent, match="reason is 3, and the schema wants string"):
        codec.encode(replace(event, reason=3))


def test_a_long_value_is_shown_by_its_beginning() -> None:
    with pytest.raises(codec.UnwritableEvent) as refused:
        codec.encode(replace(PLACED, total="9" * 10_000))
    assert len(str(refused.value)) < 200


def test_the_key_of_a_product_is_its_sku_and_of_an_order_its_id() -> None:
    product = ProductListed(sku="lamp", name="Lamp", unit_price=1, currency="EUR")
    assert product.aggregate_id == "lamp"
    assert OrderCancelled(order_id=UUID(int=1), customer_id="c", reason="r").aggregate_id == str(UUID(int=1))
