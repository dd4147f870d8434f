"""What each event version looked like on the wire when it was made, kept for as long as a topic or outbox may hold it.

`python -m tests.support.golden` writes the file of each version that has none, in the commit that adds the version.
A kept file is never written again. To change a version that nobody has deployed, delete its file first.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outbox_relay.relay.kafka.records import Records, Row
from schemas.events import EVENTS
from tests.support.schema_samples import sample
from waybill.contracts import codec
from waybill.contracts.contracts import Contract, load
from waybill.contracts.event import Event

FOLDER = Path(__file__).parents[1] / "contracts" / "golden"
SCHEMA_ID = 1  # what a registry made of it says nothing about the contract
METADATA = {
    "correlation_id": "0199b2c4-0000-7000-8000-000000000001",
    "causation_id": "0199b2c4-0000-7000-8000-000000000002",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "shop=1",
}


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One event, as it was written; of a private one the payload alone."""

    fields: Mapping[str, Any]
    payload: bytes
    key: str | None = None
    headers: Mapping[str, str] | None = None

    @classmethod
    def read(cls, contract: Contract) -> "Golden":
        """Read the kept file of an event version."""
        kept = json.loads(path(contract).read_text(encoding="utf-8"))
        if contract.topic is None:
            return cls(fields=kept["fields"], payload=bytes.fromhex(kept["payload"]))
        schema_id, payload = codec.unframe(bytes.fromhex(kept["value"]))
        assert schema_id == SCHEMA_ID
        return cls(fields=kept["fields"], payload=payload, key=kept["key"], headers=kept["headers"])


def path(contract: Contract) -> Path:
    """Give the place of the kept file."""
    return FOLDER / f"{contract.event_type}.v{contract.version}.json"


def plain(event: Event) -> dict[str, Any]:
    """Give the fields of an event as JSON has them."""
    return json.loads(json.dumps(event.to_avro(), default=str))


def record(contract: Contract, key: str, payload: bytes) -> tuple[bytes, dict[str, str]]:
    """Give value and headers as today's relay makes them of a row that is always the same."""
    records = Records(f"{contract.event_type.split('.')[1]}_service")
    records._frames[contract.event_type, contract.version] = codec.frame(SCHEMA_ID, b"")
    row = Row(
        position=1,
        event_id="0199b2c4-0000-7000-8000-000000000003",
        topic=contract.topic,
        aggregate_type=contract.schema["aggregate"],
        aggregate_id=key,
        aggregate_version=3,
        event_type=contract.event_type,
        schema_version=contract.version,
        payload=payload,
        size=len(payload),
        **METADATA,
        recorded_at="2026-01-02T03:04:05.678901Z",
        recorded_epoch=1767323045.678901,
    )
    headers = {name: _text(value) for name, value in records.headers(row).items()}
    return records.value(row), headers


def written(contract: Contract, event: Event, payload: bytes) -> dict[str, Any]:
    """Give what the kept file of an event holds."""
    if contract.topic is None:
        return {"fields": plain(event), "payload": payload.hex()}
    value, headers = record(contract, event.aggregate_id, payload)
    return {"fields": plain(event), "key": event.aggregate_id, "headers": headers, "value": value.hex()}


def write_missing() -> Iterator[Path]:
    """Write the file of each current version that has none."""
    for contract in load():
        if path(contract).exists() or EVENTS[contract.event_type].schema_version != contract.version:
            continue
        event = sample(contract.event_type)
        kept = written(contract, event, codec.encode(event))
        path(contract).write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        yield path(contract)


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    sys.stdout.writelines(f"{file.name}: written\n" for file in write_missing())
