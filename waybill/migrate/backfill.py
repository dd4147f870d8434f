"""Every key of a table into the queue, in chunks, as fast as the rest keeps up.

A chunk and the position behind it are one transaction, so a backfill that is killed goes on where it was. Rows that
are written behind its position meanwhile are captured, which is why it refuses to begin while capture is off: turning
it on waits for the writers of before, so there is no row that neither sees.

It ends with the keys that were told of once and are gone from the table: they were deleted while nothing captured.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections, transaction

from waybill.migrate import capture, tables
from waybill.migrate.mapping.building import Built

CHUNK: Final = 2_000
WAIT_SECONDS: Final = 0.2
BEGIN: Final = """
INSERT INTO waybill_backfill (source) VALUES (%s) ON CONFLICT (source) DO NOTHING
"""
ANEW: Final = "DELETE FROM waybill_backfill WHERE source = %s AND finished_at IS NOT NULL"
# Locked, so that two backfills of one source take turns and queue nothing twice.
WHERE: Final = "SELECT position, queued, finished_at IS NOT NULL FROM waybill_backfill WHERE source = %s FOR UPDATE"
QUEUE: Final = """
WITH chunk AS (SELECT {key} AS key FROM {table} {after} ORDER BY {key} LIMIT %(limit)s),
queued AS (INSERT INTO waybill_capture (source, key) SELECT %(source)s, key::text FROM chunk)
SELECT count(*), (SELECT key::text AS last FROM chunk ORDER BY key DESC LIMIT 1) FROM chunk
"""
MOVE: Final = "UPDATE waybill_backfill SET position = %s, queued = queued + %s WHERE source = %s"
END: Final = "UPDATE waybill_backfill SET finished_at = clock_timestamp(), queued = queued + %s WHERE source = %s"
GONE: Final = """
INSERT INTO waybill_capture (source, key)
SELECT source, key FROM waybill_capture_state AS known WHERE source = %s AND digest IS NOT NULL
AND NOT EXISTS (SELECT FROM {table} WHERE {key}::text = known.key)
"""
# The count of the queue stops where it is long enough. A standby that has caught up reports no lag.
PRESSURE: Final = """
SELECT (SELECT count(*) FROM (SELECT FROM waybill_capture LIMIT %s) AS queue),
    greatest(0, coalesce((SELECT max(position) FROM waybill_outbox), 0)
        - coalesce((SELECT position FROM waybill_outbox_cursor), 0)),
    coalesce((SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication), 0)::float
"""


class CaptureIsOff(Exception):
    """A backfill would miss what changes behind it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a backfill waits for."""

    keys_a_second: float | None = None
    queue: int = 20_000
    """Keys that may wait to be read."""
    outbox: int = 50_000
    """Events that may wait for the relay."""
    lag_seconds: float = 10.0
    """How far a standby may be behind."""


def run(
    built: Built, using: str, limits: Limits, *, is_stopping: Callable[[], bool], told: Callable[[int, str], object]
) -> bool:
    """Queue what is not queued yet; True once all is. `told` gets the keys so far and what is waited for.

    Raises:
        CaptureIsOff: The triggers are not there.

    """
    _begin(built, using)
    began, queued_before = time.monotonic(), _queued(built, using)
    while not is_stopping():
        waits_for = _waits_for(using, limits)
        if waits_for:
            told(_queued(built, using), waits_for)
            time.sleep(WAIT_SECONDS)
            continue
        more, queued = queue_chunk(built, using, limit=_portion(limits))
        told(queued, "")
        if not more:
            return True
        if limits.keys_a_second:
            due = began + (queued - queued_before) / limits.keys_a_second
            while not is_stopping() and (left := due - time.monotonic()) > 0:
                time.sleep(min(left, WAIT_SECONDS))
    return False


def _portion(limits: Limits) -> int:
    """Return how much is queued at once: at a low rate no more than is due until the next look."""
    if limits.keys_a_second is None:
        return CHUNK
    return max(1, min(CHUNK, int(limits.keys_a_second * WAIT_SECONDS)))


def queue_chunk(built: Built, using: str, *, limit: int = CHUNK) -> tuple[bool, int]:
    """Queue one chunk and move the position, in one transaction; returns whether there is more, and how many so far."""
    source = built.aggregate.name
    key, table = tables.identifier(built.aggregate.key), tables.identifier(built.aggregate.table)
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute(WHERE, [source])
        position, queued, is_finished = cursor.fetchone()
        if is_finished:
            return False, queued
        after = "" if position is None else f"WHERE {key} > %(position)s::{built.key_type}"
        statement = QUEUE.format(key=key, table=table, after=after)
        cursor.execute(statement, {"limit": limit, "source": source, "position": position})
        count, last = cursor.fetchone()
        if count:
            cursor.execute(MOVE, [last, count, source])
            return True, queued + count
        cursor.execute(GONE.format(table=table, key=key), [source])
        gone = cursor.rowcount
        cursor.execute(END, [gone, source])
        return False, queued + gone


def _begin(built: Built, using: str) -> None:
    source = built.aggregate.name
    with transaction.atomic(using), connections[using].cursor() as cursor:
        if not capture.is_on(built.aggregate, cursor):
            raise CaptureIsOff(f"{source}: what changes behind the backfill would be missed; first: capture on")
        cursor.execute(ANEW, [source])
        cursor.execute(BEGIN, [source])


def _queued(built: Built, using: str) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT queued FROM waybill_backfill WHERE source = %s", [built.aggregate.name])
        return cursor.fetchone()[0]


def _waits_for(using: str, limits: Limits) -> str:
    with connections[using].cursor() as cursor:
        cursor.execute(PRESSURE, [limits.queue])
        queue, outbox, lag = cursor.fetchone()
    return waits_for(queue, outbox, lag, limits)


def waits_for(queue: int, outbox: int, lag_seconds: Any, limits: Limits) -> str:
    """Say what is too far behind to queue more; nothing where all keep up."""
    if queue >= limits.queue:
        return f"{queue} keys wait to be read: is `migrate run` running?"
    if outbox > limits.outbox:
        return f"{outbox} events wait for the relay"
    if lag_seconds > limits.lag_seconds:
        return f"a standby is {lag_seconds:.0f} seconds behind"
    return ""
