"""What the library promises holds on the oldest PostgreSQL that it supports."""

import os
import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT
from tests.support.oldest_postgres import oldest_server

# Every statement of outbox, inbox, due tasks, unit of work, migrations, relay and command; nothing that needs a server
# of its own, which would be the newest version.
FILES = (
    *("test_appending", "test_unit_of_work", "test_arrays", "test_copies", "test_handlers", "test_upgrading"),
    *("test_consumer", "relay/test_reading", "outbox_command/test_verifying", "outbox_command/test_rebuilding"),
    "outbox_command/test_partitions",
)


@pytest.mark.slow
def test_the_integration_tests_pass_on_postgresql_14():
    with oldest_server() as server:
        assert server.execute("SHOW server_version_num")[0][0].startswith("14")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-n0",
                "--no-header",
                *(f"tests/integration/{one}.py" for one in FILES),
            ],
            cwd=CHECKOUT,
            env={**os.environ, "WAYBILL_POSTGRES_URL": server.superuser_url},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
