"""The record of moves: `moves.jsonl` in the gateway's folder, only ever added to, and one move at a time of a route.

A move has a line when it begins and one when it ends. A command that was killed leaves the first without the second,
and the kernel takes its lock back: that is how `status` knows. What the route was before and after stands in the first
line, so whether the move is in effect is seen from the documents, and not from how far the command came.
"""

import fcntl
import json
import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from waybill.gateway.documents.document import Document
from waybill.gateway.moving.moves import is_as
from waybill.observability.telemetry import new_id

FILE: Final = "moves.jsonl"
WAIT_SECONDS: Final = 0.3  # longer than `status` looks whether the lock is held
NOT_IN_EFFECT: Final = frozenset({"taken_back", "not_begun"})


class Taken(Exception):
    """Somebody else moves this route; the message says who, and since when."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A move as it was begun."""

    id: str
    at: str
    verb: str
    route: str
    by: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]
    result: str | None = None
    """How it ended; None where nothing tells: it is under way, or its command was killed."""
    undoes: str | None = None
    """Of a rollback: the move that it takes back."""

    def is_in_effect(self, now: Document) -> bool:
        """Tell whether the route is as this move left it; of one that has ended, by how it ended."""
        if self.result is None:
            return is_as(now, self.after)
        return self.result not in NOT_IN_EFFECT


def begin(folder: Path, **facts: Any) -> str:
    """Add that a move begins; returns its id. Raises OSError."""
    number = new_id()
    _append(folder, {"id": number, "event": "begun", **facts})
    return number


def end(folder: Path, number: str, route: str, result: str, **observed: Any) -> None:
    """Add how a move ended. Raises OSError."""
    _append(folder, {"id": number, "event": "ended", "route": route, "result": result, **observed})


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return every line; half a line, of a command that was killed as it wrote, is passed over."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return list(_read(text.splitlines()))


def _read(every: Iterable[str]) -> Generator[dict[str, Any]]:
    for line in every:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def moves(folder: Path, route: str) -> list[Begun]:
    """Return the moves of a route, the oldest first."""
    found: dict[str, Begun] = {}
    names = Begun.__dataclass_fields__
    for line in lines(folder):
        if line.get("route") != route:
            continue
        if line["event"] == "begun":
            found[line["id"]] = Begun(**{name: value for name, value in line.items() if name in names})
        elif line["id"] in found:
            found[line["id"]] = Begun(**{**vars(found[line["id"]]), "result": line["result"]})
    return list(found.values())


def to_undo(folder: Path, now: Document) -> Begun | None:
    """Return the last move of a route that is in effect; None where there is none."""
    standing = list[Begun]()
    for one in moves(folder, now.name):
        if not one.is_in_effect(now):
            continue
        if one.undoes is None:
            standing.append(one)
        else:
            standing = [other for other in standing if other.id != one.undoes]
    return standing[-1] if standing else None


def unfinished(folder: Path, route: str) -> Begun | None:
    """Return the last move of a route where nothing tells how it ended; None where that is known."""
    every = moves(folder, route)
    return every[-1] if every and every[-1].result is None else None


@contextmanager
def alone(folder: Path, route: str, by: str) -> Generator[None]:
    """Hold a route for the block. Raises Taken where another command does."""
    with (folder / f".moving-{route}").open("a+") as file:
        deadline = time.monotonic() + WAIT_SECONDS
        while not _locked(file):
            if time.monotonic() > deadline:
                file.seek(0)
                raise Taken(f"route {route} is being moved: {file.read().strip() or 'just begun'}")
            time.sleep(0.02)
        file.truncate(0)
        file.write(f"by {by} since {now()}, process {os.getpid()}")
        file.flush()
        yield


def holder(folder: Path, route: str) -> str | None:
    """Return who moves a route just now; None where nobody does."""
    try:
        with (folder / f".moving-{route}").open() as file:
            return None if _locked(file) else f"route {route} is being moved: {file.read().strip()}"
    except FileNotFoundError:
        return None


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def now() -> str:
    """Return the time as it is recorded."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _append(folder: Path, line: dict[str, Any]) -> None:
    text = json.dumps({"at": now(), **line})
    with os.fdopen(os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            text = "\n" + text  # after half a line
        file.write(text.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
