"""The oldest ranges leave the log: archived, detached without a lock that others wait for, dropped.

Only from the beginning on, so that the log has one horizon: all up to a position is archived, all beyond it is there.
The file is written and its row committed before anything is detached. A run that is broken off is finished by the next.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from outbox_relay.operations import audit
from outbox_relay.operations.partitions import archiving, holds, layout
from outbox_relay.operations.partitions.archiving import Archive
from outbox_relay.operations.partitions.holds import Held
from outbox_relay.operations.partitions.layout import OPEN, Range
from outbox_relay.operations.topology import UsageError

# Waits for the transactions that have the log open, and keeps nobody waiting meanwhile.
DETACH: Final[LiteralString] = "ALTER TABLE waybill_outbox DETACH PARTITION {range} CONCURRENTLY"
FINALIZE: Final[LiteralString] = "ALTER TABLE waybill_outbox DETACH PARTITION {range} FINALIZE"
DROP: Final[LiteralString] = "DROP TABLE {range}"
PATIENCE: Final = "SET lock_timeout = '60s'"
KEPT: Final = """
INSERT INTO waybill_outbox_archive (first, last, events, oldest, newest, "partition", file, sha256, action_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
LEFT_OVER: Final = 'SELECT first, "partition" FROM waybill_outbox_archive WHERE dropped_at IS NULL ORDER BY first'
DROPPED: Final = "UPDATE waybill_outbox_archive SET dropped_at = clock_timestamp() WHERE first = %s"
THERE: Final = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = %s"


class Candidate(NamedTuple):
    """A range with what keeps it."""

    range: Range
    held: Held


def candidates(connection: psycopg.Connection, older_than: timedelta) -> list[Candidate]:
    """Return the ranges from the first on that may be dropped, and behind them the first that may not.

    Raises UsageError, psycopg.Error.
    """
    if not layout.is_partitioned(connection):
        raise UsageError("the log is in one piece; outbox partitions adopt divides it")
    found: list[Candidate] = []
    for one in layout.ranges(connection):
        if one.name == OPEN:
            break
        found.append(Candidate(one, holds.look(connection, one, older_than)))
        if found[-1].held.reasons:
            break
    return found


def finish(owner: psycopg.Connection) -> list[str]:
    """Drop what an earlier run has archived and not dropped; returns which ranges. Raises psycopg.Error."""
    owner.execute(PATIENCE)
    left = owner.execute(LEFT_OVER).fetchall()
    for first, name in left:
        _drop(owner, name, first)
    return [name for _, name in left]


def drop(  # noqa: PLR0913, PLR0917 - whose, what, where to and what is kept of it
    owner: psycopg.Connection,
    service: str,
    candidate: Candidate,
    older_than: timedelta,
    folder: Path,
    record: tuple[str, str],
    archived: Callable[[Archive], object],
) -> None:
    """Archive a range and drop it, on record (by whom, why). Raises UsageError, psycopg.Error, OSError."""
    one, by, reason = candidate.range, *record
    archive = archiving.write(owner, service, one, folder)
    archiving.note_versions(owner, one)
    archived(archive)
    held = holds.look(owner, one, older_than)
    if held.reasons:
        raise UsageError(f"{one.name} is held by now: {'; '.join(held.reasons)}")
    first = one.first or 1
    with owner.transaction():
        what = {"first": first, "last": one.last, "events": archive.events, "file": str(archive.path)}
        action = audit.record(owner, "partitions drop", reason, what | {"sha256": archive.sha256}, by)
        kept = (first, one.last, archive.events, held.oldest, held.newest, one.name)
        owner.execute(KEPT, (*kept, archive.path.name, archive.sha256, action))
    owner.execute(PATIENCE)
    _drop(owner, one.name, first)


def _drop(owner: psycopg.Connection, name: str, first: int) -> None:
    table = layout.table(owner, name)
    attached = {one.name: one for one in layout.ranges(owner)}
    if name in attached:
        statement = FINALIZE if attached[name].detaching else DETACH
        owner.execute(sql.SQL(statement).format(range=table))
    with owner.transaction():
        if owner.execute(THERE, (layout.schemas(owner)[1], name)).fetchone():
            owner.execute(sql.SQL(DROP).format(range=table))
        owner.execute(DROPPED, (first,))
