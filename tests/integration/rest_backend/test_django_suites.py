"""Django's own tests on the backend; `make django-suites` runs them all."""

import json
import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT


@pytest.mark.slow
def test_djangos_tests_of_pagination_pass_on_a_service():
    command = [sys.executable, "-m", "tests.support.django_suites", "--only", "pagination"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"passed": 23, "expected_failures": 0, "failed": 0}
