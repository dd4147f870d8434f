"""What only a service's own program can do, asked of it: this program knows no decider and no reaction."""

import json
import os
import subprocess
import sys
from typing import Any, Final, Literal

from outbox_relay.places import CHECKOUT, SUFFIX, Places

DONE, DIFFERENT = 0, 1
LOG_LINE: Final = "program"  # what a line of the log has, and a line of data has not


def run(
    places: Places, service: str, program: Literal["rebuild", "redrive"]
) -> tuple[list[dict[str, Any]], str | None]:
    """Return what the program printed, and why it broke off, if it did; blocks until it has ended."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "chassis", f"{service}{SUFFIX}", program],
        cwd=CHECKOUT,
        env={**os.environ, "WAYBILL_DATABASE_URL": places.databases[service]},
        capture_output=True,
        text=True,
        check=False,
    )
    trouble = None
    if done.returncode not in {DONE, DIFFERENT}:
        trouble = next(reversed(done.stderr.strip().splitlines()), f"{program} ended with {done.returncode}")
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [{"service": service, **line} for line in lines if LOG_LINE not in line], trouble


def check(places: Places, service: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows that differ from their events' fold, or why they could not be compared."""
    lines, trouble = run(places, service, "rebuild")
    return [line for line in lines if "aggregate_type" in line], trouble
