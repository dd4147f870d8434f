"""Rows that differ from the fold of their events, set to it.

The comparison of all rows takes long and locks nothing, so what it found may be outdated. Then the rows that differ are
locked, as a unit of work locks them, and the events that the first snapshot did not show are folded too: those beyond
its last position, and those of transactions that were under way and left gaps below. Whoever moves one of these rows
locks it before it takes positions, so under the lock its events are all there, in the sequence of positions. What
still differs is written, with its audit row, in that transaction.

A row without events is left alone: there is nothing to set it to.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from waybill.consumer import schema_ids
from waybill.database import rows
from waybill.deciders.decision import RowId
from waybill.deciders.folded_rows import FoldedRows
from waybill.deciders.rebuild import TIMES, Difference, Fold, Watch, differences
from waybill.deciders.service import Service

# The service works meanwhile: rows that somebody holds for longer are left to the next run.
LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '10s'"
# What the fold's snapshots did not show: later positions, and those that filled gaps since.
UNSEEN: Final = """
SELECT aggregate_version, event_type, schema_version, payload FROM waybill_outbox
WHERE position > %s
   OR EXISTS (SELECT FROM unnest(%s::bigint[], %s::bigint[]) AS gap (first, last)
              WHERE position BETWEEN gap.first AND gap.last)
ORDER BY position
"""
BEGAN: Final = "SELECT min(recorded_at) FROM waybill_outbox WHERE aggregate_type = %s AND aggregate_id = %s"
AUDIT: Final = (
    "INSERT INTO waybill_operator_action (operator, verb, reason, what) VALUES (%s, 'rebuild --repair', %s, %s::jsonb)"
)


class Record(NamedTuple):
    """Who repairs, and why."""

    by: str
    reason: str


def repair(
    service: Service,
    only: RowId | None,
    record: Record,
    watch: Watch,
    checkpoint: Path | None = None,
) -> list[Difference]:
    """Set rows to the fold of their events, all or one; returns what differed, a fold of None where it was left.

    Raises what `rebuild.check` raises.
    """
    with FoldedRows(service.tables, TIMES, checkpoint) as folded:
        fold = Fold(service, folded)
        found = [one for one in differences(fold, folded, watch) if only in {None, one.row_id}]
        return _write(fold, found, record) if any(one.fold for one in found) else found


def _write(fold: Fold, found: Sequence[Difference], record: Record) -> list[Difference]:
    service = fold.service
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK_TIMEOUT)
        locked = _lock(service, found)
        _take_unseen(fold)
        still = [again for one in found if (again := fold.compare(one.row_id, locked.get(one.row_id)))]
        repaired = [one for one in still if one.fold]
        for kind in sorted({one.aggregate_type for one in repaired}):
            row_ids = sorted(one.row_id for one in repaired if one.aggregate_type == kind)
            rows.save(service.tables[kind], [_row(fold, row_id, locked.get(row_id)) for row_id in row_ids])
        if repaired:
            what = json.dumps({"rows": [asdict(one) for one in repaired]}, default=str)
            with connection.cursor() as cursor:
                cursor.execute(AUDIT, [record.by, record.reason, what])
    return still


def _lock(service: Service, found: Sequence[Difference]) -> Mapping[RowId, Any]:
    locked: dict[RowId, Any] = {}
    for kind in sorted({one.aggregate_type for one in found}):
        keys = [one.aggregate_id for one in found if one.aggregate_type == kind]
        locked |= {(kind, str(row.pk)): row for row in rows.load(service.tables[kind], keys, lock=True)}
    return locked


def _take_unseen(fold: Fold) -> None:
    with connection.cursor() as cursor:
        cursor.execute(UNSEEN, [fold.last, [first for first, _ in fold.gaps], [last for _, last in fold.gaps]])
        for version, event_type, schema_version, payload in cursor.fetchall():
            fold.take(schema_ids.decode(event_type, schema_version, bytes(payload)), version)


def _row(fold: Fold, row_id: RowId, stands: Any) -> Any:
    row = fold.rows.get(row_id)
    row.updated_at = timezone.now()
    row.created_at = stands.created_at if stands else _began(row_id)
    return row


def _began(row_id: RowId) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(BEGAN, row_id)
        (moment,) = cursor.fetchone() or (None,)
    return moment or timezone.now()  # a row that only other aggregates' events name
