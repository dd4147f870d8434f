"""A signal that asks to stop is heard wherever it comes."""

import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT

# Python drops what is raised in a finalizer; a second of sleep would end well, and not at the signal.
PROGRAM = """
import signal, time
from devstack.{place} import {prepare}

class Ending:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

{prepare}()
Ending()
time.sleep(1)
"""


@pytest.mark.parametrize(
    ("place", "prepare", "raised"),
    [("interruption", "interruptible", "Interrupted: 15"), ("harness.interrupts", "end_tidily", "KeyboardInterrupt")],
)
def test_a_signal_that_comes_in_a_finalizer_is_not_lost(place, prepare, raised):
    program = PROGRAM.format(place=place, prepare=prepare)
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith(raised), done.stderr
    assert done.returncode
