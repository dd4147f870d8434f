"""A record that its consumer can neither handle nor keep is passed over, by an operator's decision on record."""

from uuid import uuid4

import pytest
from confluent_kafka import Producer

from schemas.events import ProductListed
from tests.support.outbox_command import Ended, outbox, settings
from tests.support.own_shop import Shop

TOPIC = "inventory.events.v1"
REFUSE = "ALTER TABLE received ADD CONSTRAINT refuse CHECK (headers->>'key' <> 'refused')"
EXECUTE = ["--execute", "--reason", "a test wrote it", "--by", "ana"]
PUBLISHED = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
VALUES (%s, %s, 'product', 'refused', 1, %s, 1, '', '{}')
"""


def skip(shop: Shop, offset: int, *more: str, topic: str = TOPIC, service: str = "order") -> Ended:
    """Skip a record of partition 0, with what was found as JSON."""
    where = settings(shop.bootstrap, order=shop.database.service_url)
    place = ["--topic", topic, "--partition", "0", "--offset", str(offset)]
    return outbox("skip", "--json", "--service", service, *place, *more, **where)


def refused_record(shop: Shop, event_id: str) -> int:
    """Put a record on the topic that is no event, and whose key the inbox refuses; returns its offset."""
    offsets: list[int] = []
    producer = Producer({"bootstrap.servers": shop.bootstrap})
    told = {"ce_id": event_id, "ce_type": ProductListed.event_type, "ce_sequence": "1", "ce_correlationid": "c-7"}
    headers = [(name, value.encode()) for name, value in told.items()]
    delivered = lambda _, message: offsets.append(message.offset())  # noqa: E731 - what Kafka calls
    producer.produce(TOPIC, b"v", b"refused", partition=0, headers=headers, on_delivery=delivered)
    assert producer.flush(30) == 0
    return offsets[0]


def not_received(shop: Shop) -> int:
    """What verify misses in the inbox."""
    where = settings(shop.bootstrap, order=shop.database.service_url)
    return outbox("verify", "--no-rows", "--json", **where).lines()[-1]["not_received"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_consumer_passes_over_a_skipped_record_without_a_restart_and_verify_does_not_miss_it(shop: Shop):
    event_id = str(uuid4())
    shop.execute(REFUSE)
    shop.execute(PUBLISHED, event_id, TOPIC, ProductListed.event_type)
    shop.execute("UPDATE waybill_outbox_cursor SET position = 1")
    at = refused_record(shop, event_id)
    named = f"outbox skip --service order --topic {TOPIC} --partition 0 --offset {at}"
    with shop.run("consumer") as consumer:
        consumer.wait_for("the record named", lambda: named in (consumer.unready() or ""), 90)
        assert [skip(shop, at + 1000).code, skip(shop, at, topic="lost").code, skip(shop, at, service="x").code] == [
            1,
            2,
            2,
        ]
        (shown,) = skip(shop, at).lines()
        assert (shown["key"], shown["event_id"], shown["correlation_id"]) == ("refused", event_id, "c-7")
        assert named in (consumer.unready() or "")  # it was a dry run
        assert skip(shop, at, "--execute").code == 2
        assert skip(shop, at, *EXECUTE).code == 0
        consumer.wait_for("ready", lambda: consumer.unready() is None, 90)
        shop.list_product("AFTER")
        consumer.wait_for("the next record handled", lambda: shop.priced("AFTER"), 60)
        consumer.wait_for("past it", lambda: "has read past it" in skip(shop, at).err, 30)
        (line,) = consumer.events("record skipped")
    assert (line["level"], line["place"], line["correlation_id"]) == ("warning", f"{TOPIC}/0/{at}", "c-7")
    assert (line["reason"], line["by"]) == ("a test wrote it", "ana")
    assert shop.execute("SELECT operator, verb, reason FROM waybill_operator_action") == [
        ("ana", "skip", "a test wrote it")
    ]
    assert not_received(shop) == 0
    shop.execute("DELETE FROM waybill_operator_decision")
    assert not_received(shop) == 1


@pytest.mark.slow
def test_a_record_that_the_inbox_has_or_that_is_skipped_already_is_refused(shop: Shop):
    event_id = str(uuid4())
    at = refused_record(shop, event_id)
    row = "INSERT INTO received (id, msg_id, added, expires_at, retry, status) VALUES (%s, %s, now(), now(), 0, %s)"
    for status, said in ((2, "as handled"), (-1, "outbox discard --service order")):
        shop.execute(row, uuid4(), f"order_service:{event_id}", status)
        assert said in skip(shop, at, *EXECUTE).err
        shop.execute("DELETE FROM received")
    assert skip(shop, at, *EXECUTE).code == 0
    again = skip(shop, at, *EXECUTE)
    assert (again.code, "skipped already" in again.err) == (1, True)
    assert len(shop.execute("SELECT FROM waybill_operator_decision")) == 1
