"""Whatever stands on a topic, what a consumer cannot read becomes a dead letter, and the other keys flow.

All of it on one partition of a real broker: bad records between good ones, each kind with a key of its own.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.wait import wait_until
from inventory_service.service import service as inventory
from schemas.events import SOURCES, OrderPlaced
from tests.support.consuming import consuming, on_topic
from tests.support.databases import in_use
from tests.support.orders import placed
from tests.support.relays import make_topic
from tests.support.stock import stocked
from waybill.application import application
from waybill.consumer import schema_ids
from waybill.contracts import codec
from waybill.observability.telemetry import new_id

SCHEMA_ID, UNKNOWN_ID = 1, 999
AHEAD_SECONDS = 120  # a producer's clock may be, and changes nothing
Headers = dict[str, str]


@dataclass(frozen=True)
class Bad:
    """A record as it comes, made of one that is well, and what its reason has to say."""

    of: Callable[[bytes, Headers], tuple[bytes | None, Headers]]
    reason: str


def without(name: str) -> Callable[[bytes, Headers], tuple[bytes | None, Headers]]:
    return lambda value, headers: (value, {key: said for key, said in headers.items() if key != name})


KINDS = {
    "unknown-schema-id": Bad(
        lambda v, h: (codec.frame(UNKNOWN_ID, v[5:]), h),
        "SchemaUnknown: schema id 999 is not among the registered; handled by itself within a day",
    ),
    "truncated-value": Bad(lambda v, h: (v[:-3], h), "waybill.order.OrderPlaced v1: the bytes end early in"),
    "value-shorter-than-the-frame": Bad(lambda v, h: (v[:3], h), "a value of 3 bytes is shorter than the Confluent"),
    "empty-value": Bad(lambda v, h: (b"", h), "a value of 0 bytes is shorter than the Confluent"),
    "bytes-left-over": Bad(lambda v, h: (v + b"more", h), "waybill.order.OrderPlaced v1: 4 of"),
    "tombstone": Bad(lambda v, h: (None, h), "the value is empty: topics of events have no tombstones"),
    "another-magic-byte": Bad(lambda v, h: (b"\x01" + v[1:], h), "the first byte is 1, where the Confluent header has"),
    "json": Bad(lambda v, h: (b'{"order_id": 1}', h), "the first byte is 123, where the Confluent header has 0"),
    "no-type-header": Bad(without("ce_type"), "header ce_type is missing or empty"),
    "no-id-header": Bad(without("ce_id"), "header ce_id is '', not a UUID"),
    "no-header-at-all": Bad(lambda v, h: (v, {}), "header ce_id is '', not a UUID"),
    "another-type-in-the-header": Bad(
        lambda v, h: (v, {**h, "ce_type": "waybill.order.OrderConfirmed"}),
        "header ce_type says waybill.order.OrderConfirmed, the value is waybill.order.OrderPlaced",
    ),
}


# Not bad at all: a later release wrote it, in a version that this code does not know but whose schema is left here.
LATER_ID = 2
LATER_SCHEMA = json.loads((application().schemas / SOURCES[OrderPlaced.event_type, 1]).read_text())
LATER_SCHEMA["fields"].append({"name": "note", "doc": "Added.", "type": ["null", "string"], "default": None})
LATER = Bad(lambda v, h: (codec.frame(LATER_ID, v[5:] + b"\x02\x06new"), h), "")


@dataclass(frozen=True)
class Outcome:
    """What the consumer left behind: the reasons by key, which key had which kind, and what is held."""

    reasons: dict[str, list[str]]
    keys: dict[str, str]
    reserved: int


def send(producer: Producer, topic: str, event: OrderPlaced, bad: Bad | None = None) -> None:
    headers = {"ce_id": new_id(), "ce_type": event.event_type}
    value: bytes | None = codec.frame(SCHEMA_ID, codec.encode(event))
    if bad is not None and value is not None:
        value, headers = bad.of(value, headers)
    produced_at = int((time.time() + AHEAD_SECONDS) * 1000)
    producer.produce(topic, value, event.aggregate_id, headers=list(headers.items()), timestamp=produced_at)


def _produce(bootstrap: str, topic: str) -> dict[str, str]:
    """A good record, then of each kind a bad one with a good one of its key and one of another key behind it."""
    producer = Producer({"bootstrap.servers": bootstrap})
    keys: dict[str, str] = {}
    send(producer, topic, placed(quantity=1))
    send(producer, topic, placed(quantity=1), LATER)
    for name, bad in KINDS.items():
        event = placed(quantity=1)
        keys[name] = event.aggregate_id
        send(producer, topic, event, bad)
        send(producer, topic, event)
        send(producer, topic, placed(quantity=1))
    assert producer.flush(30) == 0
    return keys


@pytest.fixture(scope="module")
def outcome(kafka: str, database_server: Server) -> Outcome:
    topic = make_topic(kafka, partitions=1)
    own = on_topic(inventory, topic)
    with database_server.fresh("inventory_service") as database, in_use(database.service_url):
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            ids = [(1, SCHEMA_ID, None), (2, LATER_ID, json.dumps(LATER_SCHEMA))]
            for version, schema_id, schema in ids:
                row = [OrderPlaced.event_type, version, schema_id, schema]
                owner.execute("INSERT INTO waybill_schema_id VALUES (%s, %s, %s, %s)", row)
        schema_ids._writers.cache_clear()
        stocked("LAMP", 100)
        keys = _produce(kafka, topic)

        def look(statement: str) -> list[tuple[Any, ...]]:
            with psycopg.connect(database.superuser_url) as session:
                return session.execute(statement).fetchall()

        with consuming(own, kafka):
            wait_until(
                lambda: look("SELECT count(*) FROM received") >= [(2 + 3 * len(KINDS),)],
                deadline_seconds=60,
                what="every record handled or a dead letter",
            )
        reasons: dict[str, list[str]] = {}
        for key, reason in look(
            "SELECT headers->>'key', headers->>'reason' FROM received WHERE status = -1 ORDER BY id"
        ):
            reasons.setdefault(key, []).append(reason)
        ((reserved,),) = look("SELECT reserved FROM products")
    schema_ids._writers.cache_clear()
    return Outcome(reasons, keys, reserved)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_cannot_be_read_becomes_a_dead_letter_and_its_key_waits_behind_it(
    outcome: Outcome, kind: str
) -> None:
    first, behind = outcome.reasons[outcome.keys[kind]]
    assert KINDS[kind].reason in first
    assert behind == "behind a dead letter of its key"


def test_all_other_keys_of_the_partition_flow_and_so_does_a_later_version(outcome: Outcome) -> None:
    assert set(outcome.reasons) == set(outcome.keys.values())
    assert outcome.reserved == 2 + len(KINDS)


def test_while_one_key_waits_for_its_schema_id_the_others_are_handled_and_then_it_is(
    kafka: str, inventory_database: ServiceDatabase
) -> None:
    """Its producer's clock is two minutes ahead; one partition, so that the others stand behind it."""
    topic = make_topic(kafka, partitions=1)
    owned = psycopg.connect(inventory_database.owner_url, autocommit=True)
    ids = "INSERT INTO waybill_schema_id (event_type, schema_version, schema_id, current) VALUES (%s, 1, %s, %s)"
    with owned as owner, consuming(on_topic(inventory, topic), kafka):

        def reserved() -> int:
            return owner.execute("SELECT reserved FROM products").fetchall()[0][0]

        owner.execute(ids, [OrderPlaced.event_type, SCHEMA_ID, True])
        schema_ids._writers.cache_clear()
        stocked("LAMP", 100)
        producer, late = Producer({"bootstrap.servers": kafka}), placed(quantity=1)
        send(producer, topic, late, Bad(lambda v, h: (codec.frame(UNKNOWN_ID, v[5:]), h), ""))
        for _ in range(3):
            send(producer, topic, placed(quantity=1))
        assert producer.flush(30) == 0
        wait_until(lambda: reserved() == 3, deadline_seconds=30, what="the other keys")
        ((found,),) = owner.execute("SELECT headers->>'schema_id' FROM received WHERE status = -1").fetchall()
        assert found == str(UNKNOWN_ID)
        owner.execute(ids, [OrderPlaced.event_type, UNKNOWN_ID, False])
        wait_until(lambda: reserved() == 4, deadline_seconds=10, what="the key that waited")
        assert owner.execute("SELECT count(*) FROM received WHERE status = -1").fetchall() == [(0,)]
    schema_ids._writers.cache_clear()
