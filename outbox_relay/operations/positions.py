"""How far a service's consumer has read, by its own word: next offset and time of the last event of each partition."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations.parts import has_inbox

READ: Final = """
SELECT topic, "partition", next_offset, read_until FROM waybill_consumer_position ORDER BY topic, "partition"
"""


@dataclass(frozen=True, slots=True)
class Position:
    """One partition; `read_until` is when the last event that was read was recorded, None where none was."""

    topic: str
    partition: int
    next_offset: int
    read_until: datetime | None


def read(_service: str, connection: psycopg.Connection) -> list[Position]:
    """Return where the consumer stands; nothing for a service that handles no events. Raises psycopg.Error."""
    if not has_inbox(connection):
        return []
    with connection.cursor(row_factory=class_row(Position)) as cursor:
        return cursor.execute(READ).fetchall()
