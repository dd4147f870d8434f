"""`outbox rebuild`: rows held against the fold of their events, by the service's own program, or set to it."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_execution,
    code_of,
    named,
    refuse_silent_execution,
)
from outbox_relay.operations import rebuild as operation
from outbox_relay.operations.events import listing
from outbox_relay.operations.rebuild import Folding, Reading
from outbox_relay.operations.service_programs import projects, refuse_projects
from outbox_relay.operations.topology import Topology, UsageError
from waybill.runtime.reports import CopiesRequest, RepairRequest, RowDiffers

Line = dict[str, Any]
ROW_WIDTHS: Final = {"service": 12, "aggregate_type": 14, "aggregate_id": 36, "row": 30, "fold": 30}
FOLDS: Final = "rows that events fold to"
ABSENT: Final = "(no row)"


def _rebuild(given: Given, topology: Topology) -> int:
    if given.repair:
        return _repair(given, topology)
    if given.copies:
        return _copies(given, topology)
    if given.execute or given.aggregate is not None:
        raise UsageError(
            "--check writes nothing and compares everything; "
            "--execute goes with --repair or --copies, --aggregate with --repair"
        )
    refuse_projects(topology, topology.chosen(given.service) if given.service else (), FOLDS)
    services = topology.chosen(given.service)
    show = screen.shower(given, ROW_WIDTHS)
    found = False

    def take(difference: Line) -> None:
        nonlocal found
        found = True
        show(difference)

    failures = check(given, topology, services, take)
    code = code_of(dict.fromkeys(set(services) - failures.keys()), failures)
    return MISMATCH if found else code


def check(
    given: Given, topology: Topology, services: Sequence[str], differs: Callable[[Line], object]
) -> dict[str, str]:
    """Tell of every row that differs, as it is found; returns which services could not compare, and why.

    A project without deciders has nothing to compare.
    """
    failures: dict[str, str] = {}
    checkpoints, archive = read_checkpoints(given), read_archive(given)
    left_out = projects(topology, services)
    for service in (one for one in services if one not in left_out):

        def take(difference: RowDiffers, service: str = service) -> None:
            differs({"service": service, **asdict(difference)})

        with screen.progress(f"events and rows of {service}") as progress:
            folding = Folding(take, progress, screen.checkpoint_unusable(service), checkpoints, archive)
            failure = operation.check(topology, service, folding)
        if failure:
            failures[service] = failure
    return failures


def _repair(given: Given, topology: Topology) -> int:
    """Set rows to the fold of their events, or say what would be set; returns the exit code. Raises UsageError."""
    refuse_silent_execution(given)
    services = named(given, topology)
    refuse_projects(topology, services, FOLDS)
    only = _only(given)
    checkpoints, archive = read_checkpoints(given), read_archive(given)
    found: list[Line] = []
    failures: dict[str, str] = {}
    for service in services:

        def take(difference: RowDiffers, service: str = service) -> None:
            found.append({"service": service, **asdict(difference)})

        with screen.progress(f"events and rows of {service}") as progress:
            folding = Folding(take, progress, screen.checkpoint_unusable(service), checkpoints, archive)
            if given.execute:
                request = RepairRequest(given.by, given.reason, only)
                failure = operation.repair(topology, service, request, folding)
            else:
                failure = operation.check(topology, service, folding)
        if failure:
            failures[service] = failure
    found = [line for line in found if only in (None, (line["aggregate_type"], line["aggregate_id"]))]
    if given.json:
        screen.put_json(found)
    else:
        screen.put_table([cell for line in found for cell in _by_column(line)])
    if len(failures) < len(services):
        _tell(given, found)
    code = code_of(dict.fromkeys(set(services) - failures.keys()), failures)
    stays = [line for line in found if line["fold"] is None or not given.execute]
    return code or (MISMATCH if stays else DONE)


def _copies(given: Given, topology: Topology) -> int:
    """Set copies to what their topics say, or say what would be set; returns the exit code. Raises UsageError."""
    refuse_silent_execution(given)
    if any(one is not None for one in (given.aggregate, given.checkpoints, given.archive)):
        raise UsageError("--copies reads whole topics; --aggregate, --checkpoints and --archive go with --repair")
    found: list[Line] = []
    gone: list[str] = []
    failures: dict[str, str] = {}
    services = named(given, topology)
    refuse_projects(topology, services, FOLDS)
    for service in services:

        def take(difference: RowDiffers, service: str = service) -> None:
            found.append({"service": service, **asdict(difference)})

        with screen.progress(f"records of {service}'s copies") as progress:
            request = CopiesRequest(given.execute, given.by, given.reason)
            trouble = operation.copies(topology, service, request, Reading(take, progress, gone.append))
        if trouble:
            failures[service] = trouble
    if given.json:
        screen.put_json(found)
    else:
        screen.put_table([cell for line in found for cell in _by_column(line)])
    for reason in gone:
        screen.tell(f"no row is removed or set to an older version: {reason}")
    if len(failures) < len(services):
        dry = "" if given.execute else "dry run: "
        done = " set to" if given.execute else "; --execute --reason '…' sets them to"
        screen.tell(f"{dry}{len(found)} rows{done} what the topics say" if found else "no copy differs from its topic")
    code = code_of(dict.fromkeys(set(services) - failures.keys()), failures)
    return code or (MISMATCH if gone or (found and not given.execute) else DONE)


def _only(given: Given) -> tuple[str, str] | None:
    if given.aggregate is None:
        return None
    kind, key = listing.aggregate(given.aggregate)
    if kind is None:
        raise UsageError(f"{given.aggregate!r} names no type; write TYPE/ID, as in order/{given.aggregate}")
    return kind, key


def _by_column(line: Line) -> Iterator[Line]:
    row, fold = line["row"], line["fold"]
    for column in fold or row:
        yield {
            "service": line["service"],
            "aggregate": f"{line['aggregate_type']}/{line['aggregate_id']}",
            "column": column,
            "row": ABSENT if row is None else row[column],
            "fold": "(no events)" if fold is None else fold[column],
        }


def _tell(given: Given, found: Sequence[Line]) -> None:
    alone = sum(line["fold"] is None for line in found)
    if not found:
        screen.tell("no row differs from the fold of its events")
    elif given.execute:
        screen.tell(f"{len(found) - alone} rows set to the fold of their events")
    else:
        screen.tell(f"dry run: {len(found) - alone} rows; --execute --reason '…' sets them to the fold")
    if alone:
        screen.tell(f"{alone} rows have no events and are left as they are: there is nothing to set them to")


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """Take the folder of the folds' checkpoints."""
    parser.add_argument(
        "--checkpoints",
        metavar="DIR",
        help="keep the fold of each service's events in this folder, and start there the next time",
    )
    parser.add_argument(
        "--archive", metavar="DIR", help="the folder of the events that outbox partitions drop has taken from the log"
    )


