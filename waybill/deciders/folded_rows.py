"""Rows of a fold, on disk: memory holds those that were used last, whatever their number.

Without a path the file has no name and is gone with the process, however that ends; it stands in SQLITE_TMPDIR, TMPDIR
or /var/tmp. With a path it stays, as a checkpoint: the rows that all events up to a position lead to, so that the next
fold starts there. It belongs to one outbox and to one version of the code: the position counts only where the outbox
still has as many events up to it and the same one at it, and where the service's modules and schemas are unchanged. The
file has what rows have, personal data included, so only its owner may read it. It may be deleted at any time.

A row is kept as JSON, by the fields of its model but for the times of writing. What stands beyond the checkpoint is
written too, and taken back at the end.
"""
# ruff: noqa: SLF001 - Django's documented _meta

import json
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from waybill.deciders.decision import RowId

CACHE_KIB: Final = 32 * 1024  # of SQLite's pages
ROWS_IN_MEMORY: Final = 10_000  # rebuilt rows; past that all are dropped, which costs less than choosing
BATCH: Final = 1_000  # keys at a time

TABLES: Final = """
CREATE TABLE IF NOT EXISTS folded (kind TEXT, key TEXT, data TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint (position INTEGER, events INTEGER, event_id TEXT, code TEXT);
CREATE TEMP TABLE suspect (kind TEXT, key TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""
GET: Final = "SELECT data FROM folded WHERE kind = ? AND key = ?"
PUT: Final = "INSERT INTO folded VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET data = excluded.data"
KEYS: Final = "SELECT key FROM folded WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"
SUSPECTS: Final = "SELECT key FROM temp.suspect WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"


class Checkpoint(NamedTuple):
    """Up to which position all events were folded, how many there were, the last one's id, and by which code."""

    position: int = 0
    events: int = 0
    event_id: str | None = None
    code: str = ""


class FoldedRows:
    """The rows of a fold by type and key. Raises sqlite3.Error where the disk has no room or the file is in use."""

    def __init__(self, models: dict[str, Any], times: Collection[str], path: Path | None = None) -> None:
        """Open the file; `models` by aggregate type, `times` are the fields that no event tells."""
        if path:
            path.touch(0o600)
        self._file = sqlite3.connect(path or "", timeout=1, isolation_level=None)
        for setting in (f"cache_size = -{CACHE_KIB}", "temp_store = FILE", "locking_mode = EXCLUSIVE"):
            self._file.execute(f"PRAGMA {setting}")
        if path is None:
            self._file.execute("PRAGMA journal_mode = OFF")
        self._file.executescript(TABLES)
        self._file.execute("BEGIN IMMEDIATE")
        self._models = models
        self._fields = {
            kind: [field for field in model._meta.concrete_fields if field.name not in times]
            for kind, model in models.items()
        }
        self._cache: dict[RowId, Any] = {}
        self._changed: set[RowId] = set()

    def __enter__(self) -> Self:
        """Return the rows."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take back what is beyond the checkpoint, and close."""
        self._file.close()

    def get(self, row_id: RowId) -> Any:
        """Return a row, None where there is none; whoever changes it puts it back."""
        if row_id not in self._cache:
            found = self._file.execute(GET, row_id).fetchone()
            self._cache[row_id] = self._row(row_id[0], found[0]) if found else None
        return self._cache[row_id]

    def __setitem__(self, row_id: RowId, row: Any) -> None:
        """Keep a row."""
        self._cache[row_id] = row
        self._changed.add(row_id)

    def flush(self) -> set[RowId]:
        """Write what changed since the last time to the file; returns where."""
        changed, self._changed = self._changed, set()
        self._file.executemany(
            PUT, ((*row_id, self._data(row_id[0], self._cache[row_id])) for row_id in sorted(changed))
        )
        if len(self._cache) > ROWS_IN_MEMORY:
            self._cache.clear()
        return changed

    @property
    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint, position 0 where there is none."""
        found = self._file.execute("SELECT * FROM checkpoint").fetchone()
        return Checkpoint(*found) if found else Checkpoint()

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Make all that was put so far the checkpoint."""
        self.flush()
        self._file.execute("DELETE FROM checkpoint")
        self._file.execute("INSERT INTO checkpoint VALUES (?, ?, ?, ?)", checkpoint)
        self._file.execute("COMMIT")
        self._file.execute("BEGIN IMMEDIATE")

    def clear(self) -> None:
        """Begin anew."""
        self._file.execute("DELETE FROM folded")
        self._file.execute("DELETE FROM checkpoint")
        self._cache.clear()

    def count(self, kind: str) -> int:
        """Return how many rows of a type there are."""
        return self._file.execute("SELECT count(*) FROM folded WHERE kind = ?", (kind,)).fetchone()[0]

    def keys(self, kind: str) -> Iterator[list[str]]:
        """Yield the keys of a type, some at a time."""
        return self._keys(KEYS, kind)

    def suspect(self, row_ids: Collection[RowId]) -> None:
        """Note rows to be looked at again."""
        self._file.executemany("INSERT INTO temp.suspect VALUES (?, ?) ON CONFLICT DO NOTHING", row_ids)

    def suspects(self, kind: str) -> Iterator[list[str]]:
        """Yield the keys of a type that were noted, some at a time."""
        return self._keys(SUSPECTS, kind)

    def _keys(self, statement: str, kind: str) -> Iterator[list[str]]:
        last = ""
        while found := [key for (key,) in self._file.execute(statement, (kind, last, BATCH))]:
            yield found
            last = found[-1]

    def _data(self, kind: str, row: Any) -> str:
        return json.dumps([getattr(row, field.attname) for field in self._fields[kind]], default=str)

    def _row(self, kind: str, data: str) -> Any:
        values = zip(self._fields[kind], json.loads(data), strict=True)
        return self._models[kind](**{field.attname: field.to_python(value) for field, value in values})
