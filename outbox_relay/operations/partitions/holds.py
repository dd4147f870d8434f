"""What keeps a range of the log from being dropped, and what would end that."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from outbox_relay.operations.partitions.layout import Range

# One index entry each, whatever the range holds.
TIMES: Final = """
SELECT (SELECT recorded_at FROM waybill_outbox WHERE position BETWEEN %(first)s AND %(last)s
        ORDER BY position LIMIT 1) AS oldest,
       (SELECT recorded_at FROM waybill_outbox WHERE position BETWEEN %(first)s AND %(last)s
        ORDER BY position DESC LIMIT 1) AS newest
"""
# The relay knows the log by one event that it passed, and its checks hold the cursor against the end of the log.
STATE: Final = """
SELECT coalesce((SELECT max(waybill_outbox.position) FROM waybill_outbox), 0) <= %(last)s AS has_the_end,
       cursor.position < %(last)s OR EXISTS (
           SELECT FROM generate_series(1, cardinality(missing), 2) AS n
           WHERE missing[n] <= %(last)s AND missing[n + 1] >= %(first)s) AS unpublished,
       EXISTS (SELECT FROM waybill_outbox WHERE event_id = known_event_id
               AND waybill_outbox.position BETWEEN %(first)s AND %(last)s) AS known,
       coalesce((SELECT position FROM waybill_verified_position), 0) < (
           SELECT max(waybill_outbox.position) FROM waybill_outbox
           WHERE waybill_outbox.position BETWEEN %(first)s AND %(last)s) AS unverified,
       (SELECT count(*) FROM published
        WHERE status <> 2 AND (body->>'position')::bigint BETWEEN %(first)s AND %(last)s) AS dead_letters,
       (SELECT count(*) FROM waybill_replay_job AS job
        WHERE finished_at IS NULL AND job.first <= %(last)s AND job.last >= %(first)s) AS replays
FROM waybill_outbox_cursor AS cursor
"""
DUE_THERE: Final = "SELECT to_regclass('waybill_due_task') IS NOT NULL"
DUE: Final = """
SELECT count(*) FROM waybill_due_task JOIN waybill_outbox USING (event_id) WHERE position BETWEEN %(first)s AND %(last)s
"""
# Kinds that never end hold nothing: their fold begins in the archive.
KINDS: Final = """
SELECT aggregate_type, table_name, key_column, end_statuses FROM waybill_aggregate_kind WHERE end_statuses <> '{}'
ORDER BY aggregate_type
"""
# From the rows that have not ended, which are few, to their events by the key of aggregate and version.
LIVING: Final[LiteralString] = """
SELECT count(*), min({key}::text) FROM {table}
WHERE status <> ALL (%(ended)s) AND EXISTS (
    SELECT FROM waybill_outbox WHERE aggregate_type = %(kind)s AND aggregate_id = {key}::text
    AND position BETWEEN %(first)s AND %(last)s)
"""


class Held(NamedTuple):
    """When the range's first and last events were recorded, and what keeps it; nothing: it may be dropped."""

    oldest: datetime | None
    newest: datetime | None
    reasons: tuple[str, ...]


def look(connection: psycopg.Connection, one: Range, older_than: timedelta | None) -> Held:
    """Return what keeps a range that has an end; without `older_than` its age does not. Raises psycopg.Error."""
    values = {"first": one.first or 1, "last": one.last}
    oldest, newest = connection.execute(TIMES, values).fetchone() or (None, None)
    if newest is None:
        return Held(None, None, ("it is empty",))
    reasons = [*_state(connection, values), *_due(connection, values), *_living(connection, values)]
    if older_than is not None and newest > datetime.now(UTC) - older_than:
        reasons.insert(0, f"its last event is younger than {older_than.days} days")
    return Held(oldest, newest, tuple(reasons))


def _state(connection: psycopg.Connection, values: dict[str, Any]) -> Iterator[str]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        found: Any = cursor.execute(STATE, values).fetchone()
    if found.has_the_end:
        yield "the log ends in it"
    if found.unpublished:
        yield "the relay has not passed it, or may still find a position in it"
    if found.known:
        yield "the relay knows the log by an event of it, until its next check"
    if found.unverified:
        yield "not verified: outbox verify"
    if found.dead_letters:
        yield f"{found.dead_letters} dead letters: outbox dead-letters"
    if found.replays:
        yield f"{found.replays} replays under way: outbox jobs"


def _due(connection: psycopg.Connection, values: dict[str, Any]) -> Iterator[str]:
    if connection.execute(DUE_THERE).fetchone() == (True,):
        (due,) = connection.execute(DUE, values).fetchone() or (0,)
        if due:
            yield f"{due} due tasks: outbox tasks"


def _living(connection: psycopg.Connection, values: dict[str, Any]) -> Iterator[str]:
    for kind, table, key, ended in connection.execute(KINDS).fetchall():
        statement = sql.SQL(LIVING).format(table=sql.Identifier(table), key=sql.Identifier(key))
        living, example = connection.execute(statement, values | {"kind": kind, "ended": ended}).fetchone() or (0, "")
        if living:
            yield f"{living} that have not ended, as {kind}/{example}"
