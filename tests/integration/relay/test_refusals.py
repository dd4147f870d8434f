"""What the real broker refuses: the aggregate waits in order, all others flow, and nothing passes what waits."""

import itertools

import psycopg
import pytest

from tests.support.broker import Broker
from tests.support.relays import (
    Outbox,
    RelayProcess,
    append,
    make_topic,
    read_topic,
    relay,
    set_limit,
    versions,
)

LIMIT = 10_000
OPEN_AGAIN_SECONDS = 5  # the relay asks anew once what it knows of a topic is a second old


@pytest.fixture
def other(broker_outbox: Outbox) -> str:
    """A second topic of the same outbox."""
    return make_topic(broker_outbox.kafka)


def publish_anew(running: RelayProcess, outbox: Outbox, writer: psycopg.Connection, *, size: int = 20) -> str:
    """Write one new aggregate after the other until one is published rather than refused; returns its key."""
    keys = (f"new-{number}" for number in itertools.count())

    def look() -> str | None:
        key = next(keys)
        outbox.wait_for_cursor(append(writer, outbox.topic, key, 1, size=size))
        return None if key in {refused for refused, _, _ in outbox.dead_letters()} else key

    return running.wait_for("the topic open again", look, OPEN_AGAIN_SECONDS)


def of_old(outbox: Outbox) -> list[tuple[str, int, str]]:
    """The dead letters, without the aggregates of `publish_anew`."""
    return [one for one in outbox.dead_letters() if not one[0].startswith("new-")]


def test_records_of_a_topic_closed_to_the_relay_become_dead_letters_until_it_is_opened_and_others_flow(
    broker: Broker, broker_outbox: Outbox, other: str
):
    topic = broker_outbox.topic
    with relay(broker_outbox) as running, broker_outbox.connect() as writer:
        append(writer, topic, "a", 1)
        append(writer, topic, "b", 1)
        broker_outbox.wait_for_cursor(2)
        with broker.read_only(topic):
            for where, key, version in [(topic, "a", 2), (other, "c", 1), (topic, "a", 3), (topic, "d", 1)]:
                append(writer, where, key, version)
            broker_outbox.wait_for_cursor(6)
            assert running.unready() is None
        new = publish_anew(running, broker_outbox, writer)
        for where, key, version in [(topic, "a", 4), (topic, "b", 2), (other, "c", 2)]:
            last = append(writer, where, key, version)
        broker_outbox.wait_for_cursor(last)
    assert versions(read_topic(broker.bootstrap, topic)) == {"a": [1], "b": [1, 2], new: [1]}
    assert versions(read_topic(broker.bootstrap, other)) == {"c": [1, 2]}
    assert of_old(broker_outbox) == [
        ("a", 2, "not_authorised"),
        ("a", 3, "behind"),
        ("d", 1, "not_authorised"),
        ("a", 4, "behind"),
    ]


@pytest.mark.slow
def test_a_topic_deleted_for_longer_than_the_grace_makes_dead_letters_of_its_records_and_others_flow(
    broker: Broker, broker_outbox: Outbox, other: str
):
    topic = broker_outbox.topic
    grace = {"WAYBILL_RELAY_STALL_SECONDS": "1", "WAYBILL_RELAY_TOPIC_GRACE_SECONDS": "1"}
    with relay(broker_outbox, **grace) as running, broker_outbox.connect() as writer:
        append(writer, topic, "a", 1)
        broker_outbox.wait_for_cursor(1)
        broker.delete_topic(topic)
        for where, key, version in [(topic, "a", 2), (other, "c", 1), (topic, "a", 3), (topic, "a", 4)]:
            append(writer, where, key, version)
        broker_outbox.wait_for_cursor(5)
        assert running.unready() is None
        make_topic(broker.bootstrap, name=topic)
        new = publish_anew(running, broker_outbox, writer)
        for where, key, version in [(topic, "a", 5), (topic, "b", 1), (other, "c", 2)]:
            last = append(writer, where, key, version)
        broker_outbox.wait_for_cursor(last)
    assert versions(read_topic(broker.bootstrap, topic)) == {"b": [1], new: [1]}
    assert versions(read_topic(broker.bootstrap, other)) == {"c": [1, 2]}
    reasons = ["unknown_topic", "behind", "behind", "behind"]
    assert of_old(broker_outbox) == [("a", version, reason) for version, reason in enumerate(reasons, start=2)]


def test_too_large_fine_fine_leaves_nothing_of_the_key_on_the_topic_until_it_is_released(broker_outbox: Outbox):
    set_limit(broker_outbox.kafka, broker_outbox.topic, LIMIT)
    with broker_outbox.connect() as writer:
        with writer.transaction():  # one batch, with a key that has nothing to do with it
            for key, version, size in [("a", 1, 2 * LIMIT), ("b", 1, 20), ("a", 2, 20), ("b", 2, 20), ("a", 3, 20)]:
                append(writer, broker_outbox.topic, key, version, size=size)
        with relay(broker_outbox) as running:
            broker_outbox.wait_for_cursor(5)
            set_limit(broker_outbox.kafka, broker_outbox.topic, 3 * LIMIT)
            new = publish_anew(running, broker_outbox, writer, size=2 * LIMIT)
            broker_outbox.wait_for_cursor(append(writer, broker_outbox.topic, "a", 4))
            assert versions(read_topic(broker_outbox.kafka, broker_outbox.topic)) == {"b": [1, 2], new: [1]}
            reasons = ["too_large", "behind", "behind", "behind"]
            assert of_old(broker_outbox) == [("a", version, reason) for version, reason in enumerate(reasons, start=1)]
