"""Ask each service's own program whether its rows are the fold of its events: this program knows no decider."""

import json
import os
import subprocess
import sys
from typing import Any, Final

from outbox_relay.places import CHECKOUT, SUFFIX, Places

DONE, DIFFERENT = 0, 1
COUNTS: Final = "events"


def check(places: Places, service: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows that differ, or why they could not be compared; blocks while every event is folded."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "chassis", f"{service}{SUFFIX}", "rebuild"],
        cwd=CHECKOUT,
        env={**os.environ, "WAYBILL_DATABASE_URL": places.databases[service]},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {DONE, DIFFERENT}:
        said = done.stderr.strip().splitlines()
        return [], said[-1] if said else f"ended with {done.returncode}"
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [{"service": service, **line} for line in lines if "aggregate_type" in line], None
