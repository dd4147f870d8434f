"""A pause: a row that the leading relay reads with each heartbeat. While it stands, nothing is published.

The relay sees it within a second, finishes what is in flight, and then has no producer until the pause ends. A pause
belongs to who made it: a second one is refused, so that its author does not resume what somebody else still needs.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, LiteralString

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations import audit

COLUMNS: Final = "%(service)s::text AS service, paused_by, paused_at, reason"
READ: Final = f"SELECT {COLUMNS} FROM waybill_relay_pause"  # noqa: S608 - put together from constants
PAUSE: Final = f"""
INSERT INTO waybill_relay_pause (paused_by, reason) VALUES (%(by)s, %(reason)s)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608
RESUME: Final = f"DELETE FROM waybill_relay_pause RETURNING {COLUMNS}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused a service's relay, since when and why."""

    service: str
    paused_by: str
    paused_at: datetime
    reason: str

    def __str__(self) -> str:
        return f"by {self.paused_by} since {self.paused_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}: {self.reason}"


def read(service: str, connection: psycopg.Connection) -> Pause | None:
    """Return the pause that stands, if any. Raises psycopg.Error."""
    return _one(connection, READ, service)


def begin(service: str, connection: psycopg.Connection, by: str, reason: str) -> tuple[Pause, bool]:
    """Pause the relay, on record; returns the pause that stands, and whether this made it. Raises psycopg.Error."""
    while True:
        with connection.transaction():
            made = _one(connection, PAUSE, service, by=by, reason=reason)
            if made is not None:
                audit.record(connection, "pause", reason, {}, by)
                return made, True
        if stands := read(service, connection):
            return stands, False  # else it was ended in between


def end(service: str, connection: psycopg.Connection, by: str, reason: str) -> Pause | None:
    """End the pause, on record; returns the pause that this ended, if any. Raises psycopg.Error."""
    with connection.transaction():
        ended = _one(connection, RESUME, service)
        if ended is not None:
            audit.record(connection, "resume", reason, {"paused": str(ended)}, by)
    return ended


def _one(connection: psycopg.Connection, statement: LiteralString, service: str, **values: str) -> Pause | None:
    with connection.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(statement, {"service": service, **values}).fetchone()
