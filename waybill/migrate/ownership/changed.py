"""What has changed since a moment, and whether the other side has it.

A moment is taken under a lock that every program which appends must have: whoever noted an earlier time has committed,
so nothing that a later question should name is missed. Rows are compared as by `verify`, and besides the version of the
last event: a row that changed to and fro is the same while events of it are still under way.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.errors import LockNotAvailable
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from waybill.migrate import verify

PORTION: Final = 2_000
BOUNDARY: Final = "LOCK TABLE waybill_capture_state IN SHARE MODE"
NOW: Final = "SELECT clock_timestamp()"
SINCE: Final = """
SELECT aggregate_id, key FROM waybill_capture_state WHERE source = %s AND appended_at >= %s
"""
VERSIONS: Final = """
SELECT aggregate_id, version FROM waybill_capture_state WHERE source = %s AND aggregate_id = ANY(%s)
"""
EVERY: Final = """
SELECT aggregate_id, key FROM waybill_capture_state WHERE source = %s AND key > %s ORDER BY key LIMIT %s
"""
Suspects = dict[str, str | None]
"""Keys by the id of the aggregate; None where this side knows of no such key."""


@dataclass
class Unequal:
    """What is not yet, or not, the same there, and since when it has not changed here."""

    differences: list[verify.Difference] = field(default_factory=list[verify.Difference])
    _since: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def suspects(self) -> Suspects:
        """Return them as what is to be compared again."""
        return {one.aggregate_id: one.key for one in self.differences}

    def found(self, differences: list[verify.Difference], changed: Iterable[str]) -> None:
        """Replace them by those of another look; of what has `changed` since the last look the time begins anew."""
        now, anew = time.monotonic(), set(changed)
        self._since = {
            one.aggregate_id: now if one.aggregate_id in anew else self._since.get(one.aggregate_id, now)
            for one in differences
        }
        self.differences = differences

    def lasting(self, seconds: float) -> list[verify.Difference]:
        """Return those that nothing has changed for so long."""
        due = time.monotonic() - seconds
        return [one for one in self.differences if self._since[one.aggregate_id] <= due]


def boundary(session: psycopg.Connection[Any]) -> datetime:
    """Return a moment that no open transaction is before; waits for those that append, in turns.

    Raises LockNotAvailable, where one of them does not end.
    """
    for attempt in Retrying(retry=retry_if_exception_type(LockNotAvailable), stop=stop_after_attempt(10), reraise=True):
        with attempt, session.transaction():
            session.execute(BOUNDARY)
            return session.execute(NOW).fetchall()[0][0]
    raise AssertionError("unreachable")


def since(session: psycopg.Connection[Any], source: str, moment: datetime) -> Suspects:
    """Return what was appended since a moment."""
    return dict(session.execute(SINCE, [source, moment]).fetchall())


def compare(
    sides: verify.Sides,
    here: psycopg.Connection[Any],
    there: psycopg.Connection[Any],
    suspects: Mapping[str, str | None],
) -> list[verify.Difference]:
    """Return what of these is not the same on both sides, by its row or by the version of its last event."""
    found = {one.aggregate_id: one for one in verify.again(sides, dict(suspects))}
    ids = [one for one in suspects if one not in found]
    for first in range(0, len(ids), PORTION):
        behind = _behind(sides.built.aggregate.name, here, there, ids[first : first + PORTION])
        found |= {one: verify.Difference(suspects[one], one, what) for one, what in behind.items()}
    return list(found.values())


def behind(source: str, here: psycopg.Connection[Any], there: psycopg.Connection[Any]) -> list[verify.Difference]:
    """Return every aggregate whose last event has not arrived there."""
    last, found = "", list[verify.Difference]()
    while rows := here.execute(EVERY, [source, last, PORTION]).fetchall():
        keys = dict(rows)
        last = rows[-1][1]
        late = _behind(source, here, there, list(keys))
        found += [verify.Difference(keys[one], one, what) for one, what in late.items()]
    return found


def _behind(
    source: str, here: psycopg.Connection[Any], there: psycopg.Connection[Any], ids: Sequence[str]
) -> dict[str, str]:
    # There first: what is appended here in between makes it look behind, and it is asked again.
    theirs = dict(there.execute(VERSIONS, [source, ids]).fetchall())
    ours = dict(here.execute(VERSIONS, [source, ids]).fetchall())
    return {
        one: f"its event of version {version} has not arrived (last: {theirs.get(one)})"
        for one, version in ours.items()
        if version is not None and theirs.get(one) != version
    }
