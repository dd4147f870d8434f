"""Events that have left the log: read from the files that `outbox partitions drop` has written, for the fold.

Each file is held against the checksum in `waybill_outbox_archive` before anything of it is folded.
"""

import csv
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.db import connection

FILES: Final = """
SELECT file, sha256, events, last FROM waybill_outbox_archive WHERE dropped_at IS NOT NULL AND last > %s ORDER BY first
"""
LAST: Final = "SELECT coalesce(max(last), 0) FROM waybill_outbox_archive WHERE dropped_at IS NOT NULL"
COLUMNS: Final = ("aggregate_version", "event_type", "schema_version", "payload")
LARGEST_FIELD: Final = 2**31 - 1  # characters of a payload in hexadecimal: PostgreSQL has none larger


class ArchiveMissing(Exception):
    """Events are needed that stand in a file alone, and the file is not there, or not as it was written."""


def horizon() -> int:
    """Return the last position that has left the log, 0 where none has."""
    with connection.cursor() as cursor:
        cursor.execute(LAST)
        return cursor.fetchone()[0]


def events(after: int, folder: Path | None) -> Iterator[tuple[Any, ...]]:
    """Yield version, type, schema version and payload of each event beyond a position that has left the log, in order.

    Raises ArchiveMissing.
    """
    with connection.cursor() as cursor:
        cursor.execute(FILES, [after])
        files = cursor.fetchall()
    for name, sha256, count, last in files:
        if folder is None:
            raise ArchiveMissing(
                f"events up to position {files[-1][3]} are archived: give their folder with --archive, or a checkpoint "
                "that lies beyond them with --checkpoints"
            )
        yield from _read(folder / name, sha256, count, after, last)


def _read(path: Path, sha256: str, count: int, after: int, last: int) -> Iterator[tuple[Any, ...]]:
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ArchiveMissing(f"{path} is not the file that was written when its events left the log")
        csv.field_size_limit(LARGEST_FIELD)
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if int(row["position"]) > after:
                    version, event_type, schema_version, payload = (row[name] for name in COLUMNS)
                    yield int(version), event_type, int(schema_version), bytes.fromhex(payload.removeprefix("\\x"))
    except OSError as error:
        raise ArchiveMissing(f"{count} events up to position {last}: {error}") from None
