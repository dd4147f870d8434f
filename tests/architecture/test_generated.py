"""What is generated is what its source says today."""

import subprocess
import sys

from devstack.folder import CHECKOUT
from waybill.contracts import generate


def test_classes_and_their_page_follow_from_the_schemas():
    assert [path.name for path in generate.stale()] == []


def test_the_command_says_so_too():
    command = [sys.executable, "-m", "waybill", "contracts", "generate", "--check"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
