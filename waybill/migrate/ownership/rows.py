"""The row that says who owns an aggregate's rows, and the lines of its record. Each side has its own of both.

Times are of the database that the row stands in: nothing compares the clocks of two machines.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

READ: Final = """
SELECT is_owner, epoch, leaving, extract(epoch FROM held_until - clock_timestamp())::float, changed_at, changed_by,
    reason, finished_at
FROM waybill_ownership WHERE source = %s
"""
# A side that never handed anything over has no row, and needs one that can be held.
HOLD: Final = """
INSERT INTO waybill_ownership AS known (source, is_owner, epoch, held_until)
VALUES (%(source)s, true, 0, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (source) DO UPDATE SET held_until = excluded.held_until
"""
RELEASE: Final = "UPDATE waybill_ownership SET held_until = NULL WHERE source = %s AND NOT leaving"
# By a hold that has lapsed nobody is kept waiting, so nothing may be given up under it.
LEAVE: Final = """
UPDATE waybill_ownership SET is_owner = false, leaving = true, epoch = epoch + 1, changed_at = clock_timestamp(),
    changed_by = %(by)s, reason = %(reason)s
WHERE source = %(source)s AND is_owner AND epoch = %(epoch)s
AND held_until > clock_timestamp() + make_interval(secs => %(margin)s)
"""
LOCK: Final = "SELECT is_owner, epoch, finished_at IS NOT NULL FROM waybill_ownership WHERE source = %s FOR UPDATE"
TAKE: Final = """
UPDATE waybill_ownership SET is_owner = true, epoch = %(epoch)s, held_until = NULL, changed_at = clock_timestamp(),
    changed_by = %(by)s, reason = %(reason)s
WHERE source = %(source)s
"""
LEFT: Final = """
UPDATE waybill_ownership SET leaving = false, held_until = NULL WHERE source = %s AND epoch = %s AND leaving
"""
RECEIVE: Final = """
INSERT INTO waybill_ownership (source, is_owner, epoch, changed_by, reason)
VALUES (%(source)s, false, 0, %(by)s, %(reason)s)
ON CONFLICT (source) DO UPDATE SET is_owner = false, changed_at = clock_timestamp(), changed_by = excluded.changed_by,
    reason = excluded.reason
"""
FINISH: Final = """
UPDATE waybill_ownership SET finished_at = coalesce(finished_at, clock_timestamp()) WHERE source = %s
"""
NOTE: Final = """
INSERT INTO waybill_ownership_log (source, epoch, direction, at, by, reason, hold_seconds, result)
VALUES (%(source)s, %(epoch)s, %(verb)s, clock_timestamp() - make_interval(secs => %(seconds)s), %(by)s, %(reason)s,
    nullif(%(seconds)s, 0), %(result)s)
"""
# The time of a hold that a killed command left behind is not known: its end here is that of what completed it.
NOTE_LEFT: Final = """
UPDATE waybill_ownership_log SET hold_seconds = extract(epoch FROM clock_timestamp() - at), result = %(result)s
WHERE source = %(source)s AND epoch = %(epoch)s AND result = %(leaving)s RETURNING hold_seconds
"""
LAST: Final = """
SELECT direction, epoch, at, by, reason, hold_seconds, result FROM waybill_ownership_log
WHERE source = %s ORDER BY id DESC LIMIT 1
"""
LEAVING, GAVE, TOOK, GIVEN_UP, DONE = "leaving", "gave it up", "took it over", "old state", "done"
"""Results of the record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """Whether this side owns the rows of an aggregate."""

    is_owner: bool = True
    epoch: int = 0
    """How often it was handed over so far; odd where the second side has it."""
    leaving: bool = False
    """It was given up here; `migrate run` or the verb again completes it on the other side."""
    held_seconds: float | None = None
    """How long writes are still held at the gateway; below 0 the hold has lapsed."""
    changed_at: datetime | None = None
    changed_by: str = ""
    reason: str = ""
    finished_at: datetime | None = None
    is_known: bool = False
    """There is a row."""

    @property
    def is_held(self) -> bool:
        """Tell whether a handover is under way."""
        return self.leaving or (self.held_seconds or 0) > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """Who changes it, by which verb, and why."""

    verb: str
    by: str
    reason: str = ""


def read(cursor: Any, source: str) -> Ownership:
    """Return who owns; without a row this side does."""
    cursor.execute(READ, [source])
    found = cursor.fetchone()
    if found is None:
        return Ownership()
    is_owner, epoch, leaving, held, at, by, reason, finished = found
    return Ownership(
        is_owner=is_owner, epoch=epoch, leaving=leaving, held_seconds=held, changed_at=at, changed_by=by, reason=reason,
        finished_at=finished, is_known=True,
    )  # fmt: skip


def note(cursor: Any, source: str, epoch: int, said: Said, result: str, seconds: float = 0) -> None:
    """Add a line to the record; `seconds` ago it began."""
    values = {"source": source, "epoch": epoch, "verb": said.verb, "by": said.by, "reason": said.reason}
    cursor.execute(NOTE, values | {"result": result, "seconds": seconds})
