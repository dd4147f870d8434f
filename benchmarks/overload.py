"""`make bench-overload`: what one web program answers at twice the load that it can take.

One web program of the order service and a PostgreSQL of its own, on loopback. First the peak: closed loops of several
sizes, and the best of them. Then an open loop at twice that rate, which is what a service cannot hold back. Figures go
to results/overload.json; a --quick run keeps nothing. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.web_program import web_program
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import CHECKOUT

RESULTS: Final = Path(__file__).parent / "results" / "overload.json"
CLIENTS: Final = (8, 16, 32)
OVER: Final = 2
GOALS: Final = {"goodput_at_2x": 0.8, "p99_ms_at_2x": 1_000}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep."""
    end_tidily()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of a minute; keeps nothing")
    quick = parser.parse_args(arguments).quick
    seconds, repeats = (4, 1) if quick else (10, 3)
    with web_program() as web:
        port, subjects = web.port, " ".join(web.tokens)
        _load("closed", port, subjects, 8, seconds / 2)  # warm-up: connections, plans
        peaks = [_load("closed", port, subjects, clients, seconds) for clients in CLIENTS]
        peak = max(one["accepted_per_s"] for one in peaks)
        over = [_load("open", port, subjects, OVER * peak, seconds) for _ in range(repeats)]
        after = _load("closed", port, subjects, CLIENTS[0], seconds / 2)
    found = figures(peak, over)
    if not quick:
        kept = {"figures": found, "load_average": os.getloadavg()[0], "peak": peaks, "over": over, "after": after}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(found))


def figures(peak: float, over: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the medians of the runs at twice the peak."""
    middle = {name: statistics.median(one[name] or 0 for one in over) for name in ("accepted_per_s", "accepted_p99_ms")}
    return {
        "peak_rps": peak,
        "goodput_at_2x": round(middle["accepted_per_s"] / peak, 2),
        "p99_ms_at_2x": middle["accepted_p99_ms"],
        "refused": sum(one["refused"] for one in over),
        "unanswered": sum(one["unanswered"] for one in over),
    }


def _load(kind: str, port: int, subjects: str, much: float, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.http_load", kind, str(port), str(much), str(seconds)]
    done = subprocess.run(command, cwd=CHECKOUT, input=subjects, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{kind:6} {much:7.1f}: {done.stdout.strip()}", file=sys.stderr, flush=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
