"""The row of every aggregate against the fold of its events.

Every event of the service is folded again, in the sequence of positions, through the service's own `evolve`, on rows
that are kept beside the database (`decision.fold`). Positions are taken while the rows that an event moves are locked,
so their sequence is the one in which the rows were moved.

It may run while the service works, and no transaction is open for long:

    1. events that the relay's cursor has passed    in pieces: nothing can appear among them any more
    2. all rows, held against that fold             in pieces; what differs may only be outdated, and is noted
    3. the events since, and the rows of these      in one snapshot
       events and those noted, compared again

Step 1 may begin at a checkpoint, and leaves one. Memory: the rows used last, see `folded_rows`.
"""
# ruff: noqa: SLF001 - Django's documented _meta

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from django.db import connection, transaction

from waybill.application import application
from waybill.consumer import schema_ids
from waybill.contracts.event import Event
from waybill.deciders import archive, decision, folded_rows
from waybill.deciders.decision import RowId
from waybill.deciders.folded_rows import Checkpoint, FoldedRows
from waybill.deciders.service import Service

# Rows and the last events must be of one moment, or a commit in between would look like a difference.
SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
EVENTS: Final = """
SELECT position, event_id::text, aggregate_version, event_type, schema_version, payload FROM waybill_outbox
WHERE position > %s AND position <= %s ORDER BY position LIMIT %s
"""
COUNT: Final = "SELECT count(*) FROM waybill_outbox"
# Up to where every position is committed or dead: the relay's cursor, or the first gap below it.
SETTLED: Final = "SELECT least(position, missing[1] - 1) FROM waybill_outbox_cursor"
FOLDED: Final = """
SELECT (SELECT count(*) FROM waybill_outbox WHERE position <= %s)
       + (SELECT coalesce(sum(events), 0) FROM waybill_outbox_archive WHERE dropped_at IS NOT NULL)::bigint,
       (SELECT event_id::text FROM waybill_outbox WHERE position = %s)
"""
TIMES: Final = frozenset({"created_at", "updated_at"})  # of the writing, not of the events
PIECE_EVENTS: Final = 5_000  # folded at a time, each piece in a snapshot of its own
PIECE_ROWS: Final = 2_000  # compared at a time
LAST: Final = 2**63 - 1  # the largest position there can be


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that its events do not lead to, with the columns that differ; None where there is no row, or no event."""

    aggregate_type: str
    aggregate_id: str
    row: dict[str, Any] | None
    fold: dict[str, Any] | None

    @property
    def row_id(self) -> tuple[str, str]:
        """Return type and id."""
        return self.aggregate_type, self.aggregate_id


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far a fold is, as events and rows done and all there are, and why a checkpoint is not used.

    `archive` is the folder with the events that are no longer in the log.
    """

    progress: Callable[[int, int], object]
    checkpoint_unusable: Callable[[str], object]
    archive: Path | None = None


def _ignore(*_: object) -> None:
    pass


UNWATCHED: Final = Watch(_ignore, _ignore)


class Rows(Protocol):
    """Rows by type and key."""

    def get(self, row_id: RowId, /) -> Any:
        """Return a row, None where there is none."""
        ...

    def __setitem__(self, row_id: RowId, row: Any, /) -> None:
        """Keep a row."""
        ...


@dataclass(slots=True)
class Fold:
    """What a service's events lead to, row by row.

    `last` is the highest position that was read; `gaps` are positions below it that may still appear.
    """

    service: Service
    rows: Rows = field(default_factory=dict[RowId, Any])
    events: int = 0
    last: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def reach(self, position: int) -> None:
        """Note a position that was read; they come rising."""
        if position > self.last + 1:
            self.gaps.append((self.last + 1, position - 1))
        self.last = position

    def take(self, event: Event, version: int) -> None:
        """Let one more event have happened."""
        for row_id, row in decision.fold(self.service, event, version, self.rows).items():
            self.rows[row_id] = row
        self.events += 1

    def compare(self, row_id: RowId, row: Any) -> Difference | None:
        """Compare one row, or none, with its fold."""
        fold = self.rows.get(row_id)
        has = _columns(row) if row is not None else None
        wants = _columns(fold) if fold is not None else None
        forgotten = row is None and fold is not None and fold.has_ended and fold.kept() is not None
        if has == wants or forgotten:
            return None
        if has is not None and wants is not None:
            apart = [name for name in has if has[name] != wants[name]]
            has, wants = {name: has[name] for name in apart}, {name: wants[name] for name in apart}
        return Difference(*row_id, has, wants)


