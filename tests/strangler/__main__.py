"""`make strangler`: follow docs/how-to/leave-a-monolith.md from the first step to the last; the last line is JSON.

On PostgreSQL, Kafka and a schema registry of its own. A buyer and a reader use the shop through the gateway from the
first canary on, over every handover and back; what fails is counted, and at the end each row that they were promised
is looked for.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from devstack.harness import stack as stacks
from devstack.harness.interrupts import end_tidily
from tests.strangler import page
from tests.strangler.promises import kept, watched
from tests.strangler.walk import Lost, missing, walk

PARTS = ("postgres", "kafka", "registry")


def main() -> int:
    """Follow the page; return the exit code: 0 where every step did what it says and nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.strangler", description=__doc__)
    parser.add_argument("--until", metavar="HEADING", help="stop before the heading that begins so, as in '2.'")
    until = parser.parse_args().until
    if reason := missing():
        print(f"not run: {reason}")
        return 1
    end_tidily()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="waybill-strangler-") as name,
        stacks.running(Path(name) / "stack", only=PARTS) as stack,
        walk(stack, Path(name)) as walked,
        watched(walked) as visitors,
    ):
        try:
            walked.follow(page.blocks(until), visitors.at, visitors.stop)
        except Lost as error:
            print(error)
            return 1
        figures = {"seconds": round(time.monotonic() - began), **kept(walked, visitors)}
    print(json.dumps(figures))
    return int(bool(figures["failed_requests"] or figures["lost"]))


if __name__ == "__main__":
    sys.exit(main())
