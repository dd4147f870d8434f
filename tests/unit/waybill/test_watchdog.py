"""A program that hangs ends itself; one that works, idles or was frozen does not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from devstack.harness.stack import CHECKOUT
from tests.support.providers.process import free_port
from waybill.runtime.watchdog import EXIT_CODE

PATIENCE_SECONDS = 2
DEADLINE_SECONDS = 60
BEGIN = f"""
import sys, time
from waybill.runtime import watchdog
from waybill.observability.telemetry import configure_logging
from waybill.runtime.watchdog import alive, watched

watchdog.PATIENCE_SECONDS = {PATIENCE_SECONDS}

def live(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        alive()
        time.sleep(0.05)

configure_logging("test")
with watched("the test"):
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
    assert "watchdog_expired" in said
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


HANGING = {
    "consumer": ("import confluent_kafka as needs; needs.Consumer = hang", "waybill", "order_service", "consumer"),
    "worker": (
        "import waybill.runtime.wake_up as needs; needs.WakeUpSignal = hang",
        "waybill",
        "order_service",
        "worker",
    ),
    "relay": ("import outbox_relay.relay.program.supervising as needs; needs.Leadership = hang", "outbox_relay"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HANGING)
def test_a_consumer_a_worker_and_a_relay_are_watched(kind):
    hangs, module, *arguments = HANGING[kind]
    code = f"""
import runpy, sys, time
from waybill.runtime import watchdog
watchdog.PATIENCE_SECONDS = {PATIENCE_SECONDS}
def hang(*_):
    time.sleep(1000)
{hangs}
sys.argv = [{module!r}, *{arguments}]
runpy.run_module({module!r}, run_name="__main__")
"""
    settings = {
        "WAYBILL_PORT": str(free_port()),
        "WAYBILL_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "WAYBILL_SERVICE": "order_service",
        "WAYBILL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    }
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == EXIT_CODE, ended.stderr
    assert "watchdog_expired" in ended.stdout
    assert kind in ended.stdout
