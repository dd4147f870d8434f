"""Events and records side by side, a row an event, on disk: some megabytes of it are in memory, whatever there is.

The file has no name and is gone with the process, however that ends; it stands in SQLITE_TMPDIR or TMPDIR, else in
/var/tmp, and takes some 130 bytes an event, and as much again while keys are sorted. Ids are UUIDs that rise with time,
so both halves of a row are written near each other.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple
from uuid import UUID

from outbox_relay.operations.topics.topic import TopicRecord
from outbox_relay.operations.verify.faults import Fault

CACHE_KIB: Final = 8 * 1024  # and as much again while it sorts
BATCH: Final = 5_000  # rows in memory at a time

# The outbox's half: service to passed; `passed` says that the cursor was beyond it. The topic's half: found_in to
# replayed, of the first record that was not a replay, else of the first replay that was for all.
TABLE: Final = """
CREATE TABLE event (
    id BLOB PRIMARY KEY, service INTEGER, position INTEGER, topic INTEGER, key TEXT, version INTEGER, type INTEGER,
    recorded REAL, passed INTEGER, found_in INTEGER, partition INTEGER, "offset" INTEGER, replayed INTEGER,
    source INTEGER
) WITHOUT ROWID
"""
# Rows whose version before is not in their outbox; what another source told of is taken away.
UNFOLLOWED: Final = """
CREATE TABLE unfollowed (topic INTEGER, key TEXT, before INTEGER, service INTEGER, fault TEXT)
"""
BY_VERSION: Final = "CREATE INDEX by_version ON unfollowed (topic, key, before)"
FOLLOW: Final = "DELETE FROM unfollowed WHERE topic = ? AND key = ? AND before = ? AND service IS NOT ?"
COMMITTED: Final = """
INSERT INTO event (id, service, position, topic, key, version, type, recorded, passed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
# The first sighting counts, but a record of its own counts more than a replay's.
SEEN: Final = """
INSERT INTO event (id, found_in, partition, "offset", key, version, replayed, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET found_in = excluded.found_in, partition = excluded.partition,
    "offset" = excluded."offset", replayed = excluded.replayed, source = excluded.source
WHERE event."offset" IS NULL OR (event.replayed AND NOT excluded.replayed)
"""
EVENT: Final = 'id, service, position, topic, key, version, type, recorded, passed, found_in, partition, "offset"'
ABSENT: Final = f"""
SELECT {EVENT} FROM event WHERE position IS NOT NULL AND "offset" IS NULL ORDER BY service, position
"""  # noqa: S608 - constants
# Records without an event so far: they are asked for once more, as the event may have been committed meanwhile.
STRANGERS: Final = (
    "SELECT id, key, version, source IS NOT NULL FROM event WHERE position IS NULL AND id > ? ORDER BY id LIMIT ?"
)
KNOWN: Final = "UPDATE event SET service = ?, position = ? WHERE id = ?"
GHOSTS: Final = f"SELECT {EVENT} FROM event WHERE position IS NULL AND source IS NULL"  # noqa: S608
FOREIGN: Final = "SELECT source, count(*) FROM event WHERE position IS NULL AND source IS NOT NULL GROUP BY source"
# Keys together; who judges a key puts its records in their sequence.
STANDING: Final = f"""
SELECT {EVENT} FROM event WHERE "offset" IS NOT NULL AND NOT replayed AND type IS NOT NULL ORDER BY found_in, key
"""  # noqa: S608
OF_TYPES: Final = f"SELECT {EVENT} FROM event WHERE type IN (SELECT value FROM json_each(?))"  # noqa: S608
COUNTS: Final = 'SELECT count(type), count(CASE WHEN NOT replayed THEN "offset" END) FROM event'


class Entry(NamedTuple):
    """One event with its record; the outbox's half is None for a ghost, the topic's where no topic has it."""

    event_id: str
    service: str | None
    position: int | None
    topic: str | None
    key: str
    version: int
    event_type: str | None
    recorded: float
    passed: bool
    found_in: str | None
    partition: int | None
    offset: int | None

    def is_retained(self, since: Mapping[str, float]) -> bool:
        """Say whether its topic must still have it, where each topic keeps what is as young as `since` says."""
        return self.recorded > since.get(self.topic or "", float("-inf"))

    def fields(self) -> dict[str, Any]:
        """Return what a fault tells of it."""
        names = ("service", "partition", "offset", "position", "key", "version", "event_id", "event_type")
        return {name: getattr(self, name) for name in names} | {"topic": self.found_in or self.topic}


class Committed(NamedTuple):
    """A row of an outbox that must be on a topic; `recorded` in seconds of the epoch."""

    event_id: bytes
    position: int
    topic: str
    key: str
    version: int
    event_type: str
    recorded: float
    passed: bool


class Unmatched(NamedTuple):
    """A record whose event no outbox showed so far."""

    event_id: UUID
    key: str
    version: int
    foreign: bool


class Ledger:
    """Events and records by the event's id. Raises sqlite3.Error where there is no room on the disk."""

    def __init__(self) -> None:
        """Begin with an empty file."""
        self._file = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}", "temp_store = FILE"):
            self._file.execute(f"PRAGMA {setting}")
        for table in (TABLE, UNFOLLOWED, BY_VERSION):
            self._file.execute(table)
        self._owners: dict[str, str] = {}
        self._missed = False
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._topics: set[tuple[str, str]] = set()

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def commit(self, service: str, rows: Iterable[Committed]) -> None:
        """Take events of a service's outbox."""
        number = self._number
        rows = list(rows)
        self._topics.update({(one.topic, service) for one in rows})
        self._file.execute("BEGIN")
        self._file.executemany(
            COMMITTED,
            (
                (event_id, number(service), position, number(topic), key, version, number(kind), recorded, passed)
                for event_id, position, topic, key, version, kind, recorded, passed in rows
            ),
        )
        self._file.execute("COMMIT")

    def own(self, service: str, sources: Iterable[str]) -> None:
        """Take the `ce_source` of a service's records: before any record."""
        self._owners |= dict.fromkeys(sources, service)

    def miss(self, fault: Fault, before: int) -> None:
        """Take a row of an outbox that does not have the version before it; a fault unless another source has."""
        self._missed = True
        values = (self._number(fault.topic or ""), fault.key, before, self._number(fault.service or ""))
        self._file.execute("INSERT INTO unfollowed VALUES (?, ?, ?, ?, ?)", (*values, json.dumps(asdict(fault))))

    def follow(self, records: Iterable[TopicRecord]) -> None:
        """Take records for what stands before `miss`ed rows alone: versions that another source than theirs told."""
        if not self._missed:
            return
        values = [
            (self._number(one.topic), one.key, one.version, self._number(self._owners.get(one.source, "")))
            for one in records
            if one.source
        ]
        self._file.execute("BEGIN")
        self._file.executemany(FOLLOW, values)
        self._file.execute("COMMIT")

    def unfollowed(self) -> Iterator[Fault]:
        """Yield the rows whose version before nobody told."""
        for (fault,) in self._file.execute("SELECT fault FROM unfollowed ORDER BY service, topic, key, before"):
            yield Fault(**json.loads(fault))

    def foreign(self) -> dict[str, int]:
        """Return how many events there are, by `ce_source`, that no outbox here has and none would have."""
        return {self._names[source]: count for source, count in self._file.execute(FOREIGN)}

    def _foreign(self, source: str) -> int | None:
        return self._number(source) if source and source not in self._owners else None

    def see(self, records: Iterable[TopicRecord]) -> None:
        """Take records that name an event, in their sequence."""
        number = self._number
        self._file.execute("BEGIN")
        self._file.executemany(
            SEEN,
            (
                (
                    one.event_id.bytes,
                    number(one.topic),
                    one.partition,
                    one.offset,
                    one.key,
                    one.version,
                    one.replayed,
                    self._foreign(one.source),
                )
                for one in records
                if one.event_id is not None
            ),
        )
        self._file.execute("COMMIT")

    def unmatched(self) -> Iterator[list[Unmatched]]:
        """Yield the records whose event no outbox showed, some at a time; they may be resolved meanwhile."""
        last = b""
        while found := self._file.execute(STRANGERS, (last, BATCH)).fetchall():
            last = found[-1][0]
            yield [Unmatched(UUID(bytes=one), key, version, bool(foreign)) for one, key, version, foreign in found]

    def resolve(self, service: str, found: Iterable[tuple[UUID, int]]) -> None:
        """Note events, with their positions, that a second look has found in the service's outbox."""
        values = [(self._number(service), position, event_id.bytes) for event_id, position in found]
        self._file.executemany(KNOWN, values)

    def absent(self) -> Iterator[Entry]:
        """Yield the events that no topic has."""
        return self._entries(ABSENT)

    def ghosts(self) -> Iterator[Entry]:
        """Yield the records of these services, or of nobody, whose event no outbox has."""
        return self._entries(GHOSTS)

    def standing(self) -> Iterator[Entry]:
        """Yield the events of the outboxes that stand on a topic, those of one topic and key together."""
        return self._entries(STANDING)

    def of_types(self, names: Sequence[str]) -> Iterator[list[Entry]]:
        """Yield the events of these types, some at a time."""
        numbers = [self._numbers[name] for name in names if name in self._numbers]
        cursor = self._file.execute(OF_TYPES, (f"{numbers}",))
        while rows := cursor.fetchmany(BATCH):
            yield [self._entry(row) for row in rows]

    def topics(self) -> list[tuple[str, str]]:
        """Return each topic that events went to, with the service."""
        return sorted(self._topics)

    def counts(self) -> tuple[int, int]:
        """Return how many events of the outboxes there are, and how many have a record that was no replay."""
        return self._file.execute(COUNTS).fetchone()

    def _entries(self, statement: str) -> Iterator[Entry]:
        return map(self._entry, self._file.execute(statement))

    def _entry(self, row: Sequence[Any]) -> Entry:
        (event_id, service, position, topic, key, version, kind, recorded, passed, found_in, partition, offset) = row
        name = self._name
        return Entry(
            str(UUID(bytes=event_id)),
            name(service),
            position,
            name(topic),
            key,
            version,
            name(kind),
            recorded or 0.0,
            bool(passed),
            name(found_in),
            partition,
            offset,
        )

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self._names)
            self._names.append(name)
        return self._numbers[name]

    def _name(self, number: int | None) -> str | None:
        return None if number is None else self._names[number]