def read_checkpoints(given: Given) -> Path | None:
    """Return the folder of the folds' checkpoints, where one was given; raises UsageError."""
    return _folder("--checkpoints", given.checkpoints)


def read_archive(given: Given) -> Path | None:
    """Return the folder of the archived events, where one was given; raises UsageError."""
    return _folder("--archive", given.archive)


def _folder(option: str, text: str | None) -> Path | None:
    if text is None:
        return None
    folder = Path(text).absolute()
    if not folder.is_dir():
        raise UsageError(f"{option} {text} is no folder; make it first")
    return folder


def _arguments(parser: argparse.ArgumentParser) -> None:
    """Take what chooses between comparing and repairing, and what a repair needs."""
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("--check", action="store_true", help="compare, and write nothing")
    either.add_argument("--repair", action="store_true", help="set what differs to the fold; needs --service")
    either.add_argument(
        "--copies",
        action="store_true",
        help="set copies of other services' data to what their topics say, read from the first record on",
    )
    parser.add_argument("--aggregate", metavar="TYPE/ID", help="with --repair: only this row, as in order/0198…")
    add_checkpoints(parser)
    add_execution(parser)


VERBS: Final = {
    "rebuild": Verb(
        _rebuild,
        "Fold every event again and list the rows that it does not lead to; --repair --execute sets them to the fold. "
        "With --copies: read the topics of a service's copies of other services' data and compare the copies.",
        "outbox rebuild --check --service inventory",
        _arguments,
    ),
}
