"""Which positions may still appear: the part of the relay that decides what is lost and what is not.

Identity values are handed out before commit, so position 7 can become visible after position 8. Whoever remembers
only "8" never sees 7. The cursor therefore is a position *and* the gaps below it: ranges of positions that were not
visible when a later one was.

Model. A position is in one of four states: not handed out (above the cursor), missing (in a gap), passed (visible once,
handed to the producer, never looked at again) or dead (its transaction rolled back, it will never be visible). A gap
ends in one of two ways only: it becomes visible, or it is proved dead. No clock takes part.

Proof of death. Every INSERT takes a RowExclusiveLock on the outbox before it takes a position, and PostgreSQL gives
the lock back only after the transaction's outcome is visible to new snapshots. So whoever may still commit a position
of a gap is among the sessions that hold such a lock at any moment *after* a later position was seen: these are the
gap's holders, written down once. The gap is dead when none of them is left, and a snapshot taken *after* that was
established still does not show it. Both orders matter:

    writing down    1. see position 8    2. read the holders       (before: a holder could come in between)
    probing         1. read the holders  2. take the snapshot      (before: it could commit in between)

A gap that nobody held needs no second reading: any later snapshot probes it.

Whoever comes later and holds a lock took its positions later, so a busy table does not keep a gap alive, and a
session that wrote and idles keeps only what it may own.

Relied on: GENERATED ALWAYS, INCREMENT 1, CACHE 1 (a session that caches 2..20 holds positions without a lock); holders
compared by virtual transaction, which a prepared transaction keeps; everything remembered dropped with the connection
and written down anew (after a crash a prepared transaction comes back under another name). A rollback to a savepoint
gives the lock back early, rightly: its positions are dead already.

A gap is a range, not a set of positions: an import of a million rows under way, or rolled back, is one gap. The durable
form is flat, first and last of each gap in turn: {7,7,10,14}.

Rejected alternatives: a time-out (a slow transaction loses its event), a table lock (serialises the writers), the
snapshot's xmin (an unrelated open transaction stops delivery), pg_snapshot_xmax (it is the highest *finished*
transaction plus one: it lost 13 of 7,113 events), waiting behind a gap (an unrelated transaction delays everybody).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

Holders = frozenset[str]


class PositionGap(NamedTuple):
    """Positions first..last, missing when a later one was seen, and who may still commit them."""

    first: int
    last: int
    holders: Holders | None  # None: not written down yet
    seen_at: float  # monotonic seconds


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to `position` is passed or dead, except what lies in `gaps` (ascending, disjoint)."""

    position: int
    gaps: tuple[PositionGap, ...] = ()

    @classmethod
    def restored(cls, position: int, missing: Sequence[int], now: float) -> "Cursor":
        """Return the cursor that `missing` describes; nobody is written down as a holder yet."""
        pairs = zip(missing[::2], missing[1::2], strict=True)
        return cls(position, tuple(PositionGap(first, last, None, now) for first, last in pairs))

    @property
    def missing(self) -> list[int]:
        """Return first and last of each gap in turn, as they are made durable."""
        return [bound for gap in self.gaps for bound in (gap.first, gap.last)]

    @property
    def needs_holders(self) -> bool:
        """Say whether there is a gap whose holders must be read now."""
        return any(gap.holders is None for gap in self.gaps)

    def held_by(self, holders: Holders) -> "Cursor":
        """Write the holders down for every gap that has none yet; they must have been read after it was seen."""
        gaps = (gap._replace(holders=holders) if gap.holders is None else gap for gap in self.gaps)
        return replace(self, gaps=tuple(gaps))

    def passing(self, visible: Sequence[int], holders: Holders, seen_to: int | None, now: float) -> "Cursor":
        """Return the cursor after one snapshot.

        `visible` are the snapshot's positions among the gaps and above the cursor, ascending; `holders` were read
        before it was taken; `seen_to` is where it was cut short, or None for a whole one.
        """
        if not self.gaps and visible and visible[-1] - self.position == len(visible):
            return Cursor(visible[-1])
        gaps = [left for gap in self.gaps for left in _left_of(gap, visible, holders, seen_to)]
        above = visible[bisect_right(visible, self.position) :]
        gaps += [PositionGap(first, last, None, now) for first, last in _holes(self.position, above)]
        return Cursor(above[-1] if above else self.position, tuple(gaps))


def _left_of(gap: PositionGap, visible: Sequence[int], holders: Holders, seen_to: int | None) -> Iterator[PositionGap]:
    inside = visible[bisect_left(visible, gap.first) : bisect_right(visible, gap.last)]
    dead = gap.holders is not None and gap.holders.isdisjoint(holders)
    for first, last in _holes(gap.first - 1, [*inside, gap.last + 1]):
        unproved = first
        if dead:
            if seen_to is None:
                continue
            unproved = max(first, seen_to + 1)  # the snapshot says nothing about what lies behind the cut
        if unproved <= last:
            yield gap._replace(first=unproved, last=last)


def _holes(below: int, positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    for one, following in pairwise([below, *positions]):
        if following - one > 1:
            yield one + 1, following - 1
