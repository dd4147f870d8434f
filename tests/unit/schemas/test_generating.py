"""The classes follow from the files, and a file that cannot become a class is refused in one line."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from schemas.events import EVENTS, OrderLine, OrderPlaced, PaymentRequested, ProductListed
from tests.support.schema_samples import Change, add, remove, retype, write_versions
from waybill.contracts.contracts import load
from waybill.contracts.fields import ContractError
from waybill.contracts.generate import generate, stale


def test_the_generated_files_are_fresh() -> None:
    assert [path.name for path in stale()] == [], "run `python -m waybill contracts generate`"


def test_an_event_says_where_it_belongs() -> None:
    assert OrderPlaced.topic == "order.events.v1"
    assert OrderPlaced.aggregate_type == "order"
    assert OrderPlaced.event_type == "waybill.order.OrderPlaced"
    assert OrderPlaced.schema_version == 1
    assert ProductListed.topic == "inventory.products.v1"
    assert PaymentRequested.topic is None


def test_each_event_is_found_by_its_own_name() -> None:
    assert {event_class.event_type: event_class for event_class in EVENTS.values()} == dict(EVENTS)


def test_an_event_cannot_be_changed_nor_built_by_position() -> None:
    line = OrderLine(sku="lamp", quantity=1, unit_price=1)
    with pytest.raises(FrozenInstanceError):
        line.quantity = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError, match="positional"):
        cast("Callable[..., OrderLine]", OrderLine)("lamp", 1, 1)
    assert not hasattr(line, "__dict__")


def test_types_are_there_at_run_time() -> None:
    types: dict[str, Any] = {field.name: field.type for field in fields(OrderPlaced)}
    assert types["order_id"] is UUID
    assert types["lines"] == tuple[OrderLine, ...]


def test_a_field_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    text = generate(load(write_versions(tmp_path, add({"name": "note", "type": ["null", "string"], "default": None}))))
    assert "    note: str | None = None\n" in text
    assert '("waybill.order.OrderPlaced", 2): "order.events.v1/OrderPlaced.v2.avsc"' in text


def test_a_key_that_is_a_whole_number_is_written_out_as_text(tmp_path: Path) -> None:
    write_versions(tmp_path, lambda schema: schema.update(key="total"))
    (tmp_path / "order.events.v1" / "OrderPlaced.v1.avsc").unlink()
    path = tmp_path / "order.events.v1" / "OrderPlaced.v2.avsc"
    path.rename(path.with_name("OrderPlaced.v1.avsc"))
    assert "return str(self.total)" in generate(load(tmp_path))


def test_records_of_one_name_have_one_definition(tmp_path: Path) -> None:
    write_versions(tmp_path)
    write_versions(tmp_path, _rename_nested_field, event="order.events.v1/OrderConfirmed")
    with pytest.raises(
        ContractError, match=r"OrderLine differs from the .*OrderLine of another event; give all of them"
    ):
        generate(load(tmp_path))


def _rename_nested_field(schema: dict[str, Any]) -> None:
    schema["fields"][2]["type"]["items"]["fields"][0]["name"] = "product"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (retype("total", "double"), "OrderPlaced.total: the type double is not in use"),
        (retype("lines", {"type": "array", "items": {"type": "array", "items": "int"}}), "neither arrays nor records"),
        (add({"name": "topic", "type": "string", "default": ""}), "topic: a class cannot have such a field"),
        (add({"name": "class", "type": "string", "default": ""}), "class: a class cannot have such a field"),
        (add({"name": "Big", "type": "string", "default": ""}), "Big: a class cannot have such a field"),
        (add({"name": "note", "type": "string", "doc": ""}), "OrderPlaced.note: write a doc"),
        (add({"name": "note", "type": "string", "doc": "No full stop"}), "write one sentence, with its full stop"),
        (add({"name": "note", "type": "string", "doc": "x" * 200 + "."}), "write one sentence, with its full stop"),
        (lambda schema: schema.update(key="lines"), "the key 'lines' is no uuid, string or whole number"),
    ],
)
def test_what_cannot_become_a_class_is_named(tmp_path: Path, change: Change, named: str) -> None:
    write_versions(tmp_path, change)
    (tmp_path / "order.events.v1" / "OrderPlaced.v1.avsc").unlink()
    path = tmp_path / "order.events.v1" / "OrderPlaced.v2.avsc"
    path.rename(path.with_name("OrderPlaced.v1.avsc"))
    with pytest.raises(ContractError) as refused:
        generate(load(tmp_path))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (remove("order_id"), "OrderPlaced.v2.avsc: the key 'order_id' is none of its fields"),
        (lambda schema: schema.pop("aggregate"), "OrderPlaced.v2.avsc: the record has no 'aggregate'"),
        (lambda schema: schema.update(doc=""), "OrderPlaced.v2.avsc: the record has no 'doc'"),
        (lambda schema: schema.update(name="Other"), "OrderPlaced.v2.avsc: the record is called Other"),
        (lambda schema: schema.update(type="enum"), "OrderPlaced.v2.avsc: an event is a record"),
        (lambda schema: schema.update(key="customer_id"), "key is ['order_id', 'customer_id'] over its versions"),
        (lambda schema: schema.update(aggregate="cart"), "aggregate is ['order', 'cart'] over its versions"),
    ],
)
def test_a_version_that_breaks_a_rule_is_named(tmp_path: Path, change: Change, named: str) -> None:
    with pytest.raises(ContractError) as refused:
        load(write_versions(tmp_path, change))
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("orderPlaced.v1.avsc", "{}", "name it after its event and version"),
        ("OrderPlaced.avsc", "{}", "name it after its event and version"),
        ("OrderEaten.v1.avsc", "{", "OrderEaten.v1.avsc: not JSON"),
        ("OrderEaten.v1.avsc", "[]", "OrderEaten.v1.avsc: an event is a record"),
    ],
)
def test_a_stray_file_is_named(tmp_path: Path, name: str, text: str, named: str) -> None:
    write_versions(tmp_path)
    (tmp_path / "order.events.v1" / name).write_text(text)
    with pytest.raises(ContractError) as refused:
        load(tmp_path)
    assert named in str(refused.value)


def test_versions_count_without_a_hole_in_one_folder(tmp_path: Path) -> None:
    write_versions(tmp_path, lambda _: None)
    (tmp_path / "order.events.v1" / "OrderPlaced.v1.avsc").unlink()
    with pytest.raises(ContractError, match=r"versions \[2\]; they count 1, 2, 3 without a hole"):
        load(tmp_path)


def test_an_event_lives_in_one_folder(tmp_path: Path) -> None:
    write_versions(tmp_path)
    (tmp_path / "order.events.v2").mkdir()
    copy = (tmp_path / "order.events.v1" / "OrderPlaced.v1.avsc").read_text()
    (tmp_path / "order.events.v2" / "OrderPlaced.v2.avsc").write_text(copy)
    with pytest.raises(ContractError, match="topic is"):
        load(tmp_path)
