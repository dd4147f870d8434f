"""What only a service's own program can do, asked of it: this program knows no decider and no reaction."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, NamedTuple, cast
from uuid import UUID

from outbox_relay.cli import screen
from outbox_relay.databases import full_name
from outbox_relay.operations.places import CHECKOUT, Places

DONE, DIFFERS = 0, 3  # 1 is Python's own, for a crash
LOG_LINE: Final = "program"  # what a line of the log has, and a line of data has not

Line = dict[str, Any]


class Folding(NamedTuple):
    """What a fold hands on: each row that differs, and how far it is, as events and rows done and all there are.

    With a folder, it starts at the checkpoint that stands there, and leaves one.
    """

    differs: Callable[[Line], object]
    progress: Callable[[int, int], object]
    checkpoints: Path | None = None


def check(places: Places, service: str, folding: Folding) -> str | None:
    """Compare rows with their events' fold; returns why they could not be compared, if so. Blocks until all are."""
    return _fold(places, service, ["rebuild"], folding)


def mend(places: Places, service: str, told: Line, folding: Folding) -> str | None:
    """Set rows to their events' fold: `told` has `by`, `reason` and `only`, type and id of one or None.

    Hands on the rows that differed, with a fold of None where one was left; else as `check`.
    """
    return _fold(places, service, ["rebuild", "--mend"], folding, json.dumps(told))


def _fold(places: Places, service: str, program: Sequence[str], folding: Folding, told: str = "") -> str | None:
    if folding.checkpoints:
        program = [*program, "--checkpoint", str(folding.checkpoints / f"{service}.fold")]

    def take(line: Line) -> None:
        if line.get("event") == "folded":
            folding.progress(line["done"], line["total"])
        elif line.get("event") == "checkpoint_not_used":
            screen.tell(f"{service}: the checkpoint is not used, everything is folded: {line['reason']}")
        elif "aggregate_type" in line:
            folding.differs({"service": service, **line})

    return _run(places, service, program, take, told)


def redrive(places: Places, service: str, messages: Sequence[UUID], took: Callable[[Line], object]) -> str | None:
    """Handle these dead letters of the service again; `took` gets what came of each. Returns why it broke off.

    Blocks until it has ended.
    """

    def take(line: Line) -> None:
        if LOG_LINE not in line:
            took(line)

    return _run(places, service, ["redrive", "--only"], take, "\n".join(map(str, messages)))


def settle(places: Places, service: str, asked: Mapping[str, Any]) -> tuple[Line, str | None]:
    """Let the service settle a task, or say what that would do; returns what it answers, or why there is no answer.

    The answer of one that is refused has `refused` alone. Blocks until it has ended.
    """
    answer: Line = {}

    def take(line: Line) -> None:
        if LOG_LINE not in line:
            answer.update(line)

    failure = _run(places, service, ["settle"], take, json.dumps(asked))
    return answer, failure or (None if answer else "settle ended without an answer")


def _run(
    places: Places, service: str, program: Sequence[str], take: Callable[[Line], object], told: str = ""
) -> str | None:
    with TemporaryFile("w+") as errors, TemporaryFile("w+") as given:
        given.write(told)
        given.seek(0)
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "waybill", full_name(service), *program],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "WAYBILL_DATABASE_URL": places.databases[service],
                "WAYBILL_LOG_LEVEL": "debug",  # how far it is
            },
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with process:
            try:
                for line in cast("IO[str]", process.stdout):
                    if line.startswith("{"):
                        take(json.loads(line))
            except BaseException:
                process.kill()  # what it was in the middle of is rolled back
                raise
        if process.returncode in {DONE, DIFFERS}:
            return None
        errors.seek(0)
        return next(reversed(errors.read().strip().splitlines()), f"{program[0]} ended with {process.returncode}")
