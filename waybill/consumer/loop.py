"""The loop: poll, hand over, retry with backoff while the environment fails, commit offsets once a second."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from threading import Event as Flag

import confluent_kafka
import structlog
from django.db import connection

from waybill.consumer import handling, positions, skips
from waybill.consumer.broker_health import STATISTICS_MS, BrokerHealth
from waybill.consumer.client_watch import ClientWatch
from waybill.consumer.housekeeping import clean
from waybill.consumer.message import Message
from waybill.consumer.polling import SILENT, Poller
from waybill.consumer.positions import Partition
from waybill.consumer.registered import redrive_registered
from waybill.consumer.starts import Starts
from waybill.consumer.subscriber import SetSubscriber, Subscriber
from waybill.database.sqlstate import ErrorClass, classify, may_succeed_later, one_line
from waybill.deciders.outcomes import ConsumerStopped
from waybill.inbox import reactions
from waybill.kafka import access
from waybill.observability import metrics
from waybill.runtime import failpoint, watchdog
from waybill.runtime.condition import Condition
from waybill.runtime.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()
NAN = float("nan")  # the lag is unknown: while the broker is silent, 0 would say that all was read
MESSAGE_SECONDS = 0.01  # twice what a transaction takes that has one message
# Of a SetSubscriber, for whom nobody waits: each request costs the broker as much as a transaction, whatever it brings.
GATHERED = {"fetch.min.bytes": 65_536, "fetch.wait.max.ms": 250}
COMMIT_SECONDS = 1.0  # a crash brings back what was handled since, and the inbox knows it
LOGIN_SECONDS = 5.0  # until a new password of the broker is noticed
GAPS_SECONDS = 5.0  # until a gap that was filled or acknowledged is no longer shown
RECORD_SECONDS = 5.0  # before another attempt


@dataclass(frozen=True, slots=True)
class _Loop:
    """What one run of the consumer has in hand."""

    consumer: confluent_kafka.Consumer
    subscriber: Subscriber
    settings: Settings
    stop: Flag
    condition: Condition
    poller: Poller
    starts: Starts


def consume(subscriber: Subscriber, settings: Settings, stop: Flag, condition: Condition) -> None:
    """Handle messages until `stop` is set; `condition` is told what keeps the consumer from it."""
    kafka, broker = settings.kafka, BrokerHealth(condition)
    _check(kafka)
    consumer = confluent_kafka.Consumer(
        {
            **kafka,
            "error_cb": partial(_heed, kafka, broker),
            "stats_cb": broker.note,
            "statistics.interval.ms": STATISTICS_MS,
            "group.id": subscriber.name,
            "client.id": f"{subscriber.name}.consumer",
            **({"group.instance.id": settings.consumer_instance} if settings.consumer_instance else {}),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # starts.py answers it
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            "socket.nagle.disable": True,
            "topic.metadata.refresh.interval.ms": 5_000,
            **(GATHERED if isinstance(subscriber, SetSubscriber) else {}),
            "logger": SILENT,
        }
    )
    login = access.Login(kafka)
    starts = Starts(subscriber.name, kafka, condition, settings.retry_seconds)
    poller = Poller(consumer, broker, starts.out_of_range, starts.refused)
    loop = _Loop(consumer, subscriber, settings, stop, condition, poller, starts)
    clients = ClientWatch(broker, starts)
    consumer.subscribe(list(subscriber.topics), on_assign=starts.assigned)
    log.info("consuming", topics=subscriber.topics)
    periodic = PeriodicTasks(
        lambda: _record_reactions(subscriber),
        lambda: _show_gaps(starts),
        lambda: _renew(login, consumer, starts),
        lambda: redrive_registered(subscriber, settings),
        lambda: clean(subscriber, settings),
    )
    commit_at = time.monotonic()
    handled: dict[Partition, Message] = {}
    try:
        while not stop.is_set():
            watchdog.alive()
            messages = poller.drain(settings.batch_size)
            if messages:
                failpoint.reach("consumer.polled")
                started = time.monotonic()
                if _until_handled(loop, messages):
                    handled |= {(m.topic, m.partition): m for m in messages}
                stop.wait(max(0.0, started + _batch_interval(subscriber, messages, settings) - time.monotonic()))
            else:
                all_read = broker.answers and not starts.pending
                for topic in subscriber.topics:
                    metrics.put("consumer_lag_seconds", 0 if all_read else NAN, topic=topic)
            if handled and time.monotonic() > commit_at:
                commit_at = time.monotonic() + COMMIT_SECONDS
                _commit(loop, handled)
                handled.clear()
            starts.watch(consumer)
            if not messages:
                clients.look()
            for partition in starts.pending:
                handled.pop(partition, None)  # it may be of a log that is no longer there
            starts.settle(consumer)
            periodic.run_due()
    finally:
        _commit(loop, handled)
        consumer.close()


class PeriodicTasks:
    """What is done between two batches: each task returns the seconds until it is due again."""

    def __init__(self, *tasks: Callable[[], float]) -> None:
        """Take the tasks, each due at once."""
        self._due_at = dict.fromkeys(tasks, 0.0)

    def run_due(self) -> None:
        """Run what is due. Raises what that raises."""
        for task, due_at in self._due_at.items():
            if time.monotonic() > due_at:
                self._due_at[task] = time.monotonic() + task()


def _check(kafka: Mapping[str, str]) -> None:
    try:
        access.check(kafka)
    except ValueError as error:
        raise SystemExit(f"cannot start, {error}") from None


def _heed(kafka: Mapping[str, str], broker: BrokerHealth, error: confluent_kafka.KafkaError) -> None:
    """Note why no broker serves us; called while the consumer polls, which gives no such error as a message."""
    if error.code() in access.REFUSALS:
        broker.refused(access.tell(kafka, error))
    elif error.code() == confluent_kafka.KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own code
        broker.down(error.str())


def _renew(login: access.Login, consumer: confluent_kafka.Consumer, starts: Starts) -> float:
    login.renew(consumer, starts.admin)
    return LOGIN_SECONDS


def _show_gaps(starts: Starts) -> float:
    starts.tell()
    return GAPS_SECONDS


def _record_reactions(subscriber: Subscriber) -> float:
    """Record what the service reacts to, for the `outbox` command; returns the seconds until another attempt."""
    try:
        reactions.record(subscriber)
    except Exception as error:
        if not may_succeed_later(error):
            raise
        connection.close()
        log.warning("reactions not recorded", reason=one_line(error))
        return RECORD_SECONDS
    return inf


def _until_handled(loop: _Loop, messages: list[Message]) -> bool:
    """Handle a batch, retried with backoff while the environment fails; False where `stop` is set first.

    Adds to `messages` what a rebalance brings meanwhile: the caller commits the offsets of all of them.
    """
    done = False
    wait = loop.settings.retry_seconds
    paused = []
    failed = False
    skipped: list[skips.Skip] = []
    while not loop.stop.is_set():
        try:
            if failed:  # only now: a healthy batch costs no query for skips
                skipped = skips.among(messages)
            places = {skip.place for skip in skipped}
            handling.process(loop.subscriber, [m for m in messages if m.place not in places], loop.settings)
        except Exception as error:
            if not may_succeed_later(error):
                raise
            failed = True
            _note_failure(loop.condition, error)
            handling.put_lag(messages)
            connection.close()
            watchdog.alive()
            paused = loop.consumer.assignment()
            loop.consumer.pause(paused)
            # Polls, and so keeps the group's member. A rebalance meanwhile can bring partitions that are not paused.
            messages += loop.poller.wait(wait)
            wait = min(60.0, wait * 2)
        else:
            failpoint.reach("consumer.committed")
            metrics.put("consumer_stopped", 0)
            loop.condition.recovered("database", "stopped")
            skips.log_skipped(skipped)
            done = True
            break
    if paused:
        flowing = {(p.topic, p.partition) for p in loop.consumer.assignment()} - set(loop.starts.pending)
        loop.consumer.resume([p for p in paused if (p.topic, p.partition) in flowing])
    return done


def _note_failure(condition: Condition, error: Exception) -> None:
    stopped, found = isinstance(error, ConsumerStopped), classify(error)
    metrics.put("consumer_stopped", stopped)
    part = "stopped" if stopped else "database"
    condition.fails(part, one_line(error), operator_needed=stopped or found is ErrorClass.ENVIRONMENT)


def _commit(loop: _Loop, handled: dict[Partition, Message]) -> None:
    """Commit the offsets of partitions that are still ours, to Kafka and the database; another owner knows better."""
    owned = {(p.topic, p.partition) for p in loop.consumer.assignment()}
    last = {partition: message for partition, message in handled.items() if partition in owned}
    if not last:
        return
    offsets = [confluent_kafka.TopicPartition(*partition, message.offset + 1) for partition, message in last.items()]
    try:
        loop.consumer.commit(offsets=offsets, asynchronous=True)
        positions.save(last, loop.starts.topic_ids)
    except Exception as error:
        if not isinstance(error, confluent_kafka.KafkaException) and not may_succeed_later(error):
            raise
        connection.close()
        log.warning("offsets not committed", reason=one_line(error))  # they come again, and the inbox knows them


def _batch_interval(subscriber: Subscriber, messages: Sequence[Message], settings: Settings) -> float:
    """Return the seconds between the starts of this batch and the next; messages that are passed over add none.

    A SetSubscriber's is always `batch_seconds`: nothing follows from what it writes.
    """
    concerned = sum(handling.concerns(subscriber, m) for m in messages)
    each = settings.batch_seconds if isinstance(subscriber, SetSubscriber) else MESSAGE_SECONDS
    return min(settings.batch_seconds, each * concerned)
