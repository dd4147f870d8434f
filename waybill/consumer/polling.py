"""What the client gives: records, read as messages, and errors. Needs no Django."""

import logging
from collections.abc import Callable
from operator import methodcaller
from typing import Any, cast

import confluent_kafka
import structlog

from waybill.consumer.broker_health import BrokerHealth
from waybill.consumer.message import Headers, Message
from waybill.kafka.access import one_line

log: Any = structlog.get_logger()
# Of librdkafka's own lines what matters comes as an error of a poll.
SILENT = logging.getLogger("waybill.librdkafka")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
# The client returns a result and an error at once, which a direct call that CPython has specialized does not notice.
ASK_HEADERS = methodcaller("headers")
UNAUTHORIZED = {
    confluent_kafka.KafkaError.GROUP_AUTHORIZATION_FAILED,
    confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED,
}
POLL_SECONDS = 0.5  # the longest that a stop or a periodic task waits while nothing comes


class Poller:
    """Read records, and heed the errors between them."""

    def __init__(
        self,
        consumer: confluent_kafka.Consumer,
        broker: BrokerHealth,
        out_of_range: Callable[[str, int], object],
        refused: Callable[[str | None, str], object],
    ) -> None:
        """Take whom errors concern.

        `out_of_range` is told topic and partition whose next offset is not in the log, `refused` the topic that may not
        be read, None for the group, and why.
        """
        self._consumer, self._broker = consumer, broker
        self._out_of_range, self._refused = out_of_range, refused

    def drain(self, limit: int) -> list[Message]:
        """Return what is ready, `limit` messages at most; blocks POLL_SECONDS where nothing is. Raises SystemExit."""
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return []
        return self._read([first, *self._consumer.consume(limit - 1, 0)])

    def wait(self, seconds: float) -> list[Message]:
        """Keep the membership while everything is paused; returns what a rebalance brings. Raises SystemExit."""
        late = self._consumer.poll(seconds)
        return self._read([late]) if late is not None else []

    def _read(self, polled: list[confluent_kafka.Message]) -> list[Message]:
        return [read(raw) for raw in polled if not self._heed(raw)]

    def _heed(self, raw: confluent_kafka.Message) -> bool:
        """Say whether it is an error and no record."""
        error, topic, partition = raw.error(), raw.topic(), raw.partition()
        if error is None:
            return False
        # A consumer that was put out of its group while frozen says it by the code alone, and gets no message any more.
        if error.fatal() or error.code() == confluent_kafka.KafkaError._FATAL:  # noqa: SLF001
            raise SystemExit(f"kafka: {error.str()}")  # this member is out of its group for good: start anew
        if error.code() == confluent_kafka.KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own code
            self._broker.down(error.str())
        elif error.code() == confluent_kafka.KafkaError._AUTO_OFFSET_RESET and topic and partition is not None:  # noqa: SLF001
            self._out_of_range(topic, partition)
        elif error.code() in UNAUTHORIZED:
            self._refused(topic, one_line(error))
        else:
            log.warning("kafka", error=error.str(), retriable=error.retriable())
        return True


def read(raw: confluent_kafka.Message) -> Message:
    """Return the record as a message; call it once for each, see `_headers`."""
    topic, partition, offset = raw.topic(), raw.partition(), raw.offset()
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
