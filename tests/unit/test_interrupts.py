"""A run that is told to end leaves by way of an exception, past every `finally`."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from devstack.harness.interrupts import undisturbed
from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until

INTERRUPTED = 2
DEADLINE_SECONDS = 60
NOT_UNDER_NOHUP = """
import signal, sys, pytest
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.exit(pytest.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_being_stopped_is_stopped_to_its_end_whoever_interrupts_it(number):
    done = []

    def stop() -> None:
        with undisturbed():
            os.kill(os.getpid(), number)
            done.append("stopped")

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert done == ["stopped"]


OWNER = """
import os, sys, time
from pathlib import Path
from devstack.harness.stack import Stack, guarded
stack = Stack(Path(sys.argv[1]), {**os.environ, "WAYBILL_HOME": sys.argv[1]})
with guarded(stack):
    stack.devstack("up", "--only", "mailbox")
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_stack_whose_owner_was_killed_is_stopped(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout.readline() == "up\n"
        mailbox = json.loads((tmp_path / "state.json").read_text())["processes"]["mailbox"]
        owner.kill()
    wait_until(lambda: not psutil.pid_exists(mailbox), deadline_seconds=DEADLINE_SECONDS, what="the mailbox stopped")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_tests_that_are_told_to_end_clear_up(number):
    command = [sys.executable, "-c", NOT_UNDER_NOHUP, "tests/unit/waybill/test_watchdog.py"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as run:
        assert "test session starts" in run.stdout.readline()
        run.send_signal(number)
        said, _ = run.communicate(timeout=DEADLINE_SECONDS)
    assert run.returncode == INTERRUPTED, said
