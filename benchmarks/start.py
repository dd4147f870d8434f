"""How long `make up` takes to be ready: first starts in folders of their own, and the median of them.

Kafka and the registry are downloaded before. Nothing else should be running: the load of the machine is printed.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
READY = re.compile(r"ready in ([\d.]+) s \(longest: (.*)\)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Start and wipe; print each start and the median."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="how many starts (default: 5)")
    repeats = parser.parse_args(arguments).repeats
    _devstack(os.environ, "download")
    taken: list[float] = []
    for n in range(repeats):
        seconds, longest = _first_start()
        taken.append(seconds)
        print(f"start {n + 1}: {seconds:.1f} s, longest {longest}; load average {os.getloadavg()[0]:.1f}", flush=True)
    print(f"median of {repeats}: {statistics.median(taken):.1f} s on {os.cpu_count()} cores")


def _first_start() -> tuple[float, str]:
    with tempfile.TemporaryDirectory(prefix="waybill-start-", ignore_cleanup_errors=True) as home:
        environment = {**os.environ, "WAYBILL_HOME": str(Path(home, "stack"))}
        try:
            said = _devstack(environment, "up")
        finally:
            _devstack(environment, "reset")
    found = READY.search(said)
    if found is None:
        raise SystemExit(f"the start did not say how long it took: {said[-500:]}")
    return float(found[1]), found[2]


def _devstack(environment: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "devstack", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
