"""How far the migration of one kind of aggregate is."""

from dataclasses import dataclass
from typing import Any, Final

from django.db import connections

from waybill.migrate import capture, tables
from waybill.migrate.mapping.document import Aggregate
from waybill.migrate.ownership import refusing, rows

STATUS: Final = """
SELECT (SELECT count(*) FROM waybill_capture WHERE source = %(source)s),
    (SELECT extract(epoch FROM clock_timestamp() - min(queued_at))::float FROM waybill_capture
     WHERE source = %(source)s),
    (SELECT count(*) FROM waybill_capture_held WHERE source = %(source)s),
    (SELECT count(digest) FROM waybill_capture_state WHERE source = %(source)s),
    (SELECT count(*) - count(digest) FROM waybill_capture_state WHERE source = %(source)s),
    (SELECT queued FROM waybill_backfill WHERE source = %(source)s),
    (SELECT finished_at IS NOT NULL FROM waybill_backfill WHERE source = %(source)s)
"""
HELD: Final = """
SELECT key, reason, held_at FROM waybill_capture_held WHERE source = %s ORDER BY held_at, key LIMIT %s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What stands in the database."""

    aggregate: str
    is_owner: bool
    epoch: int
    leaving: bool
    """Given up here and not yet taken there."""
    held_seconds: float | None
    """How long the gateway still holds writes."""
    refuses_writes: bool
    """Each table refuses what is not applied: as it must where this side does not own."""
    finished_at: str | None
    last_change: dict[str, Any] | None
    """The last line of the record of ownership."""
    capture_is_on: bool
    queued: int
    oldest_seconds: float | None
    held: int
    told: int
    """Aggregates whose last event says that they are there."""
    deleted: int
    backfill: str
    """`none`, `under way` or `finished`."""
    backfill_queued: int
    rows: int
    """An estimate of the table's."""
    held_keys: list[dict[str, Any]]

    @property
    def is_well(self) -> bool:
        """Tell whether nothing needs anybody."""
        captures = self.capture_is_on or self.finished_at is not None
        return captures and not self.held and not self.leaving and self.refuses_writes != self.is_owner


def status(aggregate: Aggregate, using: str, *, listed: int = 20) -> Status:
    """Return how far it is, with as many of the held keys."""
    with connections[using].cursor() as cursor:
        is_on = capture.is_on(aggregate, cursor)
        cursor.execute(STATUS, {"source": aggregate.name})
        queued, oldest, held, told, deleted, backfilled, finished = cursor.fetchone()
        cursor.execute(HELD, [aggregate.name, listed])
        keys = [{"key": key, "reason": reason, "held_at": at.isoformat()} for key, reason, at in cursor.fetchall()]
        table = tables.read(cursor, aggregate.table)
        owned = _ownership(aggregate, cursor)
    return Status(
        aggregate=aggregate.name,
        **owned,
        capture_is_on=is_on,
        queued=queued,
        oldest_seconds=oldest,
        held=held,
        told=told,
        deleted=deleted,
        backfill={None: "none", False: "under way", True: "finished"}[finished],
        backfill_queued=backfilled or 0,
        rows=max(0, table.rows) if table else 0,
        held_keys=keys,
    )


def _ownership(aggregate: Aggregate, cursor: Any) -> dict[str, Any]:
    now = rows.read(cursor, aggregate.name)
    cursor.execute(rows.LAST, [aggregate.name])
    last = cursor.fetchone()
    names = ("verb", "epoch", "at", "by", "reason", "hold_seconds", "result")
    return {
        "is_owner": now.is_owner,
        "epoch": now.epoch,
        "leaving": now.leaving,
        "held_seconds": now.held_seconds if now.is_held else None,
        "refuses_writes": refusing.refuses_all(cursor, aggregate),
        "finished_at": now.finished_at.isoformat() if now.finished_at else None,
        "last_change": dict(zip(names, last, strict=True)) if last else None,
    }
