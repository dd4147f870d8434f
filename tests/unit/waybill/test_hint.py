"""Hints between programs: the sockets that they are sent from."""

import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT

GIVES_HINTS = """
from waybill.runtime import hint
hint.give("127.0.0.1:9")
hint.give("255.255.255.255:9")  # broadcasts are refused
"""


@pytest.mark.slow
def test_a_program_that_gave_hints_leaves_no_socket_open():
    program = [sys.executable, "-X", "dev", "-W", "error", "-c", GIVES_HINTS]
    done = subprocess.run(program, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