def check(
    service: Service, watch: Watch, differs: Callable[[Difference], object], checkpoint: Path | None = None
) -> int:
    """Fold everything, compare, and hand on what differs; returns how many events there are.

    Raises django.db.DatabaseError, sqlite3.Error for the file of rows, UnreadableEvent for an event not known here, or
    ArchiveMissing.
    """
    with FoldedRows(service.tables, TIMES, checkpoint) as folded:
        fold = Fold(service, folded)
        for difference in differences(fold, folded, watch):
            differs(difference)
        return fold.events


def differences(fold: Fold, folded: FoldedRows, watch: Watch) -> Iterator[Difference]:
    """Yield what differs from the fold of all events, into `folded`; else as `check`."""
    models = sorted(fold.service.tables.items())
    total = _ask(COUNT)[0] + sum(model.objects.count() for _, model in models)
    _fold_settled(fold, folded, total, watch)
    done = fold.events
    for kind, model in models:
        for read in _note_suspects(fold, folded, kind, model):
            done += read
            watch.progress(done, total)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(SNAPSHOT)
        for piece in _events(fold.last, LAST):
            for position, _, *event in piece:
                fold.reach(position)
                _take(fold, event)
            folded.suspect(folded.flush())
            done += len(piece)
            watch.progress(done, max(total, done))
        for kind, model in models:
            for keys in folded.suspects(kind):
                stand = {str(row.pk): row for row in model.objects.filter(pk__in=keys)}
                yield from filter(None, (fold.compare((kind, key), stand.get(key)) for key in keys))
                folded.flush()


def _fold_settled(fold: Fold, folded: FoldedRows, total: int, watch: Watch) -> None:
    """Fold what can no longer change, from the checkpoint on where it still counts, and make that the checkpoint."""
    code = _code_of(fold.service)
    checkpoint = _usable(folded, code, watch)
    fold.last, fold.events = checkpoint.position, checkpoint.events
    (settled,) = _ask(SETTLED)
    for nth, event in enumerate(archive.events(fold.last, watch.archive), 1):
        _take(fold, event)
        if nth % PIECE_EVENTS == 0:
            folded.flush()
            watch.progress(fold.events, total)
    fold.last = max(fold.last, archive.horizon())
    for piece in _events(fold.last, settled):
        for _, _, *event in piece:
            _take(fold, event)
        fold.last, event_id, *_ = piece[-1]
        folded.save_checkpoint(Checkpoint(fold.last, fold.events, event_id, code))
        watch.progress(fold.events, total)


def _usable(folded: FoldedRows, code: str, watch: Watch) -> Checkpoint:
    checkpoint = folded.checkpoint
    if checkpoint.position == 0:
        return checkpoint
    if checkpoint.code != code:
        reason = "the service's code has changed since"
    elif _ask(FOLDED, checkpoint.position, checkpoint.position) != (checkpoint.events, checkpoint.event_id):
        reason = "the outbox has other events up to there than it had: restored, repaired, or another database"
    else:
        return checkpoint
    watch.checkpoint_unusable(reason)
    folded.clear()
    return Checkpoint()


def _code_of(service: Service) -> str:
    """Return what changes with the code that the fold, or the file of its rows, depends on."""
    shared = [Path(module.__file__ or "") for module in (application().events_module(), decision, folded_rows)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in [*service.files, *shared, Path(__file__)])).hexdigest()


def _events(after: int, last: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the events of these positions, some at a time; in autocommit each piece has a snapshot of its own."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(EVENTS, [after, last, PIECE_EVENTS])
            piece = cursor.fetchall()
        if not piece:
            return
        yield piece
        after = piece[-1][0]


def _take(fold: Fold, event: Sequence[Any]) -> None:
    version, event_type, schema_version, payload = event
    fold.take(schema_ids.decode(event_type, schema_version, bytes(payload)), version)


def _note_suspects(fold: Fold, folded: FoldedRows, kind: str, model: Any) -> Iterator[int]:
    """Note the rows of a type that differ, and those that are not there; yields how many were read, piece by piece."""
    known, rows = 0, list(model.objects.order_by("pk")[:PIECE_ROWS])
    while rows:
        row_ids = [(kind, str(row.pk)) for row in rows]
        known += sum(folded.get(row_id) is not None for row_id in row_ids)
        folded.suspect([row_id for row_id, row in zip(row_ids, rows, strict=True) if fold.compare(row_id, row)])
        folded.flush()
        yield len(rows)
        rows = list(model.objects.filter(pk__gt=rows[-1].pk).order_by("pk")[:PIECE_ROWS])
    if known < folded.count(kind):
        for keys in folded.keys(kind):
            there = {str(key) for key in model.objects.filter(pk__in=keys).values_list("pk", flat=True)}
            folded.suspect([(kind, key) for key in keys if key not in there])


def _ask(statement: str, *values: int) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone() or (0,)


def _columns(row: Any) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in row._meta.concrete_fields if column.name not in TIMES}
