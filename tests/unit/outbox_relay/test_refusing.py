"""Which of the broker's answers are about a record, and which are about the world."""

from confluent_kafka import KafkaError

from outbox_relay.relay.dead_letters import REFUSALS


def test_a_clock_that_is_ahead_parks_nothing():
    assert KafkaError.INVALID_TIMESTAMP not in REFUSALS
