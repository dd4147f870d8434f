"""Wake-up signals between programs: the sockets that they are sent from."""

import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT

SENDS_SIGNALS = """
from waybill.runtime import wake_up
wake_up.send("127.0.0.1:9")
wake_up.send("255.255.255.255:9")  # broadcasts are refused
"""


@pytest.mark.slow
def test_a_program_that_sent_wake_ups_leaves_no_socket_open():
    program = [sys.executable, "-X", "dev", "-W", "error", "-c", SENDS_SIGNALS]
    done = subprocess.run(program, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
