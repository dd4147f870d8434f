"""`python -m waybill order_service migrate`, as a deployment runs it."""

import os
import subprocess
import sys
from pathlib import Path

from devstack.harness.databases import ServiceDatabase
from devstack.harness.stack import CHECKOUT


def migrate(
    database: ServiceDatabase, owner_url: str | None = None, *options: str, checkout: Path = CHECKOUT
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "WAYBILL_DATABASE_URL": owner_url or database.owner_url,
        "WAYBILL_OWNER_DATABASE_URL": owner_url or database.owner_url,
        "WAYBILL_SERVICE_ROLE": "test_service",
        "WAYBILL_RELAY_ROLE": "test_relay",
    }
    command = [sys.executable, "-m", "waybill", "order_service", "migrate", *options]
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
