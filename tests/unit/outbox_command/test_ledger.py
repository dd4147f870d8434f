"""What verify compares stands on disk: its memory does not grow with the events."""

import json
import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT


def grown_mb(events: int) -> float:
    command = [sys.executable, "-m", "benchmarks.ledger", str(events)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)["grown_mb"]


@pytest.mark.slow
def test_memory_has_a_bound_that_the_number_of_events_does_not_move():
    # A fraction of what as many events took as objects: 850 bytes each at least.
    assert grown_mb(200_000) < 100 < 200_000 * 850 / 1_000_000
