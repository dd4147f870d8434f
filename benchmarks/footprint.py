"""What each program takes, in memory and CPU: `python -m benchmarks.footprint`.

A stack of its own carries orders from POST to CONFIRMED, 50 at a time. Memory is the most that was resident since the
program started, CPU what an order cost, start and warm-up left out. Figures go to results/footprint.json, from which
deploy/kubernetes has what its programs ask a node for. The last line is one JSON object.
"""

import argparse
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.saga import AFTERWARDS_SECONDS, Waybill
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import Stack, running

RESULTS: Final = Path(__file__).parent / "results" / "footprint.json"
ORDERS: Final = 3_000
IN_FLIGHT: Final = 50
WARM_UP: Final = 500


def measured(stack: Stack, orders: int) -> dict[str, Any]:
    """Carry so many orders, and return what each program took."""
    ours = Waybill(stack)
    load_before = os.getloadavg()[0]
    ours.run(WARM_UP, IN_FLIGHT)
    before, began = ours.cpu_seconds(), time.monotonic()
    ours.run(orders, IN_FLIGHT)
    rate = orders / (time.monotonic() - began)
    time.sleep(AFTERWARDS_SECONDS)  # what is done after the last answer belongs to the cost
    after = ours.cpu_seconds()
    programs = {
        name: {
            "peak_mib": round(peak_mib(stack.pid(name)), 1),
            "cpu_ms": round((after[name] - before[name]) * 1000 / orders, 2),
        }
        for name in sorted(after)
        if "." in name
    }
    return {
        "orders": orders,
        "in_flight": IN_FLIGHT,
        "orders_per_second": round(rate, 1),
        "load_before": round(load_before, 1),
        "programs": programs,
    }


def peak_mib(pid: int) -> float:
    """Return the most that a process had resident at once."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    """Measure, keep the figures and print them."""
    end_tidily()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--orders", type=int, default=ORDERS, help="how many; fewer than %(default)s keep nothing")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="waybill-bench-", ignore_cleanup_errors=True) as folder,
        running(Path(folder)) as stack,
    ):
        found = measured(stack, chosen.orders)
    for name, one in found["programs"].items():
        print(f"{name:24} {one['peak_mib']:6.1f} MiB  {one['cpu_ms']:5.2f} ms CPU an order")
    if chosen.orders >= ORDERS:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
