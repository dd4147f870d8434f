"""What writers did: each write leaves a mark in its order's note, and is done, or not done, or nobody was told."""

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MARK = re.compile(r"<([a-z]+)\.(\d+)>")


class Told(StrEnum):
    """What a writer was told of its write."""

    DONE = "done"
    UNKNOWN = "unknown"
    """The connection was lost: it may be there once."""
    NOT_DONE = "not done"


@dataclass(frozen=True)
class Failed:
    """A request that was answered with an error, or not at all."""

    at: float
    until: float
    what: str


def mark(writer: str, number: int) -> str:
    """Return what a write leaves."""
    return f"<{writer}.{number}>"


def marks(note: str) -> list[tuple[str, int]]:
    """Return the marks of a note, in its sequence."""
    return [(writer, int(number)) for writer, number in MARK.findall(note)]


@dataclass
class Ledger:
    """All writes of a run, by mark; and which orders were deleted."""

    told: dict[tuple[str, int], Told] = field(default_factory=dict)
    orders: dict[tuple[str, int], Collection[int]] = field(default_factory=dict)
    """Where a mark has to stand, for writers that know."""
    deleted: set[int] = field(default_factory=set)
    """Orders whose deletion was begun."""
    failed: list[Failed] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Writer → writes that the side which does not own has refused; they went to the other side."""
    longest_seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    shaken: list[tuple[float, float]] = field(default_factory=list)
    """When a request may fail: its database or its gateway was away."""
    _numbers: Counter[str] = field(default_factory=Counter)

    def begin(self, writer: str) -> tuple[str, int]:
        """Note that a write begins."""
        with self.lock:
            self._numbers[writer] += 1
            key = (writer, self._numbers[writer])
            self.told[key] = Told.UNKNOWN
            return key

    def end(self, key: tuple[str, int], told: Told, orders: Collection[int] = ()) -> None:
        """Note what a writer was told, and which orders it has written to."""
        with self.lock:
            self.told[key] = told
            if orders:
                self.orders[key] = orders

    def fail(self, began: float, what: str) -> None:
        """Note a request that failed."""
        with self.lock:
            self.failed.append(Failed(began, time.monotonic(), what))

    def answered(self, began: float) -> None:
        """Note how long an answer took."""
        with self.lock:
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)

    def failures(self) -> list[Failed]:
        """Return what failed while nothing was away that the request needed."""
        return [one for one in self.failed if not any(one.at <= until and one.until >= at for at, until in self.shaken)]


@dataclass
class Judged:
    """What the rows say of the writes."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    seen: int = 0


def judge(ledger: Ledger, notes: Mapping[int, str]) -> Judged:
    """Hold the notes of all orders against what the writers were told."""
    judged, where = Judged(), defaultdict[tuple[str, int], list[int]](list)
    for order, note in notes.items():
        last: dict[str, int] = {}
        for key in marks(note):
            where[key].append(order)
            if last.get(key[0], 0) >= key[1] and order not in ledger.deleted:
                judged.reordered.append(f"{mark(*key)} behind {mark(key[0], last[key[0]])} in order {order}")
            last[key[0]] = max(last.get(key[0], 0), key[1])
    judged.seen = len(where)
    for key, told in ledger.told.items():
        if told is Told.DONE:
            wanted = set(ledger.orders.get(key, ())) - ledger.deleted
            judged.lost += [f"{mark(*key)} of order {order}" for order in sorted(wanted - set(where[key]))]
            if key not in ledger.orders and not where[key]:
                judged.lost.append(mark(*key))
        elif told is Told.NOT_DONE and where[key]:
            judged.doubled.append(f"{mark(*key)} was refused and is in {where[key]}")
    # One statement may write the same mark into many orders: twice is twice in one.
    for key, orders in where.items():
        doubled = [order for order, count in Counter(orders).items() if count > 1]
        judged.doubled += [f"{mark(*key)} twice in order {order}" for order in doubled]
    return judged
