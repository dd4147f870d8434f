"""Schedules around missing positions, each on a real server: who is waited for, who is not, what is repeated."""

import signal
from collections.abc import Callable

import psycopg
import pytest

from tests.support.relays import (
    EVENT_TYPE,
    Outbox,
    RelayProcess,
    append,
    append_many,
    read_topic,
    relay,
    repeated,
    versions,
)

NO_GAP: list[int] = []


def test_a_rolled_back_position_does_not_hold_the_cursor(outbox: Outbox):
    with relay(outbox), outbox.connect(autocommit=False) as writer, outbox.connect() as other:
        append(writer, outbox.topic, "a", 1)
        append(other, outbox.topic, "b", 1)
        outbox.wait_for_cursor(2, [1, 1])
        writer.rollback()
        outbox.wait_for_cursor(2, NO_GAP)


def test_a_rollback_to_a_savepoint_does_not_hold_the_cursor(outbox: Outbox):
    with relay(outbox), outbox.connect(autocommit=False) as writer, outbox.connect() as other:
        append(writer, outbox.topic, "a", 1)
        with writer.transaction() as savepoint:
            append(writer, outbox.topic, "a", 2)
            raise psycopg.Rollback(savepoint)
        append(other, outbox.topic, "b", 1)
        outbox.wait_for_cursor(3, [1, 2])
        writer.commit()
        outbox.wait_for_cursor(3, NO_GAP)
        assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1], "b": [1]}


def test_a_million_positions_under_way_are_one_gap(outbox: Outbox):
    outbox.execute("GRANT USAGE ON SEQUENCE waybill_outbox_position_seq TO test_service")
    with relay(outbox), outbox.connect(autocommit=False) as importing, outbox.connect() as other:
        append(importing, outbox.topic, "a", 1)
        importing.execute("SELECT count(nextval('waybill_outbox_position_seq')) FROM generate_series(1, 1000000)")
        append(other, outbox.topic, "b", 1)
        outbox.wait_for_cursor(1_000_002, [1, 1_000_001])
        importing.commit()
        outbox.wait_for_cursor(1_000_002, NO_GAP)
        assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1], "b": [1]}


@pytest.mark.slow
@pytest.mark.parametrize("end", [RelayProcess.kill, RelayProcess.stop], ids=["kill", "stop"])
def test_a_session_that_wrote_and_idles_delays_nobody_and_a_restart_behind_it_repeats_nothing(
    outbox: Outbox, end: Callable[[RelayProcess], object]
):
    with outbox.connect(autocommit=False) as idle, outbox.connect() as other:
        with relay(outbox) as ended:
            append(idle, outbox.topic, "idle", 1)
            append_many(other, outbox.topic, 5_000)
            outbox.wait_for_cursor(5_001, [1, 1])
            end(ended)
        with relay(outbox):
            append(other, outbox.topic, "late", 1)
            outbox.wait_for_cursor(5_002, [1, 1])
            idle.commit()
            outbox.wait_for_cursor(5_002, NO_GAP)
    records = read_topic(outbox.kafka, outbox.topic)
    assert (len(records), repeated(records)) == (5_002, 0)


@pytest.mark.slow
def test_a_kill_repeats_no_more_than_the_batches_in_flight(outbox: Outbox):
    rows, in_flight = 500, 2
    bounds = {"WAYBILL_RELAY_BATCH_ROWS": str(rows), "WAYBILL_RELAY_BATCHES_IN_FLIGHT": str(in_flight)}
    with outbox.connect() as writer:
        append_many(writer, outbox.topic, 60_000)
    with relay(outbox, **bounds) as killed:
        killed.wait_for("the first batches", lambda: outbox.cursor()[0] > 5_000)
        killed.kill()
    assert outbox.cursor()[0] < 60_000
    with relay(outbox, **bounds):
        outbox.wait_for_cursor(60_000)
    records = read_topic(outbox.kafka, outbox.topic)
    assert len({record.headers["ce_id"] for record in records}) == 60_000
    assert repeated(records) <= rows * in_flight


