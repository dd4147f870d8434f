"""redocly and spectral, with the rules that they bring, find nothing wrong in the services' OpenAPI documents."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from devstack.services import SERVICES
from tests.support import toolchains
from tests.support.openapi import document_of

HERE = Path(__file__).parent / "openapi"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
# Redocly warns and exits with 0 all the same: its count of problems is what tells.
REDOCLY = ["node_modules/.bin/redocly", "lint", "--format=checkstyle"]
SPECTRAL = ["node_modules/.bin/spectral", "lint", "--ruleset=spectral.json", "--fail-severity=hint", "--format=text"]


@pytest.fixture(scope="module")
def linters() -> Path:
    """Both, installed from their lock file once."""
    for program, least in (("node", (20, 19)), ("npm", (10,))):
        toolchains.need(program, ["--version"], least, "redocly")
    return toolchains.made(HERE, ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])


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


@pytest.mark.slow
@pytest.mark.parametrize("command", [REDOCLY, SPECTRAL], ids=["redocly", "spectral"])
def test_no_document_has_an_error_or_a_warning(linters: Path, tmp_path: Path, command: list[str]):
    for service in SERVICES:
        (tmp_path / f"{service}.json").write_text(json.dumps(document_of(service)))
    assert problems(linters, command, *sorted(tmp_path.iterdir())) == ""


@pytest.mark.slow
@pytest.mark.parametrize("command", [REDOCLY, SPECTRAL], ids=["redocly", "spectral"])
def test_a_document_with_a_fault_is_refused(linters: Path, tmp_path: Path, command: list[str]):
    document = document_of("order")
    document["paths"]["/v1/orders"]["post"]["operationId"] = "read_order"
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(document))
    assert "operation" in problems(linters, command, wrong)
