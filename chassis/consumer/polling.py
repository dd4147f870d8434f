"""What a poll brings: records, read as messages, and the client's errors."""

from operator import methodcaller
from typing import Any, cast

import confluent_kafka
import structlog

from chassis.broker_health import BrokerHealth
from chassis.consumer import offset_gaps
from chassis.message import Headers, Message
from chassis.sqlstate import may_succeed_later, one_line

log: Any = structlog.get_logger()
# The client returns a result and an error at once, which a direct call that CPython has specialized does not notice.
ASK_HEADERS = methodcaller("headers")
POLL_SECONDS = 0.5


def drain(consumer: confluent_kafka.Consumer, limit: int, broker: BrokerHealth) -> list[Message]:
    """Return what is ready, `limit` messages at most; blocks POLL_SECONDS where nothing is."""
    first = consumer.poll(POLL_SECONDS)
    if first is None:
        return []
    polled = [first, *consumer.consume(limit - 1, 0)]
    return [m for raw in polled if (m := read(consumer, raw, broker)) is not None]


def read(consumer: confluent_kafka.Consumer, raw: confluent_kafka.Message, broker: BrokerHealth) -> Message | None:
    """Return the record, or None for an error, which is heeded; raises SystemExit where the member left its group."""
    error, topic, partition, offset = raw.error(), raw.topic(), raw.partition(), raw.offset()
    # A consumer that was put out of its group while frozen says it by the code alone, and is given no message any more.
    if error is not None and (error.fatal() or error.code() == confluent_kafka.KafkaError._FATAL):  # noqa: SLF001
        raise SystemExit(f"kafka: {error.str()}")  # this member is out of its group for good: start anew
    if error is not None:
        _heed(consumer, error, topic, partition, broker)
        return None
    assert topic is not None and partition is not None and offset is not None  # noqa: PT018 - a record has all three
    headers, unreadable = _headers(raw)
    return Message(topic, partition, offset, raw.key(), headers, raw.value(), raw.timestamp()[1], unreadable)


def _headers(raw: confluent_kafka.Message) -> tuple[Headers, str]:
    """Return the headers, or none and why: the client decodes their names as UTF-8, and fails for all where one is not.

    It fails the first time only, and then has invalid memory where the name should be: never ask for them again.
    """
    try:
        return cast("Headers", tuple(ASK_HEADERS(raw) or ())), ""
    except (SystemError, UnicodeDecodeError) as error:
        return (), f"the name of a header is not UTF-8 ({error.__cause__ or error})"


def _heed(
    consumer: confluent_kafka.Consumer,
    error: confluent_kafka.KafkaError,
    topic: str | None,
    partition: int | None,
    broker: BrokerHealth,
) -> None:
    if error.code() == confluent_kafka.KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own code
        broker.down(error.str())
    elif error.code() == confluent_kafka.KafkaError._AUTO_OFFSET_RESET and topic and partition is not None:  # noqa: SLF001
        _resume(consumer, topic, partition)
    else:
        log.warning("kafka", error=error.str(), retriable=error.retriable())


def _resume(consumer: confluent_kafka.Consumer, topic: str, partition: int) -> None:
    """Read on where an offset is out of range; leaves the program where that fails, for its next start asks again."""
    try:
        offset_gaps.resume(consumer, topic, partition)
    except confluent_kafka.KafkaException as error:
        raise SystemExit(f"kafka: cannot tell where to read on in {topic}/{partition}: {error}") from None
    except Exception as error:
        if not may_succeed_later(error):
            raise
        raise SystemExit(f"cannot keep what is missing of {topic}/{partition}: {one_line(error)}") from None
