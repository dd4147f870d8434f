"""Whatever happens to the broker, the relay goes on by itself: no dead letter, every key's versions in order.

The time-outs are shortened by settings, so that a few seconds stand for an hour's outage.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from tests.support.broker import Broker, own_broker
from tests.support.outbox_command import outbox as command
from tests.support.outbox_command import settings
from tests.support.relays import Outbox, RelayProcess, make_topic, read_topic, relay, versions
from tests.support.traffic import KEYS, Traffic

STALL = {"WAYBILL_RELAY_STALL_SECONDS": "1"}
IMPATIENT = STALL | {"WAYBILL_RELAY_TOPIC_GRACE_SECONDS": "0"}


def flowing(running: RelayProcess, outbox: Outbox, written: Traffic) -> None:
    """Wait until something has arrived that was written only after this was called."""
    position = written.position + len(KEYS)
    running.wait_for("going on", lambda: outbox.cursor()[0] > position, 30)


def outlives(outbox: Outbox, breaking: Callable[[], None], repair: Callable[[], None]) -> None:
    """Break the broker under traffic for longer than every time-out, which are all short; nothing comes of it."""
    with relay(outbox, **IMPATIENT) as running:
        with Traffic(outbox) as written:
            flowing(running, outbox, written)
            breaking()
            running.wait_for("the time-outs", lambda: running.failures("broker") >= 2, 30)
            assert "broker" in (running.unready() or "")
            repair()
            flowing(running, outbox, written)
        written.wait_until_published()
        assert running.unready() is None
    written.assert_all_in_order()


@pytest.mark.slow
@pytest.mark.parametrize("away", [Broker.kill, Broker.freeze])
def test_a_broker_away_for_longer_than_every_time_out_leaves_no_dead_letter_and_costs_no_order(
    broker: Broker, broker_outbox: Outbox, away: Callable[[Broker], None]
):
    outlives(broker_outbox, partial(away, broker), broker.repair)


@pytest.mark.slow
def test_too_few_in_sync_replicas_for_longer_than_every_time_out_leave_no_dead_letter_and_cost_no_order(
    broker: Broker, broker_outbox: Outbox
):
    with own_broker(broker):
        topic = broker.make_topic_with_two_replicas()
    wanted = partial(broker.configure, topic, "min.insync.replicas")
    outlives(replace(broker_outbox, topic=topic), partial(wanted, 2), partial(wanted, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("noticed", "partitions"), [("broker", 3), ("does not exist", 1)])
def test_a_topic_deleted_and_made_again_within_the_grace_leaves_no_dead_letter_and_costs_no_order(
    broker: Broker, broker_outbox: Outbox, noticed: str, partitions: int
):
    topic = broker_outbox.topic
    with relay(broker_outbox, **STALL) as running:
        with Traffic(broker_outbox) as written:
            flowing(running, broker_outbox, written)
            broker.delete_topic(topic)
            gone_at = written.version
            running.wait_for("the reason", lambda: noticed in (running.unready() or ""))
            make_topic(broker_outbox.kafka, name=topic, partitions=partitions)
            flowing(running, broker_outbox, written)
        written.wait_until_published()
        assert running.unready() is None
    found = versions(read_topic(broker_outbox.kafka, topic))
    for key in KEYS:
        assert found[key] == list(range(found[key][0], written.version + 1))
        assert found[key][0] <= gone_at + 1


def test_records_deleted_past_the_producers_last_one_cost_nothing_more(broker: Broker, broker_outbox: Outbox):
    with relay(broker_outbox, **STALL) as running:
        with Traffic(broker_outbox) as written:
            flowing(running, broker_outbox, written)
        written.wait_until_published()
        written.assert_all_in_order()
        broker.delete_records(broker_outbox.topic, 3)
        assert read_topic(broker_outbox.kafka, broker_outbox.topic) == []
        before = written.version
        with written:
            flowing(running, broker_outbox, written)
        written.wait_until_published()
        assert running.unready() is None
    written.assert_all_in_order(since=before)


@pytest.mark.slow
def test_a_cut_tail_does_not_stop_the_relay_and_verify_names_exactly_what_is_lost(
    broker: Broker, broker_outbox: Outbox
):
    topic = broker_outbox.topic
    with relay(broker_outbox, **STALL) as running:
        with Traffic(broker_outbox) as written:
            flowing(running, broker_outbox, written)
            broker.kill()
            broker.cut_tail(topic, 0)
            broker.cut_tail(topic, 1)
            broker.start()
            flowing(running, broker_outbox, written)
        written.wait_until_published()
        assert running.unready() is None
    records = read_topic(broker_outbox.kafka, topic)
    assert all(found == sorted(found) for found in versions(records).values())
    there = {record.headers["ce_id"] for record in records}
    lost = {
        position
        for position, event_id in broker_outbox.execute("SELECT position, event_id::text FROM waybill_outbox")
        if event_id not in there
    }
    assert lost
    where = settings(broker_outbox.kafka, shop=broker_outbox.database.service_url)
    done = command("verify", "--no-rows", "--json", **where)
    *faults, counts = done.lines()
    assert {(fault["kind"], fault["position"]) for fault in faults} == {("lost", position) for position in lost}
    assert (done.code, counts["lost"]) == (1, len(lost))


def test_a_registry_that_is_away_for_the_whole_run_is_not_missed(broker_outbox: Outbox):
    with relay(broker_outbox, WAYBILL_REGISTRY_URL="http://127.0.0.1:1") as running:
        with Traffic(broker_outbox) as written:
            flowing(running, broker_outbox, written)
        written.wait_until_published()
        assert running.unready() is None
    written.assert_all_in_order()
