"""The outbox read page by page, and one page ahead while there are full ones.

A page is one snapshot's rows, lowest position first. While the rows of one are handed to the producer, PostgreSQL
already works at the next: the statement waits in a thread of its own, the rows are made into Python's in the caller's,
so that the two do not fight for the interpreter. The session is the leader's; a statement of the caller's waits for the
one under way. What was read ahead for another cursor than the one asked for is thrown away.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from types import TracebackType
from typing import Final, NamedTuple, Self

import psycopg

from outbox_relay.relay.cursor import Cursor, Holders
from outbox_relay.relay.kafka.records import (
    COLUMNS,
    EVENT_TYPE,
    PAYLOAD,
    POSITION,
    SCHEMA_VERSION,
    SIZE,
    TOPIC,
    Fetched,
    Kind,
    Row,
)

LARGE_PAYLOADS_BYTES: Final = 8_000_000  # of all large payloads in one page

# Ascending, in one snapshot, and cut at the lowest positions: a later version never comes without the earlier one.
FETCH: Final = f"""
SELECT {COLUMNS} FROM waybill_outbox WHERE position > %(position)s::bigint ORDER BY position LIMIT %(rows)s
"""  # noqa: S608 - columns are a constant
# Gap by gap: a plain join walks through the whole outbox in the sequence of its positions, for the limit's sake.
FETCH_WITH_GAPS: Final = f"""
(SELECT found.* FROM unnest(%(first)s::bigint[], %(last)s::bigint[]) AS gap (first, last) CROSS JOIN LATERAL
   (SELECT {COLUMNS} FROM waybill_outbox WHERE position BETWEEN gap.first AND gap.last ORDER BY 1
   LIMIT %(rows)s) AS found
 ORDER BY 1 LIMIT %(rows)s)
UNION ALL
(SELECT {COLUMNS} FROM waybill_outbox WHERE position > %(position)s::bigint ORDER BY position LIMIT %(rows)s)
ORDER BY 1 LIMIT %(rows)s
"""  # noqa: S608
# By the index of `published` on its status: what was redriven and not sent yet.
RELEASED: Final = f"""
SELECT {COLUMNS} FROM waybill_outbox WHERE event_id IN (SELECT id FROM published WHERE status = 1)
ORDER BY position LIMIT %(rows)s
"""  # noqa: S608
# By primary key, after the page: payloads of more than 8 KiB would make its size unbounded.
LARGE: Final = "SELECT position, payload FROM waybill_outbox WHERE position = ANY(%s)"

# Whoever may still commit a position holds this lock, prepared transactions included, and is named the same throughout.
HOLDERS: Final = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'waybill_outbox'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


# Columns of a page: a row's other values are not touched, which would cost a fetch from memory each.
_POSITION_OF: Final = itemgetter(POSITION)
_TOPIC_OF: Final = itemgetter(TOPIC)
_KIND_OF: Final = itemgetter(EVENT_TYPE, SCHEMA_VERSION)
_PAYLOAD_OF: Final = itemgetter(PAYLOAD)
_SIZE_OF: Final = itemgetter(SIZE)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one snapshot, ascending; `seen_to` is where it was cut short, `holders` were read before it."""

    rows: Sequence[Fetched]
    public: Sequence[Fetched] = ()
    seen_to: int | None = None
    holders: Holders = Holders()  # noqa: RUF009 - a frozenset
    positions: Sequence[int] = ()
    topics: frozenset[str] = frozenset[str]()
    kinds: frozenset[Kind] = frozenset[Kind]()  # of the public rows
    largest_bytes: int = 0

    @classmethod
    def of(cls, rows: Sequence[Fetched], seen_to: int | None, holders: Holders) -> Self:
        """Return the page that these rows make."""
        if not rows:
            return cls((), (), seen_to, holders)
        topics = frozenset(map(_TOPIC_OF, rows))
        public = [row for row in rows if row[TOPIC] is not None] if None in topics else rows
        return cls(
            rows,
            public,
            seen_to,
            holders,
            positions=[*map(_POSITION_OF, rows)],
            topics=topics - {None},
            kinds=frozenset(map(_KIND_OF, public)),
            largest_bytes=max(map(_SIZE_OF, rows)),
        )

    def cut(self, index: int) -> "Page":
        """Return the page without the rows from `index` on."""
        return Page.of(self.rows[:index], self.rows[index][POSITION] - 1, self.holders)


