"""A range's events as a file that is read again: CSV as PostgreSQL writes it, compressed.

    gunzip -c order-1-5000000.csv.gz | psql -c 'COPY cold_events FROM STDIN (FORMAT csv, HEADER)'

`outbox rebuild --archive DIR` folds from it (waybill/deciders/archive.py). The file is whole or not there: it gets its
name once it is on the disk. What it holds, and its checksum, stands in `waybill_outbox_archive`.
"""

import gzip
import hashlib
import os
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from outbox_relay.operations.partitions.layout import Range

PIECE: Final = 100_000  # positions whose aggregates are noted in one transaction
COPY: Final[LiteralString] = """
COPY (SELECT position, event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version,
             payload, metadata, recorded_at
      FROM waybill_outbox WHERE position BETWEEN {first} AND {last} ORDER BY position) TO STDOUT (FORMAT csv, HEADER)
"""
COUNT: Final = "SELECT count(*) FROM waybill_outbox WHERE position BETWEEN %s AND %s"
ARCHIVED: Final = """
UPDATE waybill_aggregate_version AS known SET archived = found.version
FROM (SELECT aggregate_id, aggregate_type, max(aggregate_version) AS version FROM waybill_outbox
      WHERE position BETWEEN %s AND %s GROUP BY aggregate_id, aggregate_type) AS found
WHERE known.aggregate_id = found.aggregate_id AND known.aggregate_type = found.aggregate_type
  AND known.archived < found.version
"""


class Archive(NamedTuple):
    """The file of one range."""

    path: Path
    events: int
    sha256: str


def write(owner: psycopg.Connection, service: str, one: Range, folder: Path) -> Archive:
    """Write a range's events to a file in the folder, in one snapshot. Raises psycopg.Error, OSError."""
    first, last = one.first or 1, one.last
    path = folder / f"{service}-{first}-{last}.csv.gz"
    unfinished = path.with_suffix(".unfinished")
    (events,) = owner.execute(COUNT, (first, last)).fetchone() or (0,)
    lines = 0
    with unfinished.open("xb" if not unfinished.exists() else "wb") as raw:
        os.fchmod(raw.fileno(), 0o600)  # it has what events have
        with (
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, filename="", mtime=0) as file,
            owner.cursor() as cursor,
            cursor.copy(sql.SQL(COPY).format(first=first, last=last)) as copied,
        ):
            for block in copied:
                lines += 1
                file.write(block)
        raw.flush()
        os.fsync(raw.fileno())
    if lines - 1 != events:  # PostgreSQL sends a row at a time, and the header
        raise OSError(f"{unfinished} has {lines - 1} events, and the range {events}")
    unfinished.rename(path)
    _sync(folder)
    with path.open("rb") as written:
        return Archive(path, events, hashlib.file_digest(written, "sha256").hexdigest())


def note_versions(owner: psycopg.Connection, one: Range) -> None:
    """Note of each aggregate up to which version it is archived, so that nobody misses those. Raises psycopg.Error."""
    for first in range(one.first or 1, one.last + 1, PIECE):
        owner.execute(ARCHIVED, (first, min(first + PIECE - 1, one.last)))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
