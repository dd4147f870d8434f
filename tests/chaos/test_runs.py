"""A short run ends well; with a broken product it does not."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from devstack.harness.stack import CHECKOUT
from tests.chaos.mutants import MUTANTS

RUN_SECONDS = 800
STOP_SECONDS = 90

# A run ends as soon as it has seen what it needs: a minute and a half where nothing else runs.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(RUN_SECONDS + 2 * STOP_SECONDS)]

ROBUST = (
    "kill -9 relay,kill -9 consumer,kill -9 worker,kill -9 at relay.acknowledged,kill -9 at consumer.committed,"
    "freeze before commit"
)

# Of the broken products; `make chaos-mutants` has them all, for minutes that CI has not.
IN_CI = ("publish-before-commit", "refund-dropped")


def chaos(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run it; returns its exit code, its last line, and all that it said."""
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        try:
            said, _ = run.communicate(timeout=RUN_SECONDS)
        finally:
            if run.poll() is None:
                run.terminate()  # it stops its stack
                run.communicate(timeout=STOP_SECONDS)
    *_, last = said.splitlines()
    assert last.startswith("{"), said[-4000:]
    return run.returncode, json.loads(last), said


def test_a_short_run_ends_well():
    code, counts, said = chaos(
        "--seed", "11", "--duration", "20", "--coverage", "300", "--drain", "240", "--only", ROBUST
    )
    assert code == 0, said[-4000:]
    assert counts["orders"] > 0
    assert counts["reached"] > 0


@pytest.mark.parametrize("name", MUTANTS if os.environ.get("WAYBILL_EVERY_MUTANT") else IN_CI)
def test_a_broken_product_is_found(name):
    arguments = ("--seed", "5", "--duration", "20", "--drain", "25", "--only", MUTANTS[name].fault)
    code, counts, said = chaos("--mutant", name, *arguments)
    assert code == 1, said[-4000:]
    assert any(counts[kind] for kind in MUTANTS[name].shows_as), counts
