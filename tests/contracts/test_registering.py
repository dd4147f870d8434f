"""The registry knows every public schema, refuses what breaks subscribers, and its ids stand in the databases."""

import json
import shutil
from pathlib import Path
from uuid import uuid4

import httpx2
import psycopg
import pytest

from tests.support.schema_samples import add, remove, write_versions
from waybill.contracts.contracts import Contract, load
from waybill.registry.register import COMPATIBILITY, RegistrationRefused, register

DEADLINE_SECONDS = 30.0
NOTE = {"name": "note", "type": ["null", "string"], "default": None}


@pytest.fixture
def database_url(owner_database_url: str) -> str:
    """Give a service's database that knows no schema ids yet."""
    with psycopg.connect(owner_database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE waybill_schema_id")
    return owner_database_url


@pytest.fixture
def own_topic(tmp_path: Path) -> str:
    """Give a topic that no other test registers under, as a folder of contracts."""
    return f"order.test-{tmp_path.name}-{uuid4().hex[:8]}.v1"


def _contracts(root: Path, topic: str) -> list[Contract]:
    shutil.rmtree(root / topic, ignore_errors=True)
    (root / "order.events.v1").rename(root / topic)
    return load(root)


def _ids(url: str) -> dict[tuple[str, int], int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT event_type, schema_version, schema_id FROM waybill_schema_id").fetchall()
    return {(event_type, version): schema_id for event_type, version, schema_id in rows}


def _texts(url: str) -> dict[int, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT schema_id, schema FROM waybill_schema_id").fetchall())


def test_every_public_schema_gets_an_id_and_no_private_one(registry_url: str, database_url: str) -> None:
    register(load(), registry_url, [database_url], DEADLINE_SECONDS)
    public = {(contract.event_type, contract.version) for contract in load() if contract.topic}
    ids = _ids(database_url)
    assert ids.keys() == public
    for contract in load():
        if contract.topic:
            schema_id = ids[contract.event_type, contract.version]
            registered = httpx2.get(f"{registry_url}/schemas/ids/{schema_id}").json()["schema"]
            assert json.loads(registered) == json.loads(_texts(database_url)[schema_id]) == contract.schema


def test_registering_again_changes_nothing(registry_url: str, database_url: str) -> None:
    register(load(), registry_url, [database_url], DEADLINE_SECONDS)
    before = _ids(database_url)
    lines = register(load(), registry_url, [database_url], DEADLINE_SECONDS)
    assert _ids(database_url) == before
    assert lines[-1].endswith(f"0 of {len(before)} ids are new or changed")


def test_a_compatible_version_is_registered_beside_the_first(
    registry_url: str, database_url: str, tmp_path: Path, own_topic: str
) -> None:
    contracts = _contracts(write_versions(tmp_path, add(NOTE)), own_topic)
    register(contracts, registry_url, [database_url], DEADLINE_SECONDS)
    assert len(set(_ids(database_url).values())) == 2


def test_code_that_does_not_know_a_version_of_newer_code_registers_its_own_beside_it(
    registry_url: str, database_url: str, tmp_path: Path, own_topic: str
) -> None:
    contracts = _contracts(write_versions(tmp_path, add(NOTE)), own_topic)
    register(contracts, registry_url, [database_url], DEADLINE_SECONDS)
    before = _ids(database_url)
    register(contracts[:1], registry_url, [database_url], DEADLINE_SECONDS)
    assert _ids(database_url) == before


def test_an_incompatible_version_is_refused_and_no_id_is_kept(
    registry_url: str, database_url: str, tmp_path: Path, own_topic: str
) -> None:
    contracts = _contracts(write_versions(tmp_path, remove("currency")), own_topic)
    with pytest.raises(RegistrationRefused, match="answered 409 to POST /subjects") as refused:
        register(contracts, registry_url, [database_url], DEADLINE_SECONDS)
    assert "\n" not in str(refused.value)
    assert _ids(database_url) == {}


def test_a_version_that_was_edited_after_its_registration_is_refused(
    registry_url: str, database_url: str, tmp_path: Path, own_topic: str
) -> None:
    contracts = _contracts(write_versions(tmp_path, add(NOTE)), own_topic)
    register(contracts, registry_url, [database_url], DEADLINE_SECONDS)
    before = _texts(database_url)
    path = tmp_path / contracts[1].source
    path.write_text(path.read_text().replace("Added.", "Added later."))
    with pytest.raises(RegistrationRefused, match=r"another text: waybill\.order\.OrderPlaced v2; bring the file back"):
        register(load(tmp_path), registry_url, [database_url], DEADLINE_SECONDS)
    assert _texts(database_url) == before


def test_a_registry_shared_with_others_keeps_its_default(
    registry_url: str, database_url: str, tmp_path: Path, own_topic: str
) -> None:
    with httpx2.Client(base_url=f"{registry_url}/") as registry:
        stranger = {"schema": '{"type": "record", "name": "Stranger", "fields": []}'}
        registry.post(f"subjects/stranger-{own_topic}/versions", json=stranger).raise_for_status()
        registry.put("config", json={"compatibility": "NONE"}).raise_for_status()
        try:
            contracts = _contracts(write_versions(tmp_path, add(NOTE)), own_topic)
            register(contracts, registry_url, [database_url], DEADLINE_SECONDS)
            assert registry.get("config").json()["compatibilityLevel"] == "NONE"
            level = registry.get(f"config/{contracts[0].subject}").json()["compatibilityLevel"]
            assert level == COMPATIBILITY
        finally:
            registry.put("config", json={"compatibility": COMPATIBILITY}).raise_for_status()


def test_an_address_that_is_no_confluent_api_is_named(registry_url: str) -> None:
    wrong = registry_url.replace("/apis/ccompat/v7", "/nowhere")
    with pytest.raises(RegistrationRefused, match="answered 404 to GET /config"):
        register(load(), wrong, [], DEADLINE_SECONDS)


def test_a_database_that_was_not_migrated_is_named(registry_url: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE waybill_schema_id")
    with pytest.raises(RegistrationRefused, match="no table waybill_schema_id, or an older one; migrate it"):
        register(load(), registry_url, [database_url], DEADLINE_SECONDS)
