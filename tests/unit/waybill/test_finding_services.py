"""A service is a package that can be imported, wherever it stands: the library knows no folder of services."""

import os
import subprocess
import sys
from pathlib import Path

from devstack.folder import CHECKOUT


def run(folder: Path, service: str) -> str:
    told = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}
    done = subprocess.run(
        [sys.executable, "-m", "waybill", service, "rebuild"],
        cwd=folder,
        env=told | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stderr


def test_a_service_beside_nothing_of_the_library_is_found(tmp_path: Path):
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / "service.py").write_text("")
    assert "WAYBILL_DATABASE_URL: Field required" in run(tmp_path, "tickets")


def test_a_service_that_cannot_be_imported_is_named(tmp_path: Path):
    for service in ("tickts", "order-service", "json"):
        assert f"no service {service!r}: no package of that name" in run(tmp_path, service)
