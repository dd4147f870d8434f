"""What a program writes is JSON lines, whoever writes it."""

import json
import subprocess
import sys

import pytest

from devstack.harness.stack import CHECKOUT

CASES = {
    "a traceback of the main thread": ("raise ValueError('broken')", "crashed"),
    "a traceback of another thread": (
        "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        "thread_crashed",
    ),
    "a warning": ("import warnings; warnings.warn('old')", "old"),
    "an error that Python can only ignore": (
        "class A:\n    def __del__(self): raise ValueError('late')\nA()",
        "error_ignored",
    ),
    "words on stderr": ("import sys; print('one\\ntwo', file=sys.stderr)", "stderr"),
    "the words of a SystemExit": ("raise SystemExit('cannot start:\\nWAYBILL_PORT: no number')", "WAYBILL_PORT"),
    "a library's log": ("import logging; logging.getLogger('some.library').error('oh %s', 'no')", "oh no"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("does", "said"), CASES.values(), ids=CASES)
def test_every_line_is_json(does, said):
    program = f"from waybill.observability.output import json_lines\nwith json_lines('test'):\n    exec({does!r}, {{}})"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert lines
    assert all(json.loads(line)["program"] == "test" for line in lines)
    assert said in done.stdout


@pytest.mark.parametrize("command", [("waybill", "order_service", "consumer"), ("outbox_relay",)])
def test_a_program_that_cannot_start_says_why_in_one_json_line(command):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "WAYBILL_PORT": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "WAYBILL_PORT" in json.loads(line)["reason"]
    assert done.returncode == 1
