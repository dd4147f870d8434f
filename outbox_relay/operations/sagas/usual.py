"""How long a step of a saga usually takes: measured on the newest that went well, or fixed where there are too few.

A step is late after three times what nineteen of twenty took, and never before a program that died counts as silent:
nobody could say yet what keeps it. What was cancelled is not measured, since it may have waited for its deadline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import psycopg
from psycopg import sql

from outbox_relay.databases import short_name
from waybill.observability.program_state import SILENT_SECONDS
from waybill.sagas.saga import Saga

FIXED: Final = timedelta(minutes=1)  # where too few were measured
ENOUGH: Final = 50  # stays in a step
MOST: Final = 200  # sagas that are measured
LOOKED_AT: Final = 2_000  # newest rows among which they are: in an outage all of these may be open
SHORTEST: Final = timedelta(seconds=SILENT_SECONDS)
TIMES: Final = 3

# By the index on the time of creation: keys of rows that came from elsewhere do not rise with time.
NEWEST: Final = """
SELECT key FROM (SELECT {key}::text AS key, status FROM {table} ORDER BY created_at DESC LIMIT %(looked_at)s) AS newest
WHERE status = %(end)s LIMIT %(most)s
"""
# By the unique index on aggregate and version.
EVENTS: Final = """
SELECT aggregate_id, event_type, recorded_at FROM waybill_outbox
WHERE aggregate_type = %(kind)s AND aggregate_id = ANY(%(keys)s) ORDER BY aggregate_id, aggregate_version
"""


@dataclass(frozen=True, slots=True)
class Usual:
    """After how long a step is late, by status; `fixed` where it was not measured."""

    fixed: timedelta = FIXED
    measured: Mapping[str, timedelta] = field(default_factory=dict[str, timedelta])

    def of(self, status: str) -> timedelta:
        """Return how long a saga may be in this status."""
        return self.measured.get(status, self.fixed)

    def shortest(self, statuses: Iterable[str]) -> timedelta:
        """Return the shortest of these steps' times."""
        return min(map(self.of, statuses), default=self.fixed)

    def says(self, status: str) -> str:
        """Return how long is usual, and how that is known."""
        how = "measured" if status in self.measured else "fixed: too few have ended to measure it"
        return f"up to {self.of(status).total_seconds():.0f} s in {status} is usual ({how})"


def read(saga: Saga, connection: psycopg.Connection) -> Usual:
    """Return what is usual for a saga now, from its own service's database. Raises psycopg.Error."""
    own = saga.own
    newest = sql.SQL(NEWEST).format(key=sql.Identifier(own.key), table=sql.Identifier(own.table))
    wanted = {"looked_at": LOOKED_AT, "most": MOST, "end": own.ends[0] if own.ends else ""}
    keys = [key for (key,) in connection.execute(newest, wanted)]
    events = connection.execute(EVENTS, {"kind": own.kind, "keys": keys}).fetchall()
    return of_stays(stays(saga, events))


def stays(saga: Saga, events: Sequence[tuple[str, str, datetime]]) -> Mapping[str, list[float]]:
    """Return status → for how many seconds each saga was in it; `events`: key, type and time, by key and version."""
    found: dict[str, list[float]] = {}
    for _, several in groupby(events, key=lambda one: one[0]):
        ones = list(several)
        spent: dict[str, float] = {}
        path = list(saga.path(saga.aggregate, [event_type for _, event_type, _ in ones]))
        for status, (_, _, began), (_, _, ended) in zip(path, ones, ones[1:], strict=False):
            if status is not None:
                spent[status] = spent.get(status, 0.0) + (ended - began).total_seconds()
        for status, seconds in spent.items():
            found.setdefault(status, []).append(seconds)
    return found


def of_stays(measured: Mapping[str, Sequence[float]], fixed: timedelta = FIXED) -> Usual:
    """Return what is usual after these stays, in seconds by status."""
    times = {
        status: max(SHORTEST, timedelta(seconds=TIMES * _ninety_fifth(seconds)))
        for status, seconds in measured.items()
        if len(seconds) >= ENOUGH
    }
    return Usual(fixed, times)


def of_saga(saga: Saga, connections: Mapping[str, psycopg.Connection]) -> Usual:
    """Return what is usual; what is fixed where the saga's own database cannot say it."""
    try:
        return read(saga, connections[short_name(saga.own.service)])
    except (KeyError, psycopg.Error):
        return Usual()


def _ninety_fifth(values: Sequence[float]) -> float:
    """Return the value that nineteen of twenty do not exceed (nearest rank)."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]