class _Ahead(NamedTuple):
    cursor: Cursor
    limit: int
    holders: Future[Holders]


class Reader:
    """Read one outbox on the leader's session; used by one thread, and closed with the publishing session."""

    def __init__(self, connection: psycopg.Connection) -> None:
        """Prepare; asks nothing yet."""
        self._connection = connection
        self._fetching = connection.cursor(binary=True)
        self._thread = ThreadPoolExecutor(1, "reads-ahead")
        self._ahead: _Ahead | None = None

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for the statement under way, whatever becomes of it."""
        self._thread.shutdown(cancel_futures=True)

    def read(self, cursor: Cursor, limit: int) -> Page:
        """Return up to `limit` rows that the cursor has not passed. Raises psycopg.Error."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (ahead.cursor, ahead.limit) == (cursor, limit):
            holders = ahead.holders.result()
        else:
            self._forget(ahead)
            holders = self._execute(cursor, limit)
        rows = self._fetching.fetchall()
        kept = _bounded(rows)
        cut_short = len(kept) == limit or len(kept) < len(rows)
        return Page.of(kept, kept[-1][POSITION] if cut_short else None, holders)

    def read_ahead(self, cursor: Cursor, limit: int) -> None:
        """Begin to read what follows; returns at once."""
        self._ahead = _Ahead(cursor, limit, self._thread.submit(self._execute, cursor, limit))

    @property
    def is_ahead(self) -> bool:
        """Say whether a page is being read ahead."""
        return self._ahead is not None

    def aside(self, write: Callable[[], None]) -> Future[None]:
        """Begin to write something on the session, after the statement under way; returns at once."""
        return self._thread.submit(write)

    def read_released(self, limit: int) -> Page:
        """Return dead letters that operators redrove. Raises psycopg.Error."""
        self._forget(self._ahead)
        self._ahead = None
        self._fetching.execute(RELEASED, {"rows": limit})
        return Page.of(_bounded(self._fetching.fetchall()), None, Holders())

    def with_payloads(self, rows: Sequence[Fetched]) -> Sequence[Fetched]:
        """Return public rows with the large payloads that a page leaves out. Raises psycopg.Error."""
        if None not in map(_PAYLOAD_OF, rows):
            return rows
        missing = [row for row in map(Row._make, rows) if row.payload is None]
        with self._connection.cursor(binary=True) as cursor:
            payloads = dict(cursor.execute(LARGE, ([row.position for row in missing],)).fetchall())
        return [
            row if row.payload is not None else row._replace(payload=payloads[row.position])
            for row in map(Row._make, rows)
        ]

    def holders(self) -> Holders:
        """Return who may still commit a position. Raises psycopg.Error."""
        return frozenset(name for (name,) in self._connection.execute(HOLDERS, prepare=True))

    def _execute(self, cursor: Cursor, limit: int) -> Holders:
        values = {"position": cursor.position, "rows": limit}
        if not cursor.gaps:
            self._fetching.execute(FETCH, values, prepare=True)
            return Holders()
        # Before the snapshot that probes them; a gap that nobody held is probed by any later one.
        holders = self.holders() if any(gap.holders for gap in cursor.gaps) else Holders()
        bounds = cursor.missing
        self._fetching.execute(FETCH_WITH_GAPS, values | {"first": bounds[::2], "last": bounds[1::2]}, prepare=True)
        return holders

    def _forget(self, ahead: _Ahead | None) -> None:
        if ahead is not None:
            with suppress(psycopg.Error):  # whatever is wrong, the next statement meets it
                ahead.holders.result()


def _bounded(rows: Sequence[Fetched]) -> Sequence[Fetched]:
    """Cut rows where their large payloads, which are still to be read, pass their bound."""
    if None not in map(_PAYLOAD_OF, rows):
        return rows
    total = 0
    for index, row in enumerate(rows):
        if row[PAYLOAD] is None and row[TOPIC] is not None:
            total += row[SIZE]
            if total > LARGE_PAYLOADS_BYTES and index:
                return rows[:index]
    return rows
