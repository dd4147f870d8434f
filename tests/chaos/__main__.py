"""`python -m tests.chaos`: arguments, printing and the exit code only. 0 every check passed, 1 one failed, 2 usage."""

import argparse
import json
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from devstack.errors import DevstackError
from devstack.harness.interrupts import end_tidily
from tests.support import services


def parser() -> argparse.ArgumentParser:
    """Return the command line's shape."""
    top = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Load, faults, and three records that agree."
    )
    top.add_argument("--duration", type=float, default=180, metavar="SECONDS", help="of the faults (default: 180)")
    top.add_argument("--seed", type=int, default=None, help="of everything random (default: a new one, which is said)")
    top.add_argument("--rate", type=float, default=8, help="orders a second (default: 8)")
    top.add_argument(
        "--coverage", type=float, default=120, metavar="SECONDS", help="to see what was not seen by then (default: 120)"
    )
    top.add_argument(
        "--drain", type=float, default=180, metavar="SECONDS", help="until nothing is in flight (default: 180)"
    )
    top.add_argument("--only", default="", metavar="WORDS", help="only faults whose name has one of these, by comma")
    top.add_argument("--liveness", action="store_true", help="keep one part down for good at a time in place of faults")
    top.add_argument("--mutant", default="", help="break the product in a known way: the run must end with 1")
    top.add_argument("--list", action="store_true", help="show the faults and end")
    return top


def main(arguments: Sequence[str]) -> int:
    """Run once."""
    given = parser().parse_args(arguments)
    services.configure()
    from tests.chaos import faults, report
    from tests.chaos.session import session

    if given.list:
        for fault in faults.catalogue():
            print(f"{fault.name:40} {fault.seconds:5.1f} s  {fault.needs}")
        return 0
    seed = given.seed if given.seed is not None else secrets.randbelow(10**6)
    print(f"seed {seed}", flush=True)
    end_tidily()
    with tempfile.TemporaryDirectory(prefix="waybill-chaos-", ignore_cleanup_errors=True) as home:
        try:
            outcome = session(Path(home) / "stack", given, seed, Random(seed), lambda line: print(line, flush=True))
        except DevstackError as error:
            print(error, *error.details, sep="\n", file=sys.stderr)
            return 1
    print(*report.lines(outcome), sep="\n")
    if not outcome.passed:
        print(f"seed {seed}")
    print(json.dumps(outcome.counts))
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
