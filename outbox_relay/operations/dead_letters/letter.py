"""One dead letter with all that is known of it: headers, payload, reason, traceback, and what waits in its key.

The payload is decoded by the schema ids and texts in the service's own database, so the registry may be away. What
cannot be decoded is said, and its bytes are shown to nobody who may not see payloads. Headers are masked as it is.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from outbox_relay.operations.dead_letters import pages
from outbox_relay.operations.dead_letters.masking import MASK, Mask, masked, masked_headers
from outbox_relay.operations.dead_letters.pages import Listed
from waybill.contracts import codec

OURS: Final = {"reason", "traceback", "headers", "payload"}  # columns that are not shown as they are
FOLLOWERS: Final = 50  # that are shown; `behind` counts all
KIND: Final = "SELECT kind, ordering_key FROM waybill_dead_letter WHERE row_id = %s"
MESSAGE: Final = """
SELECT headers->>'topic' AS topic, headers->>'key' AS key, headers->>'place' AS place, headers->>'reason' AS reason,
       headers->>'traceback' AS traceback, headers->'record' AS headers, headers->'record'->>'ce_type' AS event_type,
       body->>'value' AS value, added AS dead_lettered_at
FROM received WHERE id = %s AND status = -1
"""
PUBLICATION: Final = """
SELECT destination AS topic, body->>'aggregate_id' AS key, 'position ' || (body->>'position') AS place,
       CASE WHEN status = 1 THEN 'redriven, not sent yet'
            ELSE (published.headers->>'reason') || ': ' || (published.headers->>'detail') END AS reason,
       body->>'event_type' AS event_type, added AS dead_lettered_at, metadata AS headers, schema_version, payload
FROM published LEFT JOIN waybill_outbox ON event_id = published.id WHERE published.id = %s AND status <> 2
"""
WRITER: Final = "SELECT event_type, schema_version, schema FROM waybill_schema_id WHERE schema_id = %s"
TEXT: Final = "SELECT schema FROM waybill_schema_id WHERE event_type = %s AND schema_version = %s LIMIT 1"
IN_KEY: Final = """
SELECT row_id FROM waybill_dead_letter WHERE kind = %s AND ordering_key = %s AND row_id <> %s
ORDER BY reason_class = 'behind', dead_lettered_at LIMIT %s
"""
BEHIND: Final = """
SELECT count(*) FROM waybill_dead_letter WHERE kind = %s AND ordering_key = %s AND reason_class = 'behind'
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter; `payload` is None where it cannot be decoded, and `unreadable` then says why.

    `behind` counts what waits in its key, `others` has the first of them, and the one that they wait for.
    """

    service: str
    row_id: UUID
    kind: str
    topic: str
    key: str
    place: str
    event_type: str | None
    reason: str
    traceback: str | None
    dead_lettered_at: datetime
    headers: Mapping[str, Any]
    payload: Mapping[str, Any] | None
    unreadable: str | None
    behind: int
    others: list[Listed]


def read(service: str, connection: psycopg.Connection, row_id: UUID, mask: Mask) -> Letter | None:
    """Return a dead letter, None where it is none any more. Raises psycopg.Error, ApplicationUnknown."""
    found = connection.execute(KIND, (row_id,)).fetchone()
    if found is None:
        return None
    kind, ordering_key = found
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(MESSAGE if kind == "message" else PUBLICATION, (row_id,)).fetchone()
    if row is None:
        return None
    payload, unreadable = (_message if kind == "message" else _publication)(connection, row, mask)
    (behind,) = connection.execute(BEHIND, (kind, ordering_key)).fetchone() or (0,)
    others = [one for (one,) in connection.execute(IN_KEY, (kind, ordering_key, row_id, FOLLOWERS))]
    own = {name: row[name] for name in Letter.__slots__ if name in row and name not in OURS}
    return Letter(
        service=service,
        row_id=row_id,
        kind=kind,
        reason=row["reason"] or "",
        traceback=row.get("traceback"),
        headers=masked_headers(row["headers"] or {}, mask),
        payload=payload,
        unreadable=unreadable,
        behind=behind,
        others=pages.of_rows(service, connection, others),
        **own,
    )


def _message(
    connection: psycopg.Connection, row: Mapping[str, Any], mask: Mask
) -> tuple[dict[str, Any] | None, str | None]:
    if row["value"] is None:
        return None, "the record has no value"
    value = base64.b64decode(row["value"])
    try:
        schema_id, payload = codec.unframe(value)
        found = connection.execute(WRITER, (schema_id,)).fetchone()
        if found is None:
            return None, f"schema id {schema_id} is not registered here{_bytes(value, mask)}"
        return masked(codec.decode(found[0], found[1], payload, found[2]).to_avro(), mask), None
    except codec.UnreadableEvent as error:
        return None, f"{error.reason}{_bytes(value, mask)}"


def _publication(
    connection: psycopg.Connection, row: Mapping[str, Any], mask: Mask
) -> tuple[dict[str, Any] | None, str | None]:
    if row["payload"] is None:
        return None, "its event is not in the outbox"
    writer = row["event_type"], row["schema_version"]
    (text,) = connection.execute(TEXT, writer).fetchone() or (None,)
    try:
        return masked(codec.decode(*writer, row["payload"], text).to_avro(), mask), None
    except codec.UnreadableEvent as error:
        return None, f"{error.reason}{_bytes(row['payload'], mask)}"


def _bytes(value: bytes, mask: Mask) -> str:
    """Return the bytes for who may see everything: nobody knows what in them is personal."""
    return f"; bytes {value.hex() if mask is Mask.NOTHING else MASK}"
