"""Which of the broker's answers are about a record, and which are about the environment."""

from confluent_kafka import KafkaError

from outbox_relay.relay.dead_letters import REFUSALS


def test_a_clock_that_is_ahead_leaves_no_dead_letter():
    assert KafkaError.INVALID_TIMESTAMP not in REFUSALS
