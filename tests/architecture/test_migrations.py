"""The migrations make the tables that the models describe."""

import os
import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT
from tests.support.services import READERS, SERVICES

NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize("service", [*SERVICES, *READERS])
def test_no_model_has_drifted_from_its_migrations(service):
    command = [sys.executable, "-m", "waybill", service, "manage", "makemigrations", "--check", "--dry-run"]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "WAYBILL_DATABASE_URL": NOBODY, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No changes detected" in done.stdout
