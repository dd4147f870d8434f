"""A service's outbox, read in pieces that each have a snapshot of their own.

The cursor is read first. What it had passed then is on its topic or a dead letter, whenever the row itself is read;
rows that become visible after their piece was read are looked up when their record turns up.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.operations.decisions import IS_DISCARDED, count_discarded, went_with_a_ghost
from outbox_relay.operations.partitions import layout
from outbox_relay.operations.verify.faults import Fault, Faults
from outbox_relay.operations.verify.ledger import Committed, Ledger, Unmatched

ROWS: Final = 5_000  # of one snapshot: no transaction stays open for long, which would hold back vacuum
Progress = Callable[[int, int], object]

CURSOR: Final = """
SELECT position, missing, coalesce((SELECT max(position) FROM waybill_outbox), 0),
       (SELECT min((body->>'position')::bigint) FROM published WHERE status <> 2)
FROM waybill_outbox_cursor
"""
# `before`: where the version before this one stands. Each has one, at a lower position: so versions are 1 to n and rise
# with the position. A subquery, not a join: a lookup an event, whatever the planner thinks of the whole table.
PIECE: Final = f"""
SELECT uuid_send(event_id), position, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
       date_part('epoch', recorded_at)::float8,
       EXISTS (SELECT FROM published WHERE published.id = waybill_outbox.event_id AND status <> 2) OR {IS_DISCARDED},
       CASE WHEN aggregate_version > 1 THEN
           (SELECT before.position FROM waybill_outbox AS before
            WHERE before.aggregate_type = waybill_outbox.aggregate_type
            AND before.aggregate_id = waybill_outbox.aggregate_id
              AND before.aggregate_version = waybill_outbox.aggregate_version - 1) END
FROM waybill_outbox WHERE position > %(after)s AND position <= %(last)s ORDER BY position LIMIT %(rows)s
"""  # noqa: S608 - put together from constants
WHICH: Final = "SELECT event_id, position FROM waybill_outbox WHERE event_id = ANY(%s)"
# Of aggregates of which something is archived; the table is empty where the log is in one piece.
ARCHIVED: Final = """
SELECT FROM waybill_aggregate_version WHERE aggregate_id = %s AND aggregate_type = %s AND archived >= %s
"""
# By the key alone, as a record tells no type. What the log has is looked up first.
GONE: Final = """
SELECT event_id FROM unnest(%s::uuid[], %s::text[], %s::int[]) AS record (event_id, key, version)
WHERE EXISTS (SELECT FROM waybill_aggregate_version WHERE aggregate_id = record.key AND archived >= record.version)
  AND NOT EXISTS (SELECT FROM waybill_outbox WHERE waybill_outbox.event_id = record.event_id)
