"""What the `outbox` command asks of a service's own program, and what that reports: the protocol between the two.

The command knows no decider and no reaction, so `rebuild`, `redrive`, `settle`, `reschedule` and
`cancel-task` run `python -m waybill SERVICE …`;
for a Django project without deciders `redrive` runs its management command of that name. The request is one JSON object
on the program's standard input. Reports are JSON lines on its standard output, each with its `kind`. Nothing else can
be written there: while the channel is open, the log and whatever any code prints go to stderr. Both ends come from one
release, so a line that is no report is an error and is not passed over.
"""

import json
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar, cast

from waybill.database.sqlstate import may_succeed_later, one_line

DONE, DIFFERS, DEPENDENCY_DOWN = 0, 3, 4
"""Exit codes: all done; something differs, stays or is refused; a database does not answer. 1 is Python's own."""


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """Set rows to the fold of their events: all that differ, or the one of this type and id."""

    by: str
    reason: str
    only: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class CopiesRequest:
    """Compare copies of other services' data with the topics they come from; with `execute`, set them."""

    execute: bool
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class RedriveRequest:
    """Handle these dead letters again, by the ids of their rows; `rate`: a second at most, None for no limit.

    `job`: the redrive job with which the outcomes are noted, None for none.
    """

    only: Sequence[str]
    job: str | None = None
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class SettleRequest:
    """Settle the due task of one aggregate; without `execute`, report what that would do."""

    key: str
    reference: str | None
    execute: bool
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class RescheduleRequest:
    """Attempt a due task at another time, by the id of its row: RFC 3339, or now where none is said."""

    id: int
    at: str | None
    execute: bool
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class CancelTaskRequest:
    """End a due task without its attempt, by the id of its row."""

    id: int
    execute: bool
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class FoldProgress:
    """Events and rows done, and how many there are."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class CheckpointUnusable:
    """Everything is folded, and not only what came after the checkpoint."""

    reason: str


@dataclass(frozen=True, slots=True)
class RowDiffers:
    """A row that its events do not lead to, with the columns that differ; None where there is no row, or no event."""

    aggregate_type: str
    aggregate_id: str
    row: Mapping[str, Any] | None
    fold: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class TopicIncomplete:
    """A record of a copy cannot be had: no row is removed, and none set to an older version."""

    reason: str


@dataclass(frozen=True, slots=True)
class MessageRedriven:
    """What came of one dead letter; `failure` is None where it was handled.

    `ignored`: why it was handled without an effect, None where it had one.
    """

    topic: str
    key: str
    place: str
    event_type: str | None
    failure: str | None
    ignored: str | None = None


@dataclass(frozen=True, slots=True)
class TaskSettled:
    """The row as it stood, and the events that end its task: type and payload of each."""

    aggregate: str
    task: str
    row: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TaskRescheduled:
    """What the task does, when it was due, and when it is now, or would be."""

    aggregate: str
    task: str
    does: str
    was: str
    due_at: str


@dataclass(frozen=True, slots=True)
class SettlementRefused:
    """The decider, or the task itself, refuses what was asked; nothing is changed."""

    reason: str


@dataclass(frozen=True, slots=True)
class ProgramFailed:
    """The program ends without having done all that was asked."""

    reason: str


Request = RepairRequest | CopiesRequest | RedriveRequest | SettleRequest | RescheduleRequest | CancelTaskRequest
SomeRequest = TypeVar(
    "SomeRequest", RepairRequest, CopiesRequest, RedriveRequest, SettleRequest, RescheduleRequest, CancelTaskRequest
)
Report = (
    FoldProgress
    | CheckpointUnusable
    | RowDiffers
    | TopicIncomplete
    | MessageRedriven
    | TaskSettled
    | TaskRescheduled
    | SettlementRefused
    | ProgramFailed
)
KINDS: Final[Mapping[str, type[Report]]] = {
    "fold_progress": FoldProgress,
    "checkpoint_unusable": CheckpointUnusable,
    "row_differs": RowDiffers,
    "topic_incomplete": TopicIncomplete,
    "message_redriven": MessageRedriven,
    "task_settled": TaskSettled,
    "task_rescheduled": TaskRescheduled,
    "settlement_refused": SettlementRefused,
    "program_failed": ProgramFailed,
}
KIND_OF: Final = {report: kind for kind, report in KINDS.items()}


class NotAReport(Exception):
    """A line on the program's standard output is no report of this release."""


@contextmanager
def channel() -> Generator[Callable[[Report], None]]:
    """Keep this process's standard output for reports, for good; yields what writes one, at once."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stream:
        os.dup2(2, 1)

        def report(one: Report) -> None:
            stream.write(in_json(one) + "\n")
            stream.flush()

        yield report


@contextmanager
def failures_reported(report: Callable[[Report], None]) -> Generator[None]:
    """Report an error that may pass by itself, and exit with 4; any other is a crash."""
    try:
        yield
    except Exception as error:
        if not may_succeed_later(error):
            raise
        report(ProgramFailed(one_line(error)))
        sys.exit(DEPENDENCY_DOWN)


def in_json(report: Report) -> str:
    """Return the report as a JSON line; what JSON has no form for becomes text."""
    return json.dumps({"kind": KIND_OF[type(report)], **asdict(report)}, default=str)


def from_json(line: str) -> Report:
    """Return the report that a line is. Raises NotAReport."""
    try:
        fields = cast("dict[str, Any]", json.loads(line))
        return KINDS[fields.pop("kind")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotAReport(f"{line.strip()[:200]!r} is no report") from None


def request_in_json(request: Request) -> str:
    """Return the request as the program reads it."""
    return json.dumps(asdict(request))


def read_request(kind: type[SomeRequest]) -> SomeRequest:
    """Return the request on standard input. Raises SystemExit where it is none of this kind."""
    try:
        fields = cast("dict[str, Any]", json.load(sys.stdin))
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise SystemExit(f"the standard input is no {kind.__name__} as JSON: {error}") from None
