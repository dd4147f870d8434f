"""A program that is the first process of a container: the kernel hands it only signals that it has a handler for."""

import shutil
import subprocess
import sys

import psutil
import pytest

from devstack.folder import CHECKOUT

STARTING = "import time; print('starting', flush=True); time.sleep(60)"
HANDLED = f"from waybill.runtime.signals import end_while_starting; end_while_starting(); {STARTING}"


@pytest.fixture
def as_first_process():
    """Start Python code as the first process of a namespace of its own; returns `unshare` and that process."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    started = []

    def start(code: str) -> tuple[subprocess.Popen[str], psutil.Process]:
        command = [
            "unshare",
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child",
            sys.executable,
            "-c",
            code,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        if process.stdout.readline() != "starting\n":
            pytest.skip(f"no namespaces here: {process.stderr.read()}")
        return process, psutil.Process(process.pid).children()[0]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_it_ends_at_once_when_it_is_stopped_before_its_work_begins(as_first_process):
    process, first = as_first_process(HANDLED)
    first.terminate()
    assert process.wait(timeout=10) == 128 + 15


def test_without_a_handler_it_would_not_hear_it(as_first_process):
    _, first = as_first_process(STARTING)
    first.terminate()
    with pytest.raises(psutil.TimeoutExpired):
        first.wait(timeout=0.5)


def test_elsewhere_a_signal_ends_a_program_as_ever():
    process = subprocess.Popen([sys.executable, "-c", HANDLED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "starting\n"
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == -15


@pytest.mark.parametrize("package", ["waybill", "outbox_relay"])
def test_a_program_hears_the_signal_before_its_imports_take_long(package):
    main = (CHECKOUT / package / "__main__.py").read_text()
    assert main.index("end_while_starting()\n") < main.index(".program")
