"""Today's code reads, to the last field, what every earlier version wrote; and who knows version 1 reads today's."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader

from schemas.events import EVENTS
from tests.support.golden import FOLDER, METADATA, Golden, path, plain, record
from tests.support.schema_samples import CURRENT, sample
from waybill.consumer.message import Message
from waybill.contracts import codec
from waybill.contracts.contracts import Contract, by_event, load
from waybill.contracts.fields import Array, FieldType, Record, read_record
from waybill.observability.telemetry import Cause

CONTRACTS = load()
every_version = pytest.mark.parametrize("contract", CONTRACTS, ids=[contract.source for contract in CONTRACTS])
every_public_version = pytest.mark.parametrize(
    "contract", [c for c in CONTRACTS if c.topic], ids=[contract.source for contract in CONTRACTS if contract.topic]
)
# What is private is read by its own service alone, which is never older than what it reads.
every_public_event = pytest.mark.parametrize("event_type", by_event(c for c in CONTRACTS if c.topic))


def test_every_version_is_kept_and_nothing_else() -> None:
    kept = {file.name for file in FOLDER.glob("*.json")}
    assert kept == {path(contract).name for contract in CONTRACTS}, "run `python -m tests.support.golden`"


@every_version
def test_a_kept_payload_is_read_as_the_current_class_with_defaults_where_it_said_nothing(contract: Contract) -> None:
    golden = Golden.read(contract)
    event = codec.decode(contract.event_type, contract.version, golden.payload)
    event_class = EVENTS[contract.event_type]
    assert type(event) is event_class
    current = CURRENT[contract.event_type, event_class.schema_version]
    assert plain(event) == _as_read_with(read_record(current.schema), golden.fields)


@every_version
def test_the_current_version_still_writes_the_kept_bytes(contract: Contract) -> None:
    golden = Golden.read(contract)
    event = codec.decode(contract.event_type, contract.version, golden.payload)
    if contract.version == event.schema_version:
        assert codec.encode(event) == golden.payload
        assert plain(event) == golden.fields


@every_public_version
def test_a_kept_record_is_told_apart_and_placed_by_its_headers(contract: Contract) -> None:
    golden = Golden.read(contract)
    assert golden.key
    assert golden.headers
    headers = tuple((name, value.encode()) for name, value in golden.headers.items())
    message = Message(contract.topic or "", 0, 1, golden.key.encode(), headers, b"", 0)
    event = codec.decode(contract.event_type, contract.version, golden.payload)
    assert message.key == event.aggregate_id == golden.headers["ce_subject"]
    assert message.event_type == contract.event_type
    assert message.inbox_id == "0199b2c4-0000-7000-8000-000000000003"
    assert message.is_for("anybody")
    cause = Cause.of_event(message.event_id, message.headers)
    told = (cause.correlation_id, cause.causation_id, cause.traceparent, cause.tracestate)
    assert told == (METADATA["correlation_id"], message.event_id, METADATA["traceparent"], METADATA["tracestate"])


@every_public_version
def test_a_record_of_today_has_every_header_that_was_ever_sent(contract: Contract) -> None:
    golden = Golden.read(contract)
    assert golden.key
    assert golden.headers
    value, headers = record(contract, golden.key, golden.payload)
    assert codec.unframe(value)[1] == golden.payload
    assert golden.headers.items() <= headers.items()


@every_public_event
@pytest.mark.parametrize("null", [False, True], ids=["full", "null"])
def test_who_knows_only_version_1_reads_what_is_written_today(event_type: str, null: bool) -> None:
    event = sample(event_type, null=null)
    first, current = CURRENT[event_type, 1], CURRENT[event_type, event.schema_version]
    buffer = BytesIO(codec.encode(event))
    read = schemaless_reader(buffer, parse_schema(_copy(current)), parse_schema(_copy(first)))
    assert json.loads(json.dumps(read, default=str)) == _as_read_with(read_record(first.schema), plain(event))
    assert buffer.read() == b""


def test_an_event_that_has_a_second_version_says_more_than_the_first() -> None:
    charged = {v: Golden.read(CURRENT["waybill.payment.PaymentCharged", v]) for v in (1, 2)}
    assert charged[2].fields.keys() - charged[1].fields.keys() == {"provider"}
    rejected = {v: Golden.read(CURRENT["waybill.inventory.StockRejected", v]) for v in (1, 2)}
    (one, *_), (two, *_) = rejected[1].fields["shortages"], rejected[2].fields["shortages"]
    assert two.keys() - one.keys() == {"on_hand"}


def _copy(contract: Contract) -> dict[str, Any]:
    return json.loads(json.dumps(contract.schema))


def _as_read_with(record: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields as code that has this record sees them: its own, with its defaults where nothing was written."""
    return {
        field.name: _value(field.type, fields[field.name]) if field.name in fields else field.default
        for field in record.fields
    }


def _value(kind: FieldType, value: Any) -> Any:
    match kind:
        case Array(items):
            return [_value(items, item) for item in value]
        case Record():
            return _as_read_with(kind, value)
        case _:
            return value
