"""A consumer's project gets the publisher's schemas from the registry, and loses nothing of its own."""

import json
from pathlib import Path

import httpx2
import pytest

from waybill.contracts.contracts import load
from waybill.registry.pull import pull
from waybill.registry.register import register
from waybill.registry.registry import RegistrationRefused

DEADLINE_SECONDS = 30.0
TOPICS = ["inventory.products.v1", "order.events.v1"]
EVENT = "inventory.products.v1/ProductListed.v1.avsc"


@pytest.fixture(autouse=True)
def _registered(registry_url: str) -> None:
    register(load(), registry_url, [], DEADLINE_SECONDS)


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_every_version_of_a_topics_events_is_copied_and_loads(registry_url: str, tmp_path: Path):
    lines = pull(TOPICS, registry_url, tmp_path, DEADLINE_SECONDS)
    assert load(tmp_path) == [contract for contract in load() if contract.topic in TOPICS]
    assert lines == [f"{name}: written" for name in sorted(texts(tmp_path))]


def test_again_it_writes_what_is_new_and_touches_nothing_else(registry_url: str, tmp_path: Path):
    pull(TOPICS, registry_url, tmp_path, DEADLINE_SECONDS)
    (tmp_path / EVENT).write_text(json.dumps(json.loads((tmp_path / EVENT).read_text())))
    (tmp_path / "order.events.v1" / "OrderPlaced.v1.avsc").unlink()
    kept = texts(tmp_path)
    lines = pull(TOPICS, registry_url, tmp_path, DEADLINE_SECONDS)
    assert [line for line in lines if line.endswith("written")] == ["order.events.v1/OrderPlaced.v1.avsc: written"]
    assert texts(tmp_path).items() >= kept.items()


def test_a_file_that_says_something_else_is_kept_and_nothing_is_written(registry_url: str, tmp_path: Path):
    mine = tmp_path / EVENT
    mine.parent.mkdir()
    mine.write_text("{}")
    with pytest.raises(RegistrationRefused, match=f"{EVENT} differs from its version in the registry"):
        pull(TOPICS, registry_url, tmp_path, DEADLINE_SECONDS)
    assert texts(tmp_path) == {EVENT: "{}"}


def test_a_topic_that_the_registry_does_not_know_is_named_with_those_it_knows(registry_url: str, tmp_path: Path):
    with pytest.raises(RegistrationRefused, match=r"no events of topic 'orders'; it has those of .*order\.events\.v1"):
        pull(["orders"], registry_url, tmp_path, DEADLINE_SECONDS)


def test_a_schema_that_is_no_event_of_ours_is_named(registry_url: str, tmp_path: Path):
    subject = f"foreign.{tmp_path.name}-other.Thing"
    schema = json.dumps({"type": "record", "name": "Thing", "namespace": "other", "fields": []})
    httpx2.post(f"{registry_url}/subjects/{subject}/versions", json={"schema": schema}).raise_for_status()
    with pytest.raises(RegistrationRefused, match=f"{subject} in the registry at .* was not registered by Waybill"):
        pull([subject.rpartition("-")[0]], registry_url, tmp_path, DEADLINE_SECONDS)
