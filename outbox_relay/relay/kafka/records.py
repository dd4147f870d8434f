"""What a record on Kafka looks like: CloudEvents 1.0 in binary mode around a Confluent frame.

One row of the outbox is one record. PostgreSQL writes the text forms (id, time, the metadata's fields), which costs it
less than it would cost Python; headers that are the same for every record of a relay are built once.
"""

from typing import Any, Final, NamedTuple

import psycopg

from outbox_relay.databases import short_name
from waybill.contracts.codec import frame

# Large payloads are left out and read apart, so that a batch of rows has a bound in bytes without a window over it.
COLUMNS: Final = """
    position, event_id::text, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version,
    CASE WHEN topic IS NOT NULL AND octet_length(payload) <= 8192 THEN payload END AS payload,
    octet_length(payload) AS size,
    metadata->>'correlation_id' AS correlation_id, metadata->>'causation_id' AS causation_id,
    metadata->>'traceparent' AS traceparent, metadata->>'tracestate' AS tracestate,
    to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at,
    date_part('epoch', recorded_at) AS recorded_epoch
"""

_BATCH_HEADER: Final = 61  # a record batch of version 2
_VARINTS: Final = 10  # two lengths of up to five bytes
_FRAME: Final = 5  # magic byte and schema id of the Confluent frame

# A version may have several ids after a move to another registry; one of them is current.
SCHEMA_IDS: Final = "SELECT event_type, schema_version, schema_id FROM waybill_schema_id WHERE current"
RECORDED_NAME: Final = "SELECT name FROM waybill_service"


Kind = tuple[str, int]  # event type and schema version


class Row(NamedTuple):
    """One row of the outbox, as COLUMNS selects it."""

    position: int
    event_id: str
    topic: str | None
    aggregate_type: str
    aggregate_id: str
    aggregate_version: int
    event_type: str
    schema_version: int
    payload: bytes | None  # None: private, or large and not read yet
    size: int
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    tracestate: str | None
    recorded_at: str
    recorded_epoch: float

    @property
    def kind(self) -> Kind:
        """Return what its schema id is registered under."""
        return self.event_type, self.schema_version


# A row as the driver gives it, in the order of COLUMNS: to make a Row of each would cost a twelfth of the relay's rate.
Fetched = tuple[Any, ...]
POSITION: Final = Row._fields.index("position")
TOPIC: Final = Row._fields.index("topic")
KEY: Final = Row._fields.index("aggregate_id")
EVENT_TYPE: Final = Row._fields.index("event_type")
SCHEMA_VERSION: Final = Row._fields.index("schema_version")
PAYLOAD: Final = Row._fields.index("payload")
SIZE: Final = Row._fields.index("size")
EPOCH: Final = Row._fields.index("recorded_epoch")
TRACE: Final = Row._fields.index("traceparent")

# The client reads a dict faster than pairs; no name comes twice.
Headers = dict[str, str | bytes | None]


def source_of(service: str) -> str:
    """Return the `ce_source` of a service's records."""
    return f"/waybill/{service}"


def published_as(connection: psycopg.Connection, service: str) -> str:
    """Return the name that the service has recorded, where `service` means it with or without `_service`.

    WAYBILL_OUTBOX_DATABASES takes both spellings, and a Django project's name need not end so. Raises psycopg.Error.
    """
    try:
        names = [name for (name,) in connection.execute(RECORDED_NAME)]
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return service  # not migrated since, or the relay's role has not been granted it
    return next((name for name in names if short_name(name) == short_name(service)), service)


class Records:
    """Turn rows into keys, values and headers, with the schema ids that registration left in the database."""

    def __init__(self, service: str) -> None:
        """Build the headers that all records of this service share."""
        self._constant: Headers = {
            "ce_specversion": b"1.0",
            "ce_source": source_of(service).encode(),
            "content-type": b"application/avro",
        }
        self._frames: dict[Kind, bytes] = {}

    def load(self, connection: psycopg.Connection) -> None:
        """Read the schema ids anew."""
        rows = connection.execute(SCHEMA_IDS).fetchall()
        self._frames = {(event_type, version): frame(schema_id, b"") for event_type, version, schema_id in rows}

    def unregistered(self, kinds: frozenset[Kind]) -> frozenset[Kind]:
        """Return those event types and versions whose schema id is not known."""
        return kinds - self._frames.keys()

    def value(self, row: Fetched) -> bytes:
        """Return the framed payload, which must have been read."""
        return self._frames[row[EVENT_TYPE], row[SCHEMA_VERSION]] + row[PAYLOAD]

    def headers(self, row: Fetched) -> Headers:
        """Return the record's headers."""
        (_, event_id, _, _, key, version, event_type, _, _, _, correlation_id, causation_id, trace, state, time, _) = (
            row
        )
        headers: Headers = {
            **self._constant,
            "ce_id": event_id,
            "ce_type": event_type,
            "ce_subject": key,
            "ce_time": time,
            "ce_sequence": str(version),
        }
        if correlation_id:
            headers["ce_correlationid"] = correlation_id
        if causation_id:
            headers["ce_causationid"] = causation_id
        if trace:
            headers["traceparent"] = trace
        if state:
            headers["tracestate"] = state
        return headers

    def size(self, row: Row) -> int:
        """Return an upper bound of the bytes that the broker counts for a record sent alone, before compression."""
        headers = sum(len(name) + len(value or b"") + _VARINTS for name, value in self.headers(row).items())
        return _BATCH_HEADER + _VARINTS * 3 + len(row.aggregate_id.encode()) + row.size + _FRAME + headers
