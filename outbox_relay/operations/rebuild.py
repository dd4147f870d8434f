"""Rows compared with what they come from, or set to it, by the service's own program: events, or others' topics."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from outbox_relay.operations.service_programs import run, unexpected
from outbox_relay.operations.topology import Topology
from waybill.runtime.reports import (
    CheckpointUnusable,
    CopiesRequest,
    FoldProgress,
    RepairRequest,
    Report,
    Request,
    RowDiffers,
    TopicIncomplete,
)


class Folding(NamedTuple):
    """Who is told of a fold: of each row that differs, of how far it is, and why its checkpoint is not used.

    With a folder, it starts at the checkpoint that stands there, and leaves one. `archive` is the folder of the events
    that have left the log.
    """

    differs: Callable[[RowDiffers], object]
    progress: Callable[[int, int], object]
    checkpoint_unusable: Callable[[str], object]
    checkpoints: Path | None = None
    archive: Path | None = None


class Reading(NamedTuple):
    """Who is told of a reading of topics: of each row that differs, of how far it is, and which records are gone."""

    differs: Callable[[RowDiffers], object]
    progress: Callable[[int, int], object]
    incomplete: Callable[[str], object]


def check(topology: Topology, service: str, folding: Folding) -> str | None:
    """Compare rows with their events' fold; returns why they could not be compared, if so. Blocks until all are."""
    return _fold(topology, service, ["rebuild"], folding)


def repair(topology: Topology, service: str, request: RepairRequest, folding: Folding) -> str | None:
    """Set rows to their events' fold. Tells of those that differed, a fold of None where one was left."""
    return _fold(topology, service, ["rebuild", "--repair"], folding, request)


def copies(topology: Topology, service: str, request: CopiesRequest, reading: Reading) -> str | None:
    """Compare copies of other services' data with the topics they come from, and set them where that is requested."""

    def take(report: Report) -> None:
        match report:
            case FoldProgress(done=done, total=total):
                reading.progress(done, total)
            case TopicIncomplete(reason=reason):
                reading.incomplete(reason)
            case RowDiffers():
                reading.differs(report)
            case _:
                raise unexpected(report)

    return run(topology, service, ["rebuild", "--copies"], take, request)


def _fold(
    topology: Topology, service: str, program: Sequence[str], folding: Folding, request: Request | None = None
) -> str | None:
    if folding.checkpoints:
        program = [*program, "--checkpoint", str(folding.checkpoints / f"{service}.fold")]
    if folding.archive:
        program = [*program, "--archive", str(folding.archive)]

    def take(report: Report) -> None:
        match report:
            case FoldProgress(done=done, total=total):
                folding.progress(done, total)
            case CheckpointUnusable(reason=reason):
                folding.checkpoint_unusable(reason)
            case RowDiffers():
                folding.differs(report)
            case _:
                raise unexpected(report)

    return run(topology, service, program, take, request)