"""
ARCHIVED_POSITION: Final = 0  # below every position that there is
RECORDED: Final = "SELECT recorded_at FROM waybill_outbox WHERE position > %s ORDER BY position LIMIT 1"


class OutboxState(NamedTuple):
    """Where a service's outbox stood before anything else was read; what is beyond `after` is proved.

    `since` is the time of the first such event, None for the beginning; `first_dead_letter` its position,
    `discarded` how many publications operators have discarded, wherever they stand.
    """

    service: str
    after: int
    since: datetime | None
    position: int
    gaps: tuple[tuple[int, int], ...]
    last: int
    first_dead_letter: int | None
    discarded: int

    def passed(self, position: int) -> bool:
        """Say whether the cursor had passed the position."""
        return position <= self.position and not any(first <= position <= last for first, last in self.gaps)

    @property
    def settled(self) -> int:
        """Return the position up to which every event was published: nothing is missing, a dead letter or in flight."""
        bounds = [self.position, self.last, *(first - 1 for first, _ in self.gaps)]
        return min(bounds if self.first_dead_letter is None else [*bounds, self.first_dead_letter - 1])


def look(service: str, connection: psycopg.Connection, after: int) -> OutboxState:
    """Return where the outbox stands, to be read from `after` on. Raises psycopg.Error."""
    position, missing, last, first_dead_letter = connection.execute(CURSOR).fetchone() or (0, [], 0, None)
    since: datetime | None = None
    if after:  # where nothing came later, nothing is to be read
        (since,) = connection.execute(RECORDED, (after,)).fetchone() or (datetime.now(UTC),)
    gaps = tuple(zip(missing[::2], missing[1::2], strict=True))
    return OutboxState(service, after, since, position, gaps, last, first_dead_letter, count_discarded(connection))


class OutboxRow(NamedTuple):
    """A row of the piece; `unsent`: a dead letter or discarded; `before` as in PIECE, `recorded` in seconds."""

    event_id: bytes
    position: int
    topic: str | None
    aggregate_type: str
    key: str
    version: int
    event_type: str
    recorded: float
    unsent: bool
    before: int | None

    @property
    def follows(self) -> bool:
        """Say whether the version before this one stands at a lower position."""
        return self.version == 1 or (self.before is not None and self.before < self.position)


def read(
    connection: psycopg.Connection, outbox: OutboxState, ledger: Ledger, faults: Faults, progress: Progress
) -> None:
    """Take the public events into the ledger; tell what the outbox shows by itself. Raises psycopg.Error."""
    if outbox.position > outbox.last:
        says = f"stands at {outbox.position}, and the outbox ends at {outbox.last}: rows were taken away"
        faults.add(Fault(kind="cursor", service=outbox.service, says=says))
    for rows in _pieces(connection, outbox, progress):
        for row in rows:
            if not (
                row.follows or _is_archived(connection, row) or went_with_a_ghost(connection, row.key, row.version - 1)
            ):
                fault = _fault(outbox.service, row)
                # Where another source had the aggregate before, its topic has what came before this row.
                if row.before is None and row.topic is not None:
                    ledger.miss(fault, row.version - 1)
                else:
                    faults.add(fault)
        ledger.commit(
            outbox.service,
            (
                Committed(
                    row.event_id,
                    row.position,
                    row.topic,
                    row.key,
                    row.version,
                    row.event_type,
                    row.recorded,
                    outbox.passed(row.position),
                )
                for row in rows
                if row.topic is not None and not row.unsent
            ),
        )


def _is_archived(connection: psycopg.Connection, row: OutboxRow) -> bool:
    """Say whether the version before this one is archived."""
    if row.before is not None:
        return False
    return connection.execute(ARCHIVED, (row.key, row.aggregate_type, row.version - 1)).fetchone() is not None


def _pieces(connection: psycopg.Connection, outbox: OutboxState, progress: Progress) -> Iterator[Sequence[OutboxRow]]:
    after = outbox.after
    while after < outbox.last:
        with connection.cursor(binary=True) as cursor:
            values = {"after": after, "last": outbox.last, "rows": ROWS}
            rows = [*map(OutboxRow._make, cursor.execute(PIECE, values, prepare=False))]
        if not rows:
            break
        yield rows
        after = rows[-1].position
        progress(after - outbox.after, outbox.last - outbox.after)


def _fault(service: str, row: OutboxRow) -> Fault:
    why = "is nowhere" if row.before is None else f"comes only at position {row.before}"
    return Fault(
        kind="versions",
        service=service,
        topic=row.topic,
        position=row.position,
        aggregate_type=row.aggregate_type,
        key=row.key,
        version=row.version,
        event_id=str(UUID(bytes=row.event_id)),
        event_type=row.event_type,
        says=f"{row.aggregate_type}/{row.key}: version {row.version}, and version {row.version - 1} {why}",
    )


def resolve(service: str, connection: psycopg.Connection, ledger: Ledger) -> int:
    """Look up what no outbox showed: committed since, before what is proved now, or archived.

    Returns how many records are of archived events: nothing more can be asked of those. Raises psycopg.Error.
    """
    gone = 0
    shortened = layout.horizon(connection).last > 0
    for records in ledger.unmatched():
        ledger.resolve(service, connection.execute(WHICH, ([one.event_id for one in records],)).fetchall())
        if shortened:
            found = _archived(connection, records)
            ledger.resolve(service, [(event_id, ARCHIVED_POSITION) for event_id in found])
            gone += len(found)
    return gone


def _archived(connection: psycopg.Connection, records: Sequence[Unmatched]) -> list[UUID]:
    records = [one for one in records if not one.foreign]
    values = ([one.event_id for one in records], [one.key for one in records], [one.version for one in records])
    return [event_id for (event_id,) in connection.execute(GONE, values)]
