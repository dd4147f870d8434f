"""Which faults a machine and its user allow, and the run with them on a stack of its own."""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.chaos import faults, liveness, plan, run, stage
from tests.chaos.run import Outcome

WHY = {
    "links": "there is no toxiproxy: it is built where Go is installed",
    "clock": "there is no C compiler, or this is not Linux",
    "disk": "only root can mount a small disk",
}

# The console decides nothing, and its programs would only make the machine busier.
PARTS = "order,inventory,payment,notification"


def session(home: Path, given: argparse.Namespace, seed: int, rng: Random, say: Callable[[str], None]) -> Outcome:
    """Start a stack, run, and stop it; says which faults are left out, and why."""
    home.mkdir()
    wrapper = ("tests.chaos.mutants", given.mutant) if given.mutant else ()
    with stage.running(home, wrapper=wrapper, services=PARTS) as running:
        if given.liveness:
            return _kept(running, liveness.run(running, given.duration, seed, given.rate, say), say)
        chosen = []
        for fault in faults.catalogue():
            has = {"links": running.links, "clock": running.clock.library, "disk": running.disk.is_mounted, "": True}
            if has[fault.needs]:
                chosen.append(fault)
            else:
                say(f"left out: {fault.name} ({WHY[fault.needs]})")
        words = [word.strip() for word in given.only.split(",") if word.strip()]
        chosen = [fault for fault in chosen if not words or any(word in fault.name for word in words)]
        steps = plan.steps(chosen, given.duration, rng)
        left = sorted({fault.name for fault in chosen} - {fault.name for step in steps for fault in step})
        if left:
            say(f"not in a run of {given.duration:.0f} s: {', '.join(left)}")
        deadlines = run.Deadlines(coverage=given.coverage, drain=given.drain)
        return _kept(running, run.run(running, steps, seed, given.rate, say, deadlines), say)


def _kept(running: stage.Stage, outcome: Outcome, say: Callable[[str], None]) -> Outcome:
    """Keep the logs of a run that failed."""
    if not outcome.passed:
        kept = Path(tempfile.mkdtemp(prefix="waybill-chaos-log-"))
        shutil.copytree(running.folder.log, kept, dirs_exist_ok=True)
        say(f"the programs' logs: {kept}")
    return outcome
