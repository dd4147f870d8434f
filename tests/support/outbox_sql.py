"""`python -m waybill outbox-sql`, as a team runs it whose migrations are not Django's."""

import subprocess
import sys

from devstack.folder import CHECKOUT


def outbox_sql(*arguments: str) -> str:
    """Return what it prints."""
    command = [sys.executable, "-m", "waybill", "outbox-sql", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, check=True, timeout=30, capture_output=True, text=True).stdout
