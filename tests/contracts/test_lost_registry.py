"""A registry that was lost: no id changes its meaning, and a command gives it its ids back."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, ClassVar

import httpx2
import psycopg
import pytest
from fastavro import parse_schema, schemaless_reader

from devstack.harness.databases import ServiceDatabase
from outbox_relay.relay.kafka.records import Records
from tests.support.orders import placed
from tests.support.registry import OwnRegistry, own_registry
from waybill.consumer import schema_ids
from waybill.contracts import codec
from waybill.contracts.command import main
from waybill.contracts.contracts import Contract, load
from waybill.registry.register import RegistrationRefused, register
from waybill.registry.restore import restore

pytestmark = pytest.mark.slow

WAIT_SECONDS = 30.0
Ids = dict[tuple[str, int], int]


@pytest.fixture(scope="module")
def one_registry() -> Iterator[OwnRegistry]:
    with own_registry() as running:
        yield running


@pytest.fixture
def registry(one_registry: OwnRegistry) -> OwnRegistry:
    one_registry.lose_everything()
    return one_registry


@pytest.fixture
def database(order_database: ServiceDatabase) -> Iterator[ServiceDatabase]:
    schema_ids._writers.cache_clear()
    yield order_database
    schema_ids._writers.cache_clear()


def public() -> list[Contract]:
    return [contract for contract in load() if contract.topic]


def filled(registry: OwnRegistry, database: ServiceDatabase) -> Ids:
    """Register in another sequence than every later time; returns the ids."""
    register(public()[::-1], registry.url, [database.owner_url], WAIT_SECONDS)
    return current(database)


def current(database: ServiceDatabase) -> Ids:
    with psycopg.connect(database.owner_url) as session:
        rows = session.execute(
            "SELECT event_type, schema_version, schema_id FROM waybill_schema_id WHERE current"
        ).fetchall()
    return {(event_type, version): schema_id for event_type, version, schema_id in rows}


def record(ids: Ids) -> bytes:
    """An order on its way, as the relay has written it."""
    event = placed(quantity=7)
    return codec.frame(ids[event.event_type, event.schema_version], codec.encode(event))


def read_outside(registry: OwnRegistry, value: bytes) -> Any:
    """What a subscriber reads who knows the registry alone."""
    schema_id, payload = codec.unframe(value)
    answer = httpx2.get(f"{registry.url}/schemas/ids/{schema_id}", trust_env=False)
    answer.raise_for_status()
    return schemaless_reader(BytesIO(payload), parse_schema(json.loads(answer.json()["schema"])), None)


def read_inside(value: bytes) -> Any:
    return schema_ids.read_event(value)


def subjects(registry: OwnRegistry) -> list[str]:
    return httpx2.get(f"{registry.url}/subjects", trust_env=False).json()


def add_strangers(registry: OwnRegistry, count: int) -> None:
    for n in range(count):
        schema = {"schema": json.dumps({"type": "record", "name": f"Stranger{n}", "fields": []})}
        httpx2.post(f"{registry.url}/subjects/stranger-{n}/versions", json=schema, trust_env=False).raise_for_status()


def test_a_lost_registry_gets_its_ids_back_and_records_on_their_way_are_read_rightly(registry, database, monkeypatch):
    before = filled(registry, database)
    under_way = record(before)
    registry.lose_everything()
    monkeypatch.setenv("WAYBILL_REGISTRY_URL", registry.url)
    monkeypatch.setenv("WAYBILL_OWNER_DATABASE_URLS", database.owner_url)
    assert main(["restore"]) == 0
    assert main(["register"]) == 0
    assert current(database) == before
    assert read_outside(registry, under_way)["lines"][0]["quantity"] == 7
    assert read_inside(under_way).lines[0].quantity == 7
    for contract in public():
        answer = httpx2.get(f"{registry.url}/subjects/{contract.subject}/versions/{contract.version}", trust_env=False)
        assert answer.json()["id"] == before[contract.event_type, contract.version]
        latest = httpx2.get(f"{registry.url}/subjects/{contract.subject}/versions/latest", trust_env=False).json()
        assert latest["version"] == max(c.version for c in public() if c.event_type == contract.event_type)


def test_an_id_that_is_given_after_a_restore_is_new(registry, database):
    before = filled(registry, database)
    registry.lose_everything()
    restore(public(), registry.url, [database.owner_url], WAIT_SECONDS)
    add_strangers(registry, 1)
    assert httpx2.get(f"{registry.url}/subjects/stranger-0/versions/1", trust_env=False).json()["id"] > max(
        before.values()
    )


def test_a_restored_registry_still_refuses_what_breaks_subscribers(registry, database):
    filled(registry, database)
    registry.lose_everything()
    restore(public(), registry.url, [database.owner_url], WAIT_SECONDS)
    register(public(), registry.url, [database.owner_url], WAIT_SECONDS)
    broken = json.dumps({**public()[0].schema, "fields": [{"name": "other", "type": "int"}]})
    answer = httpx2.post(
        f"{registry.url}/subjects/{public()[0].subject}/versions", json={"schema": broken}, trust_env=False
    )
    assert answer.status_code == 409


def test_registering_with_a_registry_that_lost_its_ids_is_refused_and_fills_nothing(registry, database):
    before = filled(registry, database)
    registry.lose_everything()
    with pytest.raises(RegistrationRefused, match=r"does not have \d+ of \d+ schema ids .* contracts restore"):
        register(public(), registry.url, [database.owner_url], WAIT_SECONDS)
    assert subjects(registry) == []
    assert current(database) == before


def test_a_registry_that_was_filled_again_is_refused_with_the_id_and_both_meanings(registry, database):
    before = filled(registry, database)
    registry.lose_everything()
    register(public(), registry.url, [], WAIT_SECONDS)
    first = min(before.values())
    (old,) = [f"{event_type} v{version}" for (event_type, version), schema_id in before.items() if schema_id == first]
    new = f"{public()[0].event_type} v{public()[0].version}"
    said = rf"schema id {first} is {old} in database \S+, and {new} in the registry"
    with pytest.raises(RegistrationRefused, match=said):
        register(public(), registry.url, [database.owner_url], WAIT_SECONDS)
    with pytest.raises(RegistrationRefused, match="is not empty"):
        restore(public(), registry.url, [database.owner_url], WAIT_SECONDS)
    with pytest.raises(RegistrationRefused, match=r"No database was changed"):
        register(public(), registry.url, [database.owner_url], WAIT_SECONDS, new_ids=True)
    assert current(database) == before


def test_after_a_move_to_other_ids_records_with_the_old_ones_are_still_read(registry, database):
    before = filled(registry, database)
    under_way = record(before)
    registry.lose_everything()
    add_strangers(registry, max(before.values()) + 1)
    register(public(), registry.url, [database.owner_url], WAIT_SECONDS, new_ids=True)
    after = current(database)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert read_inside(under_way) == read_inside(codec.frame(after["waybill.order.OrderPlaced", 1], under_way[5:]))
    records = Records("order_service")
    with psycopg.connect(database.relay_url) as relay:
        records.load(relay)
    assert records._frames[("waybill.order.OrderPlaced", 1)] == codec.frame(after["waybill.order.OrderPlaced", 1], b"")
    lines = register(public(), registry.url, [database.owner_url], WAIT_SECONDS)
    assert lines[-1].endswith(f"0 of {len(after)} ids are new or changed")


class ImportMode(BaseHTTPRequestHandler):
    """A registry that takes ids in mode IMPORT, as Confluent documents it: only there, and by subject."""

    texts: ClassVar[dict[int, str]] = {}
    modes: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        if self.path == "/subjects":
            self._answer(200, [])
            return
        text = self.texts.get(int(self.path.rpartition("/")[2]))
        self._answer(404 if text is None else 200, {"schema": text})

    def do_PUT(self) -> None:
        self.modes[self.path.removeprefix("/mode/")] = self._body()["mode"]
        self._answer(200, {})

    def do_POST(self) -> None:
        subject, body = self.path.split("/")[2], self._body()
        allowed = self.modes.get(subject) == "IMPORT" and body["version"] > 0
        if allowed:
            self.texts[body["id"]] = body["schema"]
        self._answer(200 if allowed else 422, {"id": body["id"]})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


def test_a_registry_other_than_apicurio_gets_its_ids_back_in_mode_import(registry, database):
    ids = filled(registry, database)
    with ThreadingHTTPServer(("127.0.0.1", 0), ImportMode) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        restore(public(), f"http://127.0.0.1:{server.server_port}", [database.owner_url], WAIT_SECONDS)
        server.shutdown()
    assert ImportMode.texts.keys() == set(ids.values())
    assert set(ImportMode.modes.values()) == {"READWRITE"}


def test_there_is_nothing_to_restore_where_no_database_keeps_an_id(registry, database):
    with pytest.raises(RegistrationRefused, match="keep no schema ids"):
        restore(public(), registry.url, [database.owner_url], WAIT_SECONDS)


def test_databases_that_keep_one_id_with_two_meanings_are_named(registry, database, database_server):
    filled(registry, database)
    with database_server.fresh("payment_service") as other:
        with psycopg.connect(other.owner_url, autocommit=True) as owner:
            owner.execute("INSERT INTO waybill_schema_id VALUES ('waybill.order.OrderPlaced', 1, 1)")
        said = rf"schema id 1 is .* in database {database.name} and .*OrderPlaced v1 in database {other.name}"
        with pytest.raises(RegistrationRefused, match=said):
            register(public(), registry.url, [database.owner_url, other.owner_url], WAIT_SECONDS)
