"""The order service beside the stack: a database and a broker that a test may break, and its programs as processes."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from confluent_kafka import Producer

from devstack.harness.databases import Server, ServiceDatabase
from schemas.events import ProductListed
from tests.support.broker import Broker
from tests.support.programs import Program, program
from tests.support.topics import delete_topics
from waybill.contracts import codec
from waybill.contracts.contracts import load
from waybill.contracts.topics import topics
from waybill.database.postgres_client import connect
from waybill.kafka.create_topics import create_missing

TOPICS_SECONDS = 60
UNPUBLISHED = """
SELECT count(*) FROM waybill_outbox, waybill_outbox_cursor AS cursor WHERE topic IS NOT NULL
AND waybill_outbox.position > cursor.position
"""


@dataclass(frozen=True)
class Shop:
    """Where its programs work."""

    database: ServiceDatabase
    bootstrap: str
    ids: dict[str, int]
    """Event type → schema id of its first version."""

    def run(self, kind: str, url: str | None = None, **more: str) -> AbstractContextManager[Program]:
        """Run a program, on the shop's database unless another URL is given."""
        own = self.database.relay_url if kind == "relay" else self.database.service_url
        more = {"WAYBILL_KAFKA_BOOTSTRAP": self.bootstrap, "WAYBILL_RETRY_SECONDS": "0.1", **more}
        return program(kind, url or own, **more)

    def list_product(self, sku: str) -> None:
        """Publish a product as the inventory does: the consumer then keeps its price."""
        event = ProductListed(sku=sku, name=sku, unit_price=1000, currency="EUR")
        producer = Producer({"bootstrap.servers": self.bootstrap})
        told = {"ce_id": str(uuid4()), "ce_type": event.event_type, "ce_sequence": "1"}
        headers = [(name, value.encode()) for name, value in told.items()]
        value = codec.frame(self.ids[event.event_type], codec.encode(event))
        producer.produce(event.topic or "", value, sku, headers=headers)
        assert producer.flush(30) == 0

    def priced(self, sku: str) -> bool:
        """Whether the consumer has applied it."""
        return bool(self.execute("SELECT 1 FROM prices WHERE sku = %s", sku))

    def dead_letters(self) -> list[tuple[Any, ...]]:
        return self.execute("SELECT headers->>'reason' FROM received WHERE status = -1")

    def unpublished(self) -> int:
        return self.execute(UNPUBLISHED)[0][0]

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Do something as the superuser."""
        with connect(self.database.superuser_url, "test") as session:
            found = session.execute(statement, values)
            return found.fetchall() if found.description is not None else []


@contextmanager
def open_shop(server: Server, broker: Broker) -> Iterator[Shop]:
    """Make its database, topics and schema ids; no record and no offset of an earlier one is left."""
    make_topics_anew(broker.bootstrap)
    contracts = [one for one in load() if one.topic is not None]
    with server.fresh("order_service") as database:
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            for schema_id, one in enumerate(contracts, 1):
                row = [one.event_type, one.version, schema_id, json.dumps(one.schema)]
                owner.execute("INSERT INTO waybill_schema_id VALUES (%s, %s, %s, %s)", row)
        ids = {one.event_type: n for n, one in enumerate(contracts, 1) if one.version == 1}
        yield Shop(database, broker.bootstrap, ids)


def make_topics_anew(bootstrap: str) -> None:
    """Make every topic without a record; what the groups have committed goes with the former ones."""
    delete_topics(bootstrap, [topic.name for topic in topics()])
    create_missing(topics(), bootstrap, TOPICS_SECONDS)
