"""`python -m devstack.supply.advisories`: hold the versions of uv.lock against the known vulnerabilities, once a day.

OSV is asked by pip-audit. Where it cannot be reached nothing is known, which is said and is no failure: a change can be
made without a network.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from typing import Any, Final

import requests

from devstack.folder import CHECKOUT

OSV: Final = "https://api.osv.dev/v1/query"
SECONDS: Final = 3.0
VENV: Final = CHECKOUT / ".venv"
STAMP: Final = VENV / ".audited"
EXPORT: Final = ("export", "--frozen", "--quiet", "--no-hashes", "--no-emit-project", "--no-header", "--all-groups")


def main() -> None:
    """Audit, unless that was done today; exits 1 where a version is known to be vulnerable."""
    today = f"{datetime.now(UTC):%Y-%m-%d} {hashlib.sha256((CHECKOUT / 'uv.lock').read_bytes()).hexdigest()}"
    if STAMP.exists() and STAMP.read_text() == today:
        return
    if not reachable(OSV):
        print(f"not audited: {OSV} cannot be reached, so it is not known which versions are vulnerable")
        return
    pinned = subprocess.run([VENV / "bin" / "uv", *EXPORT], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    found = vulnerable(pinned.stdout, OSV)
    for line in found:
        print(line, file=sys.stderr)
    if found:
        sys.exit(1)
    STAMP.write_text(today)


def reachable(url: str) -> bool:
    """Tell whether the advisories can be asked; blocks 3 s at most, twice."""
    try:
        return requests.post(url, json={}, timeout=SECONDS).status_code < requests.codes.server_error
    except requests.RequestException:
        return False


def vulnerable(pinned: str, url: str) -> list[str]:
    """Return a line for each known vulnerability of `name==version` lines. Raises SystemExit where that fails."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pinned)
        file.flush()
        audit = (
            "--vulnerability-service",
            "osv",
            "--osv-url",
            url,
            "--disable-pip",
            "--no-deps",
            "--requirement",
            file.name,
        )
        shown = ("--format", "json", "--progress-spinner", "off")
        done = subprocess.run([VENV / "bin" / "pip-audit", *audit, *shown], check=False, capture_output=True, text=True)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"pip-audit failed: {next(reversed(done.stderr.strip().splitlines()), 'it says nothing')}")
    return [
        f"{one['name']} {one['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'none yet'}"
        for one in report["dependencies"]
        for known in one.get("vulns", ())
    ]


if __name__ == "__main__":
    main()