def test_a_prepared_transaction_outlives_the_relays_session(outbox: Outbox):
    with relay(outbox) as running, outbox.connect(autocommit=False) as preparing, outbox.connect() as other:
        preparing.tpc_begin(preparing.xid(1, outbox.topic, ""))
        append(preparing, outbox.topic, "prepared", 1)
        preparing.tpc_prepare()
        append(other, outbox.topic, "b", 1)
        outbox.wait_for_cursor(2, [1, 1])
        outbox.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^outbox_relay'"
        )
        running.wait_for("a new session", lambda: len(running.events("relay_leads")) == 2)
        append(other, outbox.topic, "b", 2)
        outbox.wait_for_cursor(3, [1, 1])
        preparing.tpc_commit()
        outbox.wait_for_cursor(3, NO_GAP)
        assert versions(read_topic(outbox.kafka, outbox.topic)) == {"prepared": [1], "b": [1, 2]}


def test_private_events_are_passed_and_never_published(outbox: Outbox):
    with relay(outbox), outbox.connect() as writer:
        append(writer, None, "a", 1)
        append(writer, outbox.topic, "a", 2)
        append(writer, None, "a", 3)
        outbox.wait_for_cursor(3)
        assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [2]}


def test_large_payloads_arrive_whole(outbox: Outbox):
    with outbox.connect() as writer, relay(outbox):
        for version, size in enumerate([100_000, 8_192, 8_193, 900_000], start=1):
            append(writer, outbox.topic, "a", version, size=size)
        outbox.wait_for_cursor(4)
    sizes = [len(record.value) - 5 for record in read_topic(outbox.kafka, outbox.topic)]
    assert sizes == [100_000, 8_192, 8_193, 900_000]


def test_an_event_without_a_schema_id_waits_and_becomes_no_dead_letter(outbox: Outbox):
    with relay(outbox) as running, outbox.connect() as writer:
        append(writer, outbox.topic, "a", 1)
        append(writer, outbox.topic, "a", 2, event_type="waybill.order.Unheard")
        append(writer, outbox.topic, "a", 3)
        running.wait_for("the reason", lambda: "waybill.order.Unheard v1" in (running.unready() or ""))
        outbox.wait_for_cursor(1)
        outbox.execute("INSERT INTO waybill_schema_id VALUES ('waybill.order.Unheard', 1, 78)")
        outbox.wait_for_cursor(3)
        assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1, 2, 3]}
        assert outbox.dead_letters() == []
        assert running.unready() is None
        assert len(running.events("waiting")) == len(running.events("recovered")) == 1


def test_a_stop_finishes_what_is_in_flight_and_exits_cleanly(outbox: Outbox):
    with outbox.connect() as writer, relay(outbox) as running:
        append_many(writer, outbox.topic, 20_000)
        running.wait_for("the first batch", lambda: outbox.cursor()[0] > 0)
        running.signal(signal.SIGTERM)
        assert running.process.wait(10) == 0
    position, _ = outbox.cursor()
    records = read_topic(outbox.kafka, outbox.topic)
    assert (len(records), repeated(records)) == (position, 0)


def test_a_record_carries_its_event_and_its_causes(outbox: Outbox):
    causes = {
        "correlation_id": "c-1",
        "causation_id": "c-0",
        "request_id": "r-1",
        "actor": "someone",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor=1",
    }
    with outbox.connect() as writer, relay(outbox):
        append(writer, outbox.topic, "ä", 1, metadata=causes)
        outbox.wait_for_cursor(1)
        event_id, payload, recorded_at = outbox.execute(
            "SELECT event_id::text, payload, to_char(recorded_at AT TIME ZONE 'UTC', %s) FROM waybill_outbox",
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"',
        )[0]
    (record,) = read_topic(outbox.kafka, outbox.topic)
    assert record.key == "ä"
    assert record.value == b"\0\0\0\0\x4d" + payload
    assert record.headers == {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": "/waybill/order_service",
        "ce_type": EVENT_TYPE,
        "ce_subject": "ä",
        "ce_time": recorded_at,
        "ce_sequence": "1",
        "ce_correlationid": "c-1",
        "ce_causationid": "c-0",
        "content-type": "application/avro",
        "traceparent": causes["traceparent"],
        "tracestate": "vendor=1",
    }
