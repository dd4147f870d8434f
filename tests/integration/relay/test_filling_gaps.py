"""What a consumer never saw is shown and named with its remedy; a replay fills it, or an operator acknowledges it."""

from uuid import uuid4

import pytest
from confluent_kafka import Producer

from devstack.harness.databases import ServiceDatabase
from schemas.events import ProductListed
from tests.support.broker import Broker
from tests.support.outbox_command import Ended, execute, outbox, settings
from tests.support.own_shop import Shop
from tests.support.programs import Program
from tests.support.scrape import parse
from waybill.contracts import codec

TOPIC = "inventory.events.v1"
PARTITIONS = 6
PUBLISHED = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
VALUES (%s, %s, 'product', %s, 1, %s, 1, %s, '{}')
"""


class Inventory:
    """An outbox with published events, and their records on the first partition of the topic."""

    def __init__(self, database: ServiceDatabase, shop: Shop) -> None:
        self._database, self._shop = database, shop
        for row in shop.execute("SELECT event_type, schema_version, schema_id, schema FROM waybill_schema_id"):
            execute(database, "INSERT INTO waybill_schema_id VALUES (%s, %s, %s, %s)", *row)

    def list_product(self, sku: str) -> None:
        event, event_id = ProductListed(sku=sku, name=sku, unit_price=1000, currency="EUR"), str(uuid4())
        payload = codec.encode(event)
        execute(self._database, PUBLISHED, event_id, TOPIC, sku, event.event_type, payload)
        execute(
            self._database, "UPDATE waybill_outbox_cursor SET position = (SELECT max(position) FROM waybill_outbox)"
        )
        producer = Producer({"bootstrap.servers": self._shop.bootstrap})
        told = {"ce_id": event_id, "ce_type": event.event_type, "ce_sequence": "1"}
        headers = [(name, said.encode()) for name, said in told.items()]
        framed = codec.frame(self._shop.ids[event.event_type], payload)
        producer.produce(TOPIC, framed, sku, partition=0, headers=headers)
        assert producer.flush(30) == 0


def command(shop: Shop, inventory: ServiceDatabase, *arguments: str) -> Ended:
    where = settings(shop.bootstrap, order=shop.database.service_url, inventory=inventory.service_url)
    return outbox(*arguments, **where)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gap_is_shown_with_its_remedy_and_closes_once_a_replay_has_filled_it(
    shop: Shop, broker: Broker, own_inventory: ServiceDatabase
):
    inventory = Inventory(own_inventory, shop)
    inventory.list_product("READ")
    with shop.run("consumer") as consumer:
        consumer.wait_for("the first one read", lambda: shop.priced("READ"), 60)
    inventory.list_product("LOST-1")
    inventory.list_product("LOST-2")
    broker.delete_records(TOPIC, PARTITIONS)
    with shop.run("consumer") as consumer:
        told = consumer.wait_for("the gap told", lambda: said(consumer.unready()), 60)
        (line,) = consumer.events("records missing")
        assert line["remedy"] in told
        shown = command(shop, own_inventory, "status", "--service", "order", "--json")
        (gap,) = shown.lines()[0]["missing_records"]
        assert (shown.code, line["remedy"] in shown.err, gap["topic"], gap["partition"]) == (1, True, TOPIC, 0)
        assert gap["last_offset"] - gap["first_offset"] == 1
        assert missing(consumer, TOPIC, 0) == 2
        _, *replay = line["remedy"].split()
        done = command(shop, own_inventory, *replay, "--execute", "--reason", "it was down")
        assert done.code == 0, done.err
        consumer.wait_for("filled", lambda: consumer.unready() is None, 60)
        assert consumer.events("missing records received")
        assert [shop.priced(sku) for sku in ("LOST-1", "LOST-2")] == [True, True]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gap_that_is_acknowledged_is_on_record_and_the_consumer_ready(shop: Shop, own_inventory: ServiceDatabase):
    gap = 'INSERT INTO waybill_offset_gap (topic, "partition", first_offset, last_offset) VALUES (%s, %s, 4, 9)'
    shop.execute(gap, TOPIC, 1)
    shop.execute(gap, "grown.v1", 17)
    acknowledge = ["acknowledge", "--service", "order", "--missing"]
    with shop.run("consumer") as consumer:
        consumer.wait_for("the gap told", lambda: said(consumer.unready()), 60)
        assert missing(consumer, "grown.v1", 17) == 6
        dry = command(shop, own_inventory, *acknowledge, "--all", "--json")
        assert (dry.code, len(dry.lines())) == (0, 2)
        assert command(shop, own_inventory, *acknowledge, "--all", "--execute").code == 2
        mistyped = command(shop, own_inventory, *acknowledge, "--topic", "inventory.event.v1")
        assert (mistyped.code, "no records on 'inventory.event.v1'" in mistyped.err, TOPIC in mistyped.err) == (
            1,
            True,
            True,
        )
        record = ["--execute", "--reason", "known", "--by", "ana"]
        one = command(shop, own_inventory, *acknowledge, "--topic", TOPIC, *record, "--json")
        assert [line["topic"] for line in one.lines()] == [TOPIC]
        assert command(shop, own_inventory, *acknowledge, "--all", *record).code == 0
        consumer.wait_for("ready", lambda: consumer.unready() is None, 30)
    assert command(shop, own_inventory, *acknowledge, "--all").code == 1
    audit = shop.execute("SELECT operator, verb, reason, what FROM waybill_operator_action ORDER BY id")
    assert audit[0] == ("ana", "acknowledge", "known", {"missing": [f"{TOPIC}/1 offsets 4 to 9"]})
    assert len(audit) == 2


def missing(consumer: Program, topic: str, partition: int) -> float:
    labels = {"topic": topic, "partition": str(partition)}.items()
    return parse(consumer.ask("/metrics")[1])["consumer_missing_records", frozenset(labels)]


def said(unready: str | None) -> str | None:
    return unready if unready and "records missing" in unready else None
