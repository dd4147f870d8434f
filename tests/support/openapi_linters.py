"""redocly and spectral, with the rules that they bring."""

import os
import subprocess
from pathlib import Path

from devstack.folder import CHECKOUT
from tests.support import toolchains

FOLDER = CHECKOUT / "tests" / "contracts" / "openapi"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
# Redocly warns and exits with 0 all the same: its count of problems is what tells.
REDOCLY = ["node_modules/.bin/redocly", "lint", "--format=checkstyle"]
SPECTRAL = ["node_modules/.bin/spectral", "lint", "--ruleset=spectral.json", "--fail-severity=hint", "--format=text"]


def installed() -> Path:
    """Where both are, installed from their lock file once."""
    for program, least in (("node", (20, 19)), ("npm", (10,))):
        toolchains.need(program, ["--version"], least, "redocly")
    return toolchains.made(FOLDER, ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])


def problems(linters: Path, command: list[str], *files: Path) -> str:
    """What a linter has to say against the files: nothing where they are clean."""
    done = subprocess.run(
        [*command, *map(str, files)],
        cwd=linters,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if command is REDOCLY:
        assert done.stderr.count("validating ") == len(files), done.stderr
        return "\n".join(line for line in done.stdout.splitlines() if "<error " in line)
    said = done.stdout.strip()
    return "" if done.returncode == 0 and said.startswith("No results") else said + done.stderr
