"""The loop: poll, hand over, retry with backoff while the environment fails, commit offsets once a second."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event as Flag

import confluent_kafka
import structlog
from django.db import connection

from chassis import failpoint, metrics, watchdog
from chassis.broker_health import STATISTICS_MS, BrokerHealth
from chassis.condition import Condition
from chassis.consumer import handling, offset_gaps
from chassis.consumer.housekeeping import clean
from chassis.consumer.polling import drain, read
from chassis.consumer.registered import redrive_registered
from chassis.message import Message
from chassis.outcomes import ParkingStopped
from chassis.service import Service
from chassis.settings import Settings
from chassis.sqlstate import ErrorClass, classify, may_succeed_later, one_line

log: structlog.stdlib.BoundLogger = structlog.get_logger()
# Of librdkafka's own lines what matters comes as an error of a poll.
SILENT = logging.getLogger("chassis.librdkafka")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
NAN = float("nan")
MESSAGE_SECONDS = 0.01  # twice what a transaction takes that has one message
COMMIT_SECONDS = 1.0  # a crash brings back what was handled since, and the inbox knows it
GAPS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Loop:
    """What one run of the consumer has in hand."""

    consumer: confluent_kafka.Consumer
    service: Service
    settings: Settings
    stop: Flag
    condition: Condition
    broker: BrokerHealth


def consume(service: Service, settings: Settings, stop: Flag, condition: Condition) -> None:
    """Handle messages until `stop` is set; `condition` is told what keeps the consumer from it."""
    broker = BrokerHealth(condition)
    consumer = confluent_kafka.Consumer(
        {
            **settings.kafka,
            "stats_cb": broker.note,
            "statistics.interval.ms": STATISTICS_MS,
            "group.id": service.name,
            "client.id": f"{service.name}.consumer",
            **({"group.instance.id": settings.consumer_instance} if settings.consumer_instance else {}),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # offset_gaps.py answers it
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            "socket.nagle.disable": True,
            "topic.metadata.refresh.interval.ms": 5_000,
            "logger": SILENT,
        }
    )
    loop = _Loop(consumer, service, settings, stop, condition, broker)
    consumer.subscribe(service.topics)
    log.info("consuming", topics=service.topics)
    clean_at = commit_at = gaps_at = registered_at = time.monotonic()
    handled: dict[tuple[str, int], int] = {}
    try:
        while not stop.is_set():
            watchdog.alive()
            messages = drain(consumer, settings.batch_size, broker)
            if messages:
                failpoint.reach("consumer.polled")
                started = time.monotonic()
                if _until_handled(loop, messages):
                    handled |= {(m.topic, m.partition): m.offset for m in messages}
                stop.wait(max(0.0, started + _pace(service, messages, settings) - time.monotonic()))
            else:
                for topic in service.topics:
                    metrics.put("consumer_lag_seconds", 0 if broker.answers else NAN, topic=topic)
            if handled and time.monotonic() > commit_at:
                commit_at = time.monotonic() + COMMIT_SECONDS
                _commit(consumer, handled)
                handled.clear()
            if time.monotonic() > gaps_at:
                gaps_at = time.monotonic() + GAPS_SECONDS
                _tell_gaps(service, condition)
            if time.monotonic() > registered_at:
                registered_at = time.monotonic() + redrive_registered(service, settings)
            if time.monotonic() > clean_at:
                clean_at = time.monotonic() + clean(settings)
    finally:
        _commit(consumer, handled)
        consumer.close()


def _until_handled(loop: _Loop, messages: list[Message]) -> bool:
    """Handle a batch, again with backoff while the environment fails; False where told to stop first."""
    done = False
    wait = loop.settings.retry_seconds
    paused = []
    while not loop.stop.is_set():
        try:
            handling.process(loop.service, messages, loop.settings)
        except Exception as error:
            if not may_succeed_later(error):
                raise
            _tell(loop.condition, error)
            handling.put_lag(messages)
            connection.close()
            watchdog.alive()
            paused = loop.consumer.assignment()
            loop.consumer.pause(paused)
            # Keeps the membership. A rebalance within it can bring partitions that are not paused, and their messages.
            late = loop.consumer.poll(wait)
            messages += [m for m in (read(loop.consumer, late, loop.broker),) if m] if late else []
            wait = min(60.0, wait * 2)
        else:
            failpoint.reach("consumer.committed")
            metrics.put("consumer_stopped", 0)
            loop.condition.recovered("database", "stopped")
            done = True
            break
    if paused:
        owned = {(p.topic, p.partition) for p in loop.consumer.assignment()}
        loop.consumer.resume([p for p in paused if (p.topic, p.partition) in owned])
    return done


def _tell(condition: Condition, error: Exception) -> None:
    stopped, found = isinstance(error, ParkingStopped), classify(error)
    metrics.put("consumer_stopped", stopped)
    part = "stopped" if stopped else "database"
    condition.fails(part, one_line(error), operator_needed=stopped or found is ErrorClass.ENVIRONMENT)


def _tell_gaps(service: Service, condition: Condition) -> None:
    try:
        offset_gaps.tell(service.name, condition)
    except Exception as error:
        if not may_succeed_later(error):
            raise
        connection.close()  # the next batch, or readiness, tells of the database


def _commit(consumer: confluent_kafka.Consumer, handled: Mapping[tuple[str, int], int]) -> None:
    """Commit the offsets of partitions that are still ours; another owner knows better."""
    owned = {(p.topic, p.partition) for p in consumer.assignment()}
    offsets = [
        confluent_kafka.TopicPartition(topic, partition, offset + 1)
        for (topic, partition), offset in handled.items()
        if (topic, partition) in owned
    ]
    if not offsets:
        return
    try:
        consumer.commit(offsets=offsets, asynchronous=True)
    except confluent_kafka.KafkaException as error:
        log.warning("offsets not committed", reason=str(error))  # they come again, and the inbox knows them


def _pace(service: Service, messages: Sequence[Message], settings: Settings) -> float:
    """Return the seconds from the begin of this batch to that of the next; what is passed costs nothing."""
    return min(settings.batch_seconds, MESSAGE_SECONDS * sum(handling.concerns(service, m) for m in messages))
