"""Ghosts can be acknowledged on record; `verify` then counts them apart and does not fail for them."""

import uuid

from confluent_kafka import Producer

from tests.support.outbox_command import Ended, outbox, settings
from tests.support.relays import Outbox, append, relay
from tests.support.verifying import published, send, verify

EXECUTE = ["--execute", "--reason", "subscribers were told", "--by", "ana"]


def acknowledge(own: Outbox, *arguments: str) -> Ended:
    """Acknowledge, with what was found as JSON."""
    where = settings(own.kafka, shop=own.database.service_url)
    return outbox("acknowledge", "--json", "--service", "shop", *arguments, **where)


def place(line: dict[str, object]) -> list[str]:
    """Choose the record of the line."""
    return [word for name in ("topic", "partition", "offset") for word in (f"--{name}", str(line[name]))]


def test_an_acknowledged_ghost_is_counted_apart_and_another_one_is_still_a_fault(own_outbox: Outbox):
    published(own_outbox)
    first = uuid.uuid4()
    send(own_outbox, "a", first, 4)
    send(own_outbox, "b", "no event's id", 4)
    dry = acknowledge(own_outbox, "--all")
    assert (dry.code, {one["event_id"] for one in dry.lines()}) == (0, {str(first), None})
    assert verify(own_outbox)[1]["ghost"] == 2
    (nameless,) = [line for line in dry.lines() if line["event_id"] is None]
    assert len(acknowledge(own_outbox, *place(nameless), *EXECUTE).lines()) == 1
    done, counts, _ = verify(own_outbox)
    assert (done.code, counts["ghost"], counts["acknowledged"]) == (1, 1, 1)
    assert acknowledge(own_outbox, "--all", *EXECUTE).code == 0
    send(own_outbox, "a", first, 4)  # a copy of it
    done, counts, faults = verify(own_outbox)
    assert (done.code, counts["acknowledged"], faults) == (0, 2, [])
    assert acknowledge(own_outbox, "--all").code == 1
    send(own_outbox, "a", uuid.uuid4(), 5)
    assert verify(own_outbox)[1]["ghost"] == 1
    audit = own_outbox.execute("SELECT operator, verb, reason FROM waybill_operator_action ORDER BY id")
    assert audit == [("ana", "acknowledge", "subscribers were told")] * 2


def test_a_record_whose_event_is_in_the_outbox_is_not_acknowledged(own_outbox: Outbox):
    published(own_outbox)
    done = acknowledge(own_outbox, "--topic", own_outbox.topic, "--partition", "0", "--offset", "0", *EXECUTE)
    assert (done.code, done.out) == (1, "")
    assert f"no ghost at {own_outbox.topic}/0/0" in done.err
    assert own_outbox.execute("SELECT FROM waybill_operator_decision") == []


def test_a_record_of_any_bytes_can_be_acknowledged(own_outbox: Outbox):
    published(own_outbox)
    producer = Producer({"bootstrap.servers": own_outbox.kafka})
    headers = [("ce_type", b"\x00\xff"), ("ce_sequence", b"99999999999")]
    producer.produce(own_outbox.topic, b"\x00", b"\x00\xff" * 3000, headers=headers)
    assert producer.flush(10) == 0
    assert acknowledge(own_outbox, "--all", *EXECUTE).code == 0
    done, counts, _ = verify(own_outbox)
    assert (done.code, counts["acknowledged"]) == (0, 1)


def test_what_a_restored_database_lost_is_acknowledged_at_once_and_no_version_is_missed(own_outbox: Outbox):
    published(own_outbox)
    own_outbox.execute("DELETE FROM waybill_outbox WHERE aggregate_id = 'a' AND aggregate_version = 2")
    own_outbox.execute("DELETE FROM waybill_outbox WHERE aggregate_id = 'b' AND aggregate_version = 3")
    _, counts, _ = verify(own_outbox)
    assert (counts["ghost"], counts["versions"]) == (2, 1)
    assert len(acknowledge(own_outbox, "--all", *EXECUTE).lines()) == 2
    with own_outbox.connect() as writer, relay(own_outbox):
        append(writer, own_outbox.topic, "b", 3)
        own_outbox.wait_for_cursor(7)
    done, counts, faults = verify(own_outbox)
    assert (done.code, counts["acknowledged"], faults) == (0, 2, [])
    own_outbox.execute("DELETE FROM waybill_outbox WHERE aggregate_id = 'b' AND aggregate_version = 1")
    assert verify(own_outbox)[1]["versions"] == 1


def test_what_to_acknowledge_must_be_said(own_outbox: Outbox):
    for wrong in [[], ["--all", "--topic", "t"], ["--topic", "t", "--offset", "1"], ["--partition", "1", "--all"]]:
        assert acknowledge(own_outbox, *wrong).code == 2
    assert acknowledge(own_outbox, "--all", "--service", "shop", "--execute").code == 2
