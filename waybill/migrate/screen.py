"""What the command prints: text or JSON lines on stdout; what it waits for and how far it is on stderr.

Keys and values of rows are anybody's text, and a terminal obeys some of it: what is not printable is escaped.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # `check` prints for a project that has no tables of Waybill yet, whose models cannot be imported
    from collections.abc import Mapping

    from waybill.migrate.ownership.handover import GivenUp
    from waybill.migrate.ownership.moving import HandedOver
    from waybill.migrate.plan import Plan
    from waybill.migrate.status import Status
    from waybill.migrate.verify import Difference, Verified

BAR: Final = 30
LISTED: Final = 20
LINE_SECONDS: Final = 10.0  # between two lines where stderr is no terminal, and a bar would fill a log


def put(line: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print a line of the answer: as an object in printable ASCII, or as text."""
    said = json.dumps(line, default=str).replace("\x7f", "\\u007f") if as_json else printable(text)
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


def put_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what a plan found."""
    name = plan.aggregate
    for kind, findings in (("finding", plan.findings), ("note", plan.notes)):
        for one in findings:
            where = f"{one.table}.{one.column}" if one.column else one.table
            rows = "" if one.rows is None else f" ({one.rows} rows, as {', '.join(one.keys)})"
            text = f"{name}: {'note: ' if kind == 'note' else ''}{where}: {one.what}{rows}"
            put({"kind": kind, "aggregate": name, **one._asdict()}, text, as_json=as_json)
    line = {"kind": "plan", "aggregate": name, "rows": plan.rows, "ok": not plan.findings}
    put(line, f"{name}: {plan.rows} rows read, {len(plan.findings)} findings", as_json=as_json)


def put_verified(verified: Verified, *, as_json: bool) -> None:
    """Print what differs, and how much was compared."""
    name = verified.aggregate
    for one in verified.differences:
        put_difference(name, one, as_json=as_json)
    counts = {"compared": verified.compared, "read_again": verified.again, "differ": len(verified.differences)}
    text = ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in counts.items())
    put({"kind": "verify", "aggregate": name, **counts}, f"{name}: {text}", as_json=as_json)


def put_handed_over(done: HandedOver, verb: str, *, as_json: bool) -> None:
    """Print that the other side owns now."""
    before = f"{done.verified} rows compared before, {done.rounds} rounds"
    how = "a killed command's handover is completed" if done.was_completed else before
    text = (
        f"{done.aggregate}: {verb} is done, epoch {done.epoch}; writes were held for {done.hold_seconds:.2f} s; {how}"
    )
    put({"kind": "handover", "verb": verb, "result": "done", **asdict(done)}, text, as_json=as_json)


def put_given_up(name: str, verb: str, error: GivenUp, *, as_json: bool) -> None:
    """Print why nothing has changed, and some of what differs."""
    for one in error.differences[:LISTED]:
        put_difference(name, one, as_json=as_json)
    line = {"kind": "handover", "aggregate": name, "verb": verb, "result": "old state", "reason": str(error)}
    text = f"{name}: {verb} was given up, and this side owns as before: {error}"
    put(line | {"differ": len(error.differences)}, text, as_json=as_json)


def put_difference(name: str, one: Difference, *, as_json: bool) -> None:
    """Print one aggregate that is not the same on both sides."""
    fields = "".join(f"; {field}: {ours!r} here, {theirs!r} there" for field, (ours, theirs) in one.fields.items())
    text = f"{name}: key {one.key}, {one.aggregate_id}: {one.what}{fields}"
    put({"kind": "difference", "aggregate": name, **asdict(one)}, text, as_json=as_json)


def put_status(status: Status, *, as_json: bool) -> None:
    """Print how far one kind of aggregate is."""
    oldest = "" if status.oldest_seconds is None else f", the oldest for {status.oldest_seconds:.0f} s"
    text = (
        f"{status.aggregate}: {_ownership(status)};"
        f" capture {'on' if status.capture_is_on else 'off or not as the mapping says'};"
        f" backfill {status.backfill}, {status.backfill_queued} keys queued of about {status.rows};"
        f" {status.queued} waiting{oldest}; {status.told} told, {status.deleted} deleted; {status.held} held"
    )
    put({"kind": "status", **asdict(status)}, text, as_json=as_json)
    for held in () if as_json else status.held_keys:
        put({}, f"{status.aggregate}: held: key {held['key']}: {held['reason']}", as_json=False)


def _ownership(status: Status) -> str:
    if status.leaving:
        return f"LEAVING (epoch {status.epoch}): nobody owns it until `migrate run` has completed the handover"
    held = f", writes held for {status.held_seconds:.1f} s" if status.held_seconds else ""
    finished = f", finished {status.finished_at}" if status.finished_at else ""
    if status.is_owner:
        return f"owned here (epoch {status.epoch}){finished}{held}"
    refuses = "refused" if status.refuses_writes else "NOT REFUSED: run `migrate receive on`"
    return f"owned there (epoch {status.epoch}){finished}{held}, writes here are {refuses}"


def tell(text: str) -> None:
    """Say something that is not the answer."""
    sys.stderr.write(f"migrate: {printable(text)}\n")


def printable(text: str) -> str:
    """Return the text with all escaped that a terminal would obey."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class Progress:
    """A bar on a terminal, else a line every ten seconds."""

    def __init__(self, what: str) -> None:
        """Say nothing yet."""
        self._what, self._is_terminal, self._told_at = what, sys.stderr.isatty(), time.monotonic()

    def __call__(self, done: int, total: int, waits_for: str = "") -> None:
        """Show how far it is, and what it waits for."""
        now = time.monotonic()
        if now - self._told_at < (0.1 if self._is_terminal else LINE_SECONDS):
            return
        self._told_at = now
        said = f"{self._what}: {done} of about {max(done, total)}" + (f", waits: {waits_for}" if waits_for else "")
        if not self._is_terminal:
            tell(said)
            return
        filled = BAR * done // max(done, total, 1)
        sys.stderr.write(f"\r\x1b[K[{'#' * filled}{'.' * (BAR - filled)}] {printable(said)}")
        sys.stderr.flush()

    def end(self) -> None:
        """Remove the bar."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
