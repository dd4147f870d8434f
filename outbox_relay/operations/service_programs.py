"""What only a service's own program can do, asked of it: this program knows no decider and no reaction.

The protocol is `waybill.runtime.reports`. The program is this interpreter's, with the same environment.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple, cast
from uuid import UUID

from outbox_relay.databases import full_name
from outbox_relay.operations.topology import CHECKOUT, Topology
from waybill.runtime import reports
from waybill.runtime.reports import (
    CheckpointUnusable,
    Failed,
    FoldProgress,
    MendRequest,
    MessageRedriven,
    RedriveRequest,
    Refused,
    Report,
    Request,
    RowDiffers,
    SettleRequest,
    TaskSettled,
)


class Folding(NamedTuple):
    """Who is told of a fold: of each row that differs, of how far it is, and why its checkpoint is not used.

    With a folder, it starts at the checkpoint that stands there, and leaves one.
    """

    differs: Callable[[RowDiffers], object]
    progress: Callable[[int, int], object]
    checkpoint_unusable: Callable[[str], object]
    checkpoints: Path | None = None


def check(topology: Topology, service: str, folding: Folding) -> str | None:
    """Compare rows with their events' fold; returns why they could not be compared, if so. Blocks until all are."""
    return _fold(topology, service, ["rebuild"], folding)


def mend(topology: Topology, service: str, request: MendRequest, folding: Folding) -> str | None:
    """Set rows to their events' fold. Tells of those that differed, a fold of None where one was left."""
    return _fold(topology, service, ["rebuild", "--mend"], folding, request)


def _fold(
    topology: Topology, service: str, program: Sequence[str], folding: Folding, request: Request | None = None
) -> str | None:
    if folding.checkpoints:
        program = [*program, "--checkpoint", str(folding.checkpoints / f"{service}.fold")]

    def take(report: Report) -> None:
        match report:
            case FoldProgress(done=done, total=total):
                folding.progress(done, total)
            case CheckpointUnusable(reason=reason):
                folding.checkpoint_unusable(reason)
            case RowDiffers():
                folding.differs(report)
            case MessageRedriven() | TaskSettled() | Refused() | Failed():
                raise _unexpected(report)

    return _run(topology, service, program, take, request)


def redrive(
    topology: Topology, service: str, messages: Sequence[UUID], took: Callable[[MessageRedriven], object]
) -> str | None:
    """Handle these dead letters of the service again; `took` gets what came of each. Returns why it broke off.

    Blocks until it has ended.
    """

    def take(report: Report) -> None:
        if not isinstance(report, MessageRedriven):
            raise _unexpected(report)
        took(report)

    return _run(topology, service, ["redrive", "--only"], take, RedriveRequest([*map(str, messages)]))


def settle(topology: Topology, service: str, request: SettleRequest) -> TaskSettled | Refused | Failed:
    """Let the service settle a task, or say what that would do. Blocks until it has ended."""
    answers: list[TaskSettled | Refused] = []

    def take(report: Report) -> None:
        if not isinstance(report, TaskSettled | Refused):
            raise _unexpected(report)
        answers.append(report)

    failure = _run(topology, service, ["settle"], take, request)
    if failure or not answers:
        return Failed(failure or "settle ended without an answer")
    return answers[-1]


def _unexpected(report: Report) -> reports.NotAReport:
    return reports.NotAReport(f"{reports.in_json(report)} is no answer to what was asked")


def _run(
    topology: Topology, service: str, program: Sequence[str], take: Callable[[Report], object], request: Request | None
) -> str | None:
    """Run a program to its end; returns why it could not do what was asked, if so."""
    with TemporaryFile("w+") as errors, TemporaryFile("w+") as asked:
        asked.write(reports.request_in_json(request) if request else "")
        asked.seek(0)
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "waybill", full_name(service), *program],
            cwd=CHECKOUT,
            env={**os.environ, "WAYBILL_DATABASE_URL": topology.databases[service]},
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        failure: str | None = None
        with process:
            try:
                for line in cast("IO[str]", process.stdout):
                    report = reports.from_json(line)
                    if isinstance(report, Failed):
                        failure = report.reason
                    else:
                        take(report)
            except BaseException as error:
                process.kill()  # what it was in the middle of is rolled back
                if isinstance(error, reports.NotAReport):
                    return f"{program[0]}: {error}"
                raise
        if failure or process.returncode in {reports.DONE, reports.DIFFERS}:
            return failure
        errors.seek(0)
        return next(reversed(errors.read().strip().splitlines()), f"{program[0]} ended with {process.returncode}")
