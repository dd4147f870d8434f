"""Suites, and one run of each: two services with empty tables, and Django's runner in front of them."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devstack.folder import CHECKOUT
from tests.support import collection_server
from tests.support.postgres import PostgresServer

SUITES: Final = (
    "pagination",
    "generic_views",
    "model_forms",
    "admin_changelist",
    "admin_views",
    "ordering",
    "prefetch_related",
    "lookup",
    "queries",
)
ALIASES: Final = ("default", "other")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of a suite's tests."""

    ran: dict[str, list[str]]
    """Errors by test: none where it passed."""
    skipped: dict[str, str]
    """Reasons of Django's own by test."""


def run(suite: str, tests: Path, database: PostgresServer, labels: tuple[str, ...] = ()) -> Outcomes:
    """Run a suite, or the tests of it that labels name."""
    with ExitStack() as services, tempfile.TemporaryDirectory(prefix="waybill-suite-") as folder:
        urls: list[str] = []
        for alias in ALIASES:
            name = f"{suite}_{alias}"
            database.execute(f"DROP DATABASE IF EXISTS {name}")
            database.execute(f"CREATE DATABASE {name}")
            arguments = ("tests.support.django_suites.server", str(database.port), name, suite)
            urls.append(services.enter_context(collection_server.started(*arguments, path=(str(tests),))))
        found = Path(folder) / "outcomes.json"
        log = Path(folder) / "log"
        environment = os.environ | {
            "PYTHONPATH": str(CHECKOUT),
            "SUITE_SERVERS": ",".join(urls),
            "SUITE_OUTCOMES": str(found),
        }
        settings = "tests.support.django_suites.on_services"
        command = [sys.executable, "runtests.py", f"--settings={settings}", "--parallel=1", "--noinput"]
        command += labels or (suite,)
        with log.open("wb") as written:
            subprocess.run(command, cwd=tests, env=environment, stdout=written, stderr=written, check=False)
        if not found.exists():
            sys.exit(f"Django's runner of {suite} ended before its tests did:\n{log.read_text()[-3000:]}")
        return Outcomes(**json.loads(found.read_text()))
