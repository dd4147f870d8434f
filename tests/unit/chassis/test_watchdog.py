"""A program that hangs ends itself; one that works, idles or was frozen does not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from chassis.watchdog import EXIT_CODE
from tests.support.stack import CHECKOUT

PATIENCE_SECONDS = 2
DEADLINE_SECONDS = 60
BEGIN = f"""
import sys, time
from chassis.telemetry import configure_logging
from chassis.watchdog import alive, watched

def live(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        alive()
        time.sleep(0.05)

configure_logging("test")
with watched("the test", {PATIENCE_SECONDS}):
"""


@pytest.fixture
def program(request):
    command = [sys.executable, "-c", f"{BEGIN}    {request.param}"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("program", ["time.sleep(100)"], indirect=True)
def test_what_gives_no_sign_of_life_is_ended_and_says_so(program):
    said, _ = program.communicate(timeout=DEADLINE_SECONDS)
    assert program.returncode == EXIT_CODE
    assert "stands_still" in said
    assert "the test" in said


@pytest.mark.parametrize("program", [f"live({2 * PATIENCE_SECONDS})"], indirect=True)
def test_what_gives_signs_of_life_is_left_alone(program):
    assert program.wait(DEADLINE_SECONDS) == 0


@pytest.mark.parametrize("program", ["print('lives', flush=True); live(4)"], indirect=True)
def test_what_was_frozen_for_longer_is_left_alone(program):
    assert program.stdout.readline() == "lives\n"
    os.kill(program.pid, signal.SIGSTOP)
    time.sleep(2 * PATIENCE_SECONDS)  # that it is frozen for so long is the case
    os.kill(program.pid, signal.SIGCONT)
    assert program.wait(DEADLINE_SECONDS) == 0


@pytest.mark.parametrize("program", ["pass\nlive(0); time.sleep(2 * 2)"], indirect=True)
def test_what_has_ended_its_work_is_not_watched_any_more(program):
    assert program.wait(DEADLINE_SECONDS) == 0
