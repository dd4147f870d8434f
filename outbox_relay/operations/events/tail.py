"""New events as they are committed, those included whose position becomes visible after a later one.

Each outbox is followed by the relay's own rule (cursor.py): every visible row is shown at once, and what is missing
below it is remembered until it is shown or proved dead. Nothing is left out and nothing waits, with or without a relay.
A poll is one query, and one or two more while a position is missing. A database that goes away is told once; what was
committed meanwhile is shown when it is back.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg

from outbox_relay.operations.events import listing
from outbox_relay.operations.topology import bounded, connect
from outbox_relay.relay.cursor import Cursor, Holders
from outbox_relay.relay.reading import HOLDERS
from waybill.database.sqlstate import one_line

POLL_SECONDS: Final = 0.5
AWAY_SECONDS: Final = 2.0  # before a database that did not answer is asked again
ROWS: Final = 1_000  # of one poll; a full one is followed by the next at once
# Rows whose gaps it finds by itself as it starts; gaps below these are read from the relay's cursor.
NEWEST: Final = 10_000

# In one snapshot, and cut at the lowest positions, as the relay's own.
VISIBLE: Final = """
(SELECT found.* FROM unnest(%(first)s::bigint[], %(last)s::bigint[]) AS gap (first, last) CROSS JOIN LATERAL
   (SELECT position FROM waybill_outbox WHERE position BETWEEN gap.first AND gap.last ORDER BY 1
   LIMIT %(rows)s) AS found
 ORDER BY 1 LIMIT %(rows)s)
UNION ALL
(SELECT position FROM waybill_outbox WHERE position > %(position)s::bigint ORDER BY 1 LIMIT %(rows)s)
ORDER BY 1 LIMIT %(rows)s
"""
# From now on: what is visible has been, what is missing among the newest or in the relay's own gaps may still come.
NOW: Final = """
SELECT missing,
       (SELECT array_agg(position ORDER BY position)
        FROM (SELECT position FROM waybill_outbox ORDER BY position DESC LIMIT %s) AS newest)
FROM waybill_outbox_cursor
"""


class Following:
    """One outbox, followed from now on, or from the filter's first position or `since`."""

    def __init__(self, service: str, url: str, wanted: listing.Filter) -> None:
        """Connect at the first poll."""
        self.service = service
        self.failure: str | None = None
        self.behind = False  # there is more to show than one poll brings
        self._url = url
        self._wanted = wanted
        self._connection: psycopg.Connection | None = None
        self._cursor: Cursor | None = None
        self._try_at = 0.0

    def poll(self) -> list[listing.ListedEvent]:
        """Return the events committed since the last poll that are meant; none while the database is away."""
        if time.monotonic() < self._try_at:
            return []
        try:
            if self._connection is None:
                self._connection = connect(self._url)
                self._cursor = self._restart(self._connection)
            with bounded(self._connection, self._url):
                events = self._look(self._connection)
        except psycopg.Error as error:
            self.close()
            self.failure, self.behind = one_line(error), False
            self._try_at = time.monotonic() + AWAY_SECONDS
            return []
        self.failure = None
        return events

    def close(self) -> None:
        """End the session; the next poll makes a new one and resumes where this one stopped."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _restart(self, connection: psycopg.Connection) -> Cursor:
        if self._cursor is not None:  # names of holders are worth nothing in a new session
            return Cursor.restored(self._cursor.position, self._cursor.missing, time.monotonic())
        if self._wanted.since is not None:
            return Cursor(max(self._wanted.first - 1, listing.before(connection, self._wanted.since)))
        if self._wanted.first > 1:
            return Cursor(self._wanted.first - 1)
        return _now(connection)

    def _look(self, connection: psycopg.Connection) -> list[listing.ListedEvent]:
        cursor = self._cursor
        assert cursor is not None
        if cursor.needs_holders:
            cursor = cursor.held_by(_holders(connection))
        holders = _holders(connection) if cursor.gaps else Holders()  # before the snapshot that probes them
        bounds = {"first": [gap.first for gap in cursor.gaps], "last": [gap.last for gap in cursor.gaps]}
        values = {"position": cursor.position, "rows": ROWS, **bounds}
        visible = [position for (position,) in connection.execute(VISIBLE, values)]
        self.behind = len(visible) == ROWS
        cursor = cursor.passing(visible, holders, visible[-1] if self.behind else None, time.monotonic())
        if cursor.needs_holders:
            cursor = cursor.held_by(_holders(connection))
        events = listing.among(self.service, connection, self._wanted, visible) if visible else []
        self._cursor = cursor
        return events


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of polls brought: events, databases that went away, with the reason, and those that are back."""

    events: list[listing.ListedEvent]
    away: dict[str, str] = field(default_factory=dict[str, str])
    back: list[str] = field(default_factory=list[str])


def follow(followed: Sequence[Following]) -> Iterator[Round]:
    """Yield what each round of polls brings, twice a second, for ever."""
    away: set[str] = set()
    try:
        while True:
            events = [event for one in followed for event in one.poll()]
            failures = {one.service: one.failure for one in followed if one.failure}
            back = sorted(away - failures.keys())
            new = {service: failure for service, failure in failures.items() if service not in away}
            away = set(failures)
            yield Round(events, new, back)
            if not any(one.behind for one in followed):
                time.sleep(POLL_SECONDS)
    finally:
        for one in followed:
            one.close()


def _now(connection: psycopg.Connection) -> Cursor:
    missing, newest = connection.execute(NOW, (NEWEST,)).fetchone() or ([], None)
    visible: Sequence[int] = newest or []
    low = visible[0] - 1 if len(visible) == NEWEST else 0
    pairs = zip(missing[::2], missing[1::2], strict=True)
    kept = [bound for first, last in pairs if first <= low for bound in (first, min(last, low))]
    return Cursor.restored(low, kept, time.monotonic()).passing(visible, Holders(), None, time.monotonic())


def _holders(connection: psycopg.Connection) -> Holders:
    return Holders(name for (name,) in connection.execute(HOLDERS))
