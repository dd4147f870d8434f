"""What the broker refuses for a record's own sake becomes a dead letter, in order; an outage leaves none."""

from django_outbox_pattern.choices import StatusChoice

from outbox_relay.relay.dead_letters import BLOCKED, STORE
from tests.support.relays import (
    Outbox,
    append,
    append_many,
    make_topic,
    read_topic,
    relay,
    set_limit,
    versions,
)

LIMIT = 10_000
KNOWS_NOTHING = """
from outbox_relay.relay import dead_letters
from outbox_relay.relay.program.serving import main
dead_letters._against = lambda *_: None
main()
"""


def test_nothing_of_an_aggregate_passes_a_record_that_is_too_large_and_others_flow(outbox: Outbox):
    set_limit(outbox.kafka, outbox.topic, LIMIT)
    with outbox.connect() as writer:
        for aggregate, version, size in [("a", 1, 20), ("a", 2, 20_000), ("b", 1, 20), ("a", 3, 20), ("b", 2, 20)]:
            append(writer, outbox.topic, aggregate, version, size=size)
        with relay(outbox):
            outbox.wait_for_cursor(5)
        with relay(outbox):  # the next relay knows the dead letters
            append(writer, outbox.topic, "a", 4)
            append(writer, outbox.topic, "b", 3)
            outbox.wait_for_cursor(7)
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1], "b": [1, 2, 3]}
    assert outbox.dead_letters() == [("a", 2, "too_large"), ("a", 3, "behind"), ("a", 4, "behind")]


def test_many_small_records_pass_a_small_limit(outbox: Outbox):
    other = make_topic(outbox.kafka, **{"max.message.bytes": str(LIMIT)})
    with relay(outbox), outbox.connect() as writer:
        append_many(writer, outbox.topic, 1_000)
        outbox.wait_for_cursor(1_000)
        for version in range(1, 101):
            append(writer, other, "a", version, size=1_000)
        outbox.wait_for_cursor(1_100)
    assert versions(read_topic(outbox.kafka, other)) == {"a": list(range(1, 101))}
    assert outbox.dead_letters() == []


def test_a_limit_lowered_behind_the_relays_back_costs_no_order(outbox: Outbox):
    with relay(outbox) as running, outbox.connect() as writer:
        append(writer, outbox.topic, "a", 1, size=50_000)
        outbox.wait_for_cursor(1)
        set_limit(outbox.kafka, outbox.topic, LIMIT)
        for aggregate, version, size in [("a", 2, 20), ("a", 3, 50_000), ("b", 1, 20), ("a", 4, 20)]:
            append(writer, outbox.topic, aggregate, version, size=size)
        outbox.wait_for_cursor(5)
        assert running.unready() is None
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1, 2], "b": [1]}
    assert [(key, version) for key, version, _ in outbox.dead_letters()] == [("a", 3), ("a", 4)]


def test_a_record_that_only_the_broker_finds_fault_with_becomes_a_dead_letter_by_its_answer(outbox: Outbox):
    set_limit(outbox.kafka, outbox.topic, LIMIT)
    with outbox.connect() as writer:
        for number in range(1, 6):
            append(writer, outbox.topic, f"before-{number}", 1)
        for aggregate, version, size in [("a", 1, 20), ("a", 2, 20_000), ("b", 1, 20), ("a", 3, 20), ("b", 2, 20)]:
            append(writer, outbox.topic, aggregate, version, size=size)
    with relay(outbox, program=("-c", KNOWS_NOTHING)) as running:
        outbox.wait_for_cursor(10)
        assert running.unready() is None
    found = versions(read_topic(outbox.kafka, outbox.topic))
    assert (found["a"], found["b"], len(found)) == ([1], [1, 2], 7)
    assert outbox.dead_letters() == [("a", 2, "refused"), ("a", 3, "behind")]


def test_nothing_passes_a_refused_record_on_a_partition_that_has_seen_nothing_of_this_relay(outbox: Outbox):
    set_limit(outbox.kafka, outbox.topic, LIMIT)
    with outbox.connect() as writer:
        for aggregate, version, size in [("a", 1, 20_000), ("a", 2, 20), ("a", 3, 20), ("b", 1, 20), ("b", 2, 20)]:
            append(writer, outbox.topic, aggregate, version, size=size)
    with relay(outbox, program=("-c", KNOWS_NOTHING)):
        outbox.wait_for_cursor(5)
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"b": [1, 2]}
    assert outbox.dead_letters() == [("a", 1, "refused"), ("a", 2, "behind"), ("a", 3, "behind")]


def test_a_topic_made_within_the_grace_leaves_no_dead_letter(outbox: Outbox):
    late = f"{outbox.topic}.late"
    with relay(outbox) as running, outbox.connect() as writer:
        append(writer, late, "a", 1)
        running.wait_for("the reason", lambda: f"'{late}' does not exist" in (running.unready() or ""))
        make_topic(outbox.kafka, name=late)
        outbox.wait_for_cursor(1)
        assert outbox.dead_letters() == []
        assert versions(read_topic(outbox.kafka, late)) == {"a": [1]}


def test_an_unknown_topic_becomes_a_dead_letter_after_the_grace_and_others_flow(outbox: Outbox):
    with relay(outbox, WAYBILL_RELAY_TOPIC_GRACE_SECONDS="0.5") as running, outbox.connect() as writer:
        append(writer, "test.never.v1", "a", 1)
        append(writer, outbox.topic, "b", 1)
        append(writer, outbox.topic, "a", 2)
        for key, name in [("c", "no such/topic?"), ("d", ""), ("e", "x" * 300)]:
            append(writer, name, key, 1)
        outbox.wait_for_cursor(6)
        assert running.unready() is None
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"b": [1]}
    assert outbox.dead_letters() == [
        ("a", 1, "unknown_topic"),
        ("a", 2, "behind"),
        *((key, 1, "unknown_topic") for key in "cde"),
    ]


def test_a_broker_that_is_away_leaves_no_dead_letter_and_is_named(outbox: Outbox):
    with relay(outbox, WAYBILL_KAFKA_BOOTSTRAP="127.0.0.1:1") as running, outbox.connect() as writer:
        append(writer, outbox.topic, "a", 1)
        running.wait_for("the reason", lambda: "broker" in (running.unready() or ""))
        assert running.stop() == 0
        assert len(running.events("waiting")) == 1
    assert (outbox.cursor(), outbox.dead_letters()) == ((0, []), [])


def test_a_database_that_is_away_says_so(outbox: Outbox):
    with relay(outbox, WAYBILL_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing") as running:
        running.wait_for("the reason", lambda: "database: connection" in (running.unready() or ""))
        assert running.stop() == 0
        assert len(running.events("waiting")) == 1


def test_the_statuses_are_those_of_django_outbox_pattern():
    assert f"0, {StatusChoice.FAILED.value}, %s" in STORE
    assert f"status <> {StatusChoice.SUCCEEDED.value}" in BLOCKED
