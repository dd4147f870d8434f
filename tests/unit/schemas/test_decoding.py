"""Bytes become an event or UnreadableEvent with a reason, and nothing else."""

import json
import sys
import types
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import EVENTS
from tests.support.schema_samples import CURRENT, add, remove, sample, write_versions
from waybill import application
from waybill.contracts import codec
from waybill.contracts.contracts import load
from waybill.contracts.generate import generate

PLACED = sample("waybill.order.OrderPlaced")
PAYLOAD = codec.encode(PLACED)


@pytest.mark.parametrize("length", range(len(PAYLOAD)))
def test_a_truncated_payload_is_unreadable(length: int) -> None:
    with pytest.raises(codec.UnreadableEvent) as unreadable:
        codec.decode(PLACED.event_type, 1, PAYLOAD[:length])
    assert unreadable.value.reason == f"waybill.order.OrderPlaced v1: the bytes end early in {length} bytes"


def test_bytes_left_over_are_unreadable() -> None:
    with pytest.raises(codec.UnreadableEvent, match=f"1 of {len(PAYLOAD) + 1} bytes are left over"):
        codec.decode(PLACED.event_type, 1, PAYLOAD + b"\0")


def test_an_unknown_type_is_unreadable() -> None:
    with pytest.raises(codec.UnreadableEvent, match=r"waybill\.order\.OrderEaten: an event of this type is not known"):
        codec.decode("waybill.order.OrderEaten", 1, PAYLOAD)


@pytest.mark.parametrize("version", [0, -1, 2])
def test_an_unknown_version_is_unreadable(version: int) -> None:
    with pytest.raises(codec.UnreadableEvent, match=f"OrderPlaced v{version}: known here up to v1"):
        codec.decode(PLACED.event_type, version, PAYLOAD)


@settings(deadline=None)  # a busy machine is no failure
@given(event_type=st.sampled_from(sorted(EVENTS)), payload=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_unreadable(event_type: str, payload: bytes) -> None:
    assert _is_an_event_or_unreadable(event_type, payload)


@settings(deadline=None)
@given(position=st.integers(0, len(PAYLOAD) - 1), byte=st.integers(0, 255), more=st.binary(max_size=12))
def test_a_damaged_payload_is_an_event_or_unreadable(position: int, byte: int, more: bytes) -> None:
    damaged = PAYLOAD[:position] + bytes([byte]) + more + PAYLOAD[position + 1 :]
    assert _is_an_event_or_unreadable(PLACED.event_type, damaged)


def _is_an_event_or_unreadable(event_type: str, payload: bytes) -> bool:
    try:
        event = codec.decode(event_type, 1, payload)
    except codec.UnreadableEvent as unreadable:
        return len(unreadable.reason.splitlines()) == 1
    return codec.decode(event_type, 1, codec.encode(event)) == event


def test_a_frame_comes_apart_as_it_was_put_together() -> None:
    for schema_id in (0, 1, 2**31 - 1):
        assert codec.unframe(codec.frame(schema_id, PAYLOAD)) == (schema_id, PAYLOAD)
    assert codec.frame(258, b"x") == b"\x00\x00\x00\x01\x02x"
    assert codec.unframe(codec.frame(7, b"")) == (7, b"")


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0\1"])
def test_a_value_too_short_for_a_frame_is_unreadable(value: bytes) -> None:
    with pytest.raises(codec.UnreadableEvent, match=f"a value of {len(value)} bytes is shorter"):
        codec.unframe(value)


def test_a_value_without_the_zero_byte_is_unreadable() -> None:
    with pytest.raises(codec.UnreadableEvent, match="the first byte is 123"):
        codec.unframe(b'{"order_id": 1}')


@pytest.fixture
def two_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """Run the codec on classes generated from two versions: `note` came with a default, `payment_method` went."""
    root = write_versions(tmp_path, lambda schema: (add(_NOTE)(schema), remove("payment_method")(schema)))
    module = types.ModuleType("two_versions")
    exec(compile(generate(load(root)), "two_versions", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "two_versions", module)
    monkeypatch.setenv("WAYBILL_EVENTS", "two_versions")
    monkeypatch.setenv("WAYBILL_SCHEMAS", str(root))
    _forget_schemas()
    yield module
    monkeypatch.undo()
    _forget_schemas()


_NOTE = {"name": "note", "type": ["null", "string"], "default": None}


def _forget_schemas() -> None:
    codec._reader.cache_clear()
    codec._writer.cache_clear()
    application.forget()


def test_an_older_version_is_read_as_the_current_class(two_versions: types.ModuleType) -> None:
    event = codec.decode("waybill.order.OrderPlaced", 1, PAYLOAD)
    assert type(event) is two_versions.OrderPlaced
    assert event.note is None
    assert event.schema_version == 2
    assert event.total == PLACED.total
    assert not hasattr(event, "payment_method")


def _newer() -> tuple[str, bytes]:
    """OrderPlaced as a later release might write it: one field more, and one of its lines too."""
    schema = json.loads(json.dumps(CURRENT["waybill.order.OrderPlaced", 1].schema))
    add(_NOTE)(schema)
    schema["fields"][2]["type"]["items"]["fields"].append({**_NOTE, "name": "colour", "doc": "Added."})
    datum = {**PLACED.to_avro(), "note": "new"}
    datum["lines"] = [{**line, "colour": "red"} for line in datum["lines"]]
    buffer = BytesIO()
    schemaless_writer(buffer, schema, datum)
    return json.dumps(schema), buffer.getvalue()


def test_a_newer_version_is_read_by_the_schema_it_was_registered_with() -> None:
    schema, payload = _newer()
    assert codec.decode(PLACED.event_type, 2, payload, schema) == PLACED


def test_a_newer_version_that_ends_early_or_holds_more_is_unreadable() -> None:
    schema, payload = _newer()
    with pytest.raises(codec.UnreadableEvent, match="v2: the bytes end early"):
        codec.decode(PLACED.event_type, 2, payload[:-1], schema)
    with pytest.raises(codec.UnreadableEvent, match=r"v2: 1 of \d+ bytes are left over"):
        codec.decode(PLACED.event_type, 2, payload + b"\0", schema)


@pytest.mark.parametrize(
    "schema",
    [
        *("", "[]", "{", '"string"', '{"type": "record", "name": "A", "fields": []}'),
        '{"type": "enum", "name": "A", "symbols": ["a b"]}',
        '{"type": "record", "name": "a b", "fields": []}',
    ],
)
def test_a_registered_schema_that_is_none_makes_its_records_unreadable(schema: str) -> None:
    with pytest.raises(codec.UnreadableEvent, match=r"waybill\.order\.OrderPlaced v2: "):
        codec.decode(PLACED.event_type, 2, PAYLOAD, schema)


def test_an_older_version_that_ends_early_is_unreadable(two_versions: types.ModuleType) -> None:
    assert two_versions
    with pytest.raises(codec.UnreadableEvent, match="v1: the bytes end early"):
        codec.decode("waybill.order.OrderPlaced", 1, PAYLOAD[:-1])
