"""The contract's OpenAPI document says what a service of it answers, and is one that tools take without a warning."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from devstack.folder import CHECKOUT
from tests.support import collection_server
from tests.support.openapi_linters import REDOCLY, SPECTRAL, installed, problems
from waybill.rest import filters
from waybill.rest.collections.asked import MOST_OFFSET, MOST_ROWS, OWN

DOCUMENT = CHECKOUT / "docs" / "reference" / "collection-contract.openapi.yaml"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SERVED_AS = "library_author"
EXAMPLES = 25


@pytest.fixture(scope="module")
def document():
    return yaml.safe_load(DOCUMENT.read_text())


def test_a_service_of_the_contract_does_what_the_document_says(document, tmp_path):
    """schemathesis, by the library's authors: no 5xx, no status, header or body that the document does not have."""
    with collection_server.library(tmp_path) as url:
        paths = {path.replace("/authors", f"/{SERVED_AS}"): item for path, item in document["paths"].items()}
        served = tmp_path / "document.json"
        open_to_all = {"security": [], "servers": [{"url": url}]}
        served.write_text(json.dumps({**document, "paths": paths, **open_to_all}))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", str(served)),
                *(f"--url={url}", "--no-color", "--seed=20261127", f"--max-examples={EXAMPLES}"),
            ],
            env=os.environ | {"NO_PROXY": "*"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert re.search(r"[1-9]\d* generated", done.stdout), done.stdout


def test_its_bounds_and_names_are_those_of_the_code(document):
    parameters = document["components"]["parameters"]
    given = {one["name"]: one for one in parameters.values()}
    assert set(given) >= {*OWN, "filter"}
    assert given["limit"]["schema"]["maximum"] == MOST_ROWS
    assert given["offset"]["schema"]["maximum"] == MOST_OFFSET
    compared = document["components"]["schemas"]["Filter"]["oneOf"][-1]["properties"]["lookup"]["enum"]
    assert tuple(compared) == filters.LOOKUPS
    assert given["id__in"]["schema"]["maxItems"] == filters.MOST_VALUES


@pytest.mark.slow
@pytest.mark.parametrize("command", [REDOCLY, SPECTRAL], ids=["redocly", "spectral"])
def test_the_document_has_no_error_and_no_warning(tmp_path, document, command):
    copy = tmp_path / "collection.json"
    copy.write_text(json.dumps(document))
    assert problems(installed(), command, copy) == ""
