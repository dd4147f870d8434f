"""`make chaos-migrate`: arguments, printing and the exit code. 0 nothing was lost, 1 something was, 2 usage."""

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from devstack.harness.interrupts import end_tidily
from tests.handover.stage import stage
from tests.handover.way import Outcome, Way


def main(arguments: Sequence[str]) -> int:
    """Go as many times as asked, each on a stage of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.handover", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of the first run (default: a new one, which is said)")
    parser.add_argument("--runs", type=int, default=3, help="each with a seed one higher (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="over and back in a run (default: %(default)s)")
    given = parser.parse_args(arguments)
    end_tidily()
    seed = given.seed if given.seed is not None else secrets.randbelow(10**6)
    outcomes = [_run(number, given.rounds) for number in range(seed, seed + given.runs)]
    total = {name: sum(one.counts[name] for one in outcomes) for name in outcomes[0].counts}
    total["hold_seconds"] = max(one.counts["hold_seconds"] for one in outcomes)
    print(json.dumps({"runs": len(outcomes), "handovers": sum(one.handovers for one in outcomes)} | total))
    return 1 if any(one.found for one in outcomes) else 0


def _run(seed: int, rounds: int) -> Outcome:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    say(f"seed {seed}")
    with (
        tempfile.TemporaryDirectory(prefix="waybill-handover-", ignore_cleanup_errors=True) as name,
        stage(Path(name)) as made,
    ):
        say("everything runs")
        outcome = Way(made, seed, rounds, say).run()
    for line in outcome.found[:50]:
        say(f"WRONG {line}")
    say(f"longest request {outcome.longest_request_seconds:.2f} s; refused and written elsewhere: {outcome.refused}")
    say(json.dumps({"seed": seed} | outcome.counts))
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
