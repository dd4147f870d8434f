"""redocly and spectral, with the rules that they bring, find nothing wrong in the services' OpenAPI documents."""

import json
from pathlib import Path

import pytest

from devstack.services import SERVICES
from tests.support.openapi import document_of
from tests.support.openapi_linters import REDOCLY, SPECTRAL, installed, problems


@pytest.fixture(scope="module")
def linters() -> Path:
    return installed()


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
