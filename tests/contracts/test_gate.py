"""The offline gate refuses whatever a real registry refuses, and a little more."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest

from tests.support.schema_edits import EDITS, REGISTRY_LETS_PASS
from tests.support.schema_samples import write_versions
from waybill.contracts.compatibility import problems
from waybill.contracts.contracts import load
from waybill.contracts.fields import ContractError
from waybill.registry.register import COMPATIBILITY


@pytest.fixture
def registry(registry_url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{registry_url}/", timeout=20) as client:
        yield client


def _gate_refuses(root: Path) -> bool:
    try:
        return any(problems(load(root)))
    except ContractError:
        return True


def _registry_refuses(registry: httpx2.Client, texts: list[str]) -> bool:
    subject = quote(f"test-{uuid4().hex[:8]}.v1-waybill.order.OrderPlaced", safe="")
    first, *later = texts
    registry.post(f"subjects/{subject}/versions", json={"schema": first}).raise_for_status()
    registry.put(f"config/{subject}", json={"compatibility": COMPATIBILITY}).raise_for_status()
    for text in later:
        answer = registry.post(f"subjects/{subject}/versions", json={"schema": text})
        assert not answer.is_server_error or "nvalid" in answer.text, answer.text
        if answer.is_error:
            return True
    return False


@pytest.mark.parametrize("name", EDITS)
def test_the_gate_says_what_the_registry_says(registry: httpx2.Client, name: str, tmp_path: Path) -> None:
    root = write_versions(tmp_path, *EDITS[name].changes)
    texts = [path.read_text() for path in sorted(root.glob("*/*.avsc"))]
    gate, there = _gate_refuses(root), _registry_refuses(registry, texts)
    assert gate or not there, "the gate lets pass what a deployment would be refused"
    assert (gate and not there) == (name in REGISTRY_LETS_PASS)
