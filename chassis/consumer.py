"""Events in: poll, drain, hand over, commit offsets after the database.

The model. A batch is what the broker has ready: one poll for the first message, then a drain that does not wait. Types
that nobody here reacts to, and a replay's records that name another group, are passed by their headers, before decoding
and without an inbox row. The others become commands, and inbox rows, changed rows and new events commit in one
transaction. Offsets are committed after that, once a second: a crash in between brings the batches again, and the inbox
drops them. After a batch the next one is not begun at once, but the later the more messages it handled (`batch_seconds`
at most): under load more comes together, and a transaction costs about the same for one message as for twenty. One
alone waits for nothing.

Failures are of two kinds; chassis/sqlstate.py tells which a database error is.
- The environment fails (database away, a right or a table missing): nothing is counted against any message. The
  partitions are paused, so that the group keeps its member, and the same batch is tried again until it goes through.
- One message is broken (unreadable, refused, or a defect in a reaction): the batch is rolled back and gone through
  one by one; the one that fails is tried again a few times, then parked with its reason, and later messages of its key
  are parked behind it. All other keys flow.
Where most keys would be parked (`parking_limit`), the code is at fault and not the messages: the consumer stands still,
as if the environment failed, until another version handles what this one cannot. What counts are the last rows of the
inbox, so a restart does not begin to park anew.

What is relied on: one partition has one consumer of the group at a time, mostly. Where a rebalance makes it two for a
moment, the inbox's unique id and the row locks decide, not Kafka.

Turned down: one transaction a message (340 events/s against 6,600 in batches of 200); `consume(n, timeout)`, which
waits the whole time-out unless n messages came; storing offsets before the database.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller
from threading import Event as Flag
from typing import cast

import confluent_kafka
import structlog
from django.db import connection, transaction
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from chassis import failpoint, inbox, metrics, offset_gaps, unit_of_work, watchdog
from chassis.broker_health import STATISTICS_MS, BrokerHealth
from chassis.condition import Condition
from chassis.message import Headers, Message, cut, readable
from chassis.outcomes import CommandRefused, Ignored, ParkingStopped, Unreadable
from chassis.schema_ids import read_event
from chassis.service import Command, Copy, Service
from chassis.settings import Settings
from chassis.sqlstate import ErrorClass, classify, may_succeed_later, one_line
from chassis.telemetry import Cause
from chassis.unit_of_work import Caused, Copied

log: structlog.stdlib.BoundLogger = structlog.get_logger()
# Of librdkafka's own lines what matters comes as an error of a poll.
SILENT = logging.getLogger("chassis.librdkafka")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
# The client returns a result and an error at once, which a direct call that CPython has specialized does not notice.
ASK_HEADERS = methodcaller("headers")
POLL_SECONDS = 0.5
NAN = float("nan")
MESSAGE_SECONDS = 0.01  # twice what a transaction takes that has one message
COMMIT_SECONDS = 1.0  # a crash brings back what was handled since, and the inbox knows it
GAPS_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 3600.0
FORGET_ROWS = 5_000  # at once: messages wait meanwhile, for some 50 ms
ATTEMPTS_BEFORE_PARKING = 3
LINE_CHARACTERS = 2_000  # of an error; it may quote a whole value
PARKED_KEYS = 20  # fewer are bad events, whatever their share


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
            "auto.offset.reset": "error",  # chassis/offset_gaps.py answers it
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
    clean_at = commit_at = gaps_at = time.monotonic()
    handled: dict[tuple[str, int], int] = {}
    try:
        while not stop.is_set():
            watchdog.alive()
            messages = _drain(consumer, settings.batch_size, broker)
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
            if time.monotonic() > clean_at:
                clean_at = time.monotonic() + _housekeeping(settings)
    finally:
        _commit(consumer, handled)
        consumer.close()


def _drain(consumer: confluent_kafka.Consumer, limit: int, broker: BrokerHealth) -> list[Message]:
    first = consumer.poll(POLL_SECONDS)
    if first is None:
        return []
    polled = [first, *consumer.consume(limit - 1, 0)]
    return [m for raw in polled if (m := _message(consumer, raw, broker)) is not None]


def _message(consumer: confluent_kafka.Consumer, raw: confluent_kafka.Message, broker: BrokerHealth) -> Message | None:
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


def _until_handled(loop: _Loop, messages: list[Message]) -> bool:
    """Handle a batch, again with backoff while the environment fails; False where told to stop first."""
    done = False
    wait = loop.settings.retry_seconds
    paused = []
    while not loop.stop.is_set():
        try:
            process(loop.service, messages, loop.settings)
        except Exception as error:
            if not may_succeed_later(error):
                raise
            _tell(loop.condition, error)
            _put_lag(messages)
            connection.close()
            watchdog.alive()
            paused = loop.consumer.assignment()
            loop.consumer.pause(paused)
            # Keeps the membership. A rebalance within it can bring partitions that are not paused, and their messages.
            late = loop.consumer.poll(wait)
            messages += [m for m in (_message(loop.consumer, late, loop.broker),) if m] if late else []
            wait = min(60.0, wait * 2)
        else:
            failpoint.reach("consumer.committed")
            metrics.put("consumer_stopped", 0)
            loop.condition.recovered("database", "schema", "stopped")
            done = True
            break
    if paused:
        owned = {(p.topic, p.partition) for p in loop.consumer.assignment()}
        loop.consumer.resume([p for p in paused if (p.topic, p.partition) in owned])
    return done


def _tell(condition: Condition, error: Exception) -> None:
    stopped, found = isinstance(error, ParkingStopped), classify(error)
    metrics.put("consumer_stopped", stopped)
    part = "stopped" if stopped else "schema" if found is None else "database"
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


def process(service: Service, messages: Sequence[Message], settings: Settings) -> None:
    """Apply a batch exactly once; parks what cannot be handled. Raises only what `may_succeed_later`."""
    wanted = [m for m in messages if _concerns(service, m)]
    metrics.inc("consumer_passed_total", len(messages) - len(wanted))
    if not wanted:
        return
    try:
        _apply(service, wanted, settings)
    except Exception as error:
        if may_succeed_later(error):
            raise
        log.info("one by one", messages=len(wanted), reason=_line(error))
        for message in wanted:
            _apply_or_park(service, message, settings)


def _pace(service: Service, messages: Sequence[Message], settings: Settings) -> float:
    """Return the seconds from the begin of this batch to that of the next; what is passed costs nothing."""
    return min(settings.batch_seconds, MESSAGE_SECONDS * sum(_concerns(service, m) for m in messages))


def _concerns(service: Service, message: Message) -> bool:
    known = message.event_type is None or message.event_type in service.reaction_to
    return known and message.is_for(service.name)


def _apply_or_park(service: Service, message: Message, settings: Settings) -> None:
    watchdog.alive()
    try:
        for attempt in Retrying(
            retry=retry_if_exception(_is_defect),
            stop=stop_after_attempt(ATTEMPTS_BEFORE_PARKING),
            wait=wait_exponential(0.05),
            reraise=True,
        ):
            with attempt:
                _apply(service, [message], settings)
    except Exception as error:
        if may_succeed_later(error):
            raise
        reason = _line(error)
        _stop_if_too_many(message, reason, settings)
        log.exception("parked", place=message.place, key=message.key, type=message.event_type, reason=reason)
        _keep(service, message, reason, settings)
        kind = type(error).__name__ if isinstance(error, Unreadable | CommandRefused) else "defect"
        metrics.inc("consumer_parked_total", reason=kind)


def _keep(service: Service, message: Message, reason: str, settings: Settings) -> None:
    try:
        inbox.park(service.name, message, reason, keep_days=settings.inbox_days)
    except Exception as error:
        if may_succeed_later(error):
            raise
        raise ParkingStopped(
            f"can neither handle {message.place} ({reason}) nor keep it as a dead letter ({_line(error)}): mend what "
            f"refuses it, or stop the consumer and set the offset of group {service.name} in {message.topic}/"
            f"{message.partition} to {message.offset + 1} (kafka-consumer-groups --reset-offsets)"
        ) from None


def _is_defect(error: BaseException) -> bool:
    """Say whether another attempt at the message may end otherwise, though the environment is well."""
    return not isinstance(error, Unreadable | CommandRefused) and not may_succeed_later(error)


def _stop_if_too_many(message: Message, reason: str, settings: Settings) -> None:
    keys, handled = inbox.latest()
    if keys >= PARKED_KEYS and keys / (keys + handled) > settings.parking_limit:
        raise ParkingStopped(
            f"would park {message.place} ({reason}) after {keys} keys of the last {keys + handled}: deploy what "
            "handles them, or set WAYBILL_PARKING_LIMIT=1 to park them all"
        )


@unit_of_work.retried
def _apply(service: Service, messages: Sequence[Message], settings: Settings) -> None:
    """Inbox rows, rows and events of a batch, in one transaction."""
    with transaction.atomic():
        parked = inbox.parked_keys(service.name, messages)
        flowing = [m for m in messages if (m.topic, m.key) not in parked]
        for behind in (m for m in messages if (m.topic, m.key) in parked):
            inbox.park(service.name, behind, inbox.BEHIND, keep_days=settings.inbox_days)
        handle(service, flowing, settings)


def handle(service: Service, messages: Sequence[Message], settings: Settings) -> None:
    """Apply messages of which none waits behind a parked one; call it inside a transaction, which it may fail."""
    fresh = inbox.receive(service.name, messages, keep_days=settings.inbox_days)
    commands: list[Caused] = []
    copies: list[Copied] = []
    taken: set[str] = set()
    for message in messages:
        if message.inbox_id not in fresh or message.inbox_id in taken:
            continue
        taken |= {message.inbox_id, message.event_id}
        follows = _react(service, message)
        if isinstance(follows, Copy):
            copies.append(Copied(follows, message.version))
        elif follows is not None:
            commands.append(Caused(follows, Cause.of_event(message.event_id, message.headers)))
    unit_of_work.keep(service, copies)
    handled = unit_of_work.handle(service, commands)
    ignored = sum(isinstance(h.decision, Ignored) for h in handled)
    transaction.on_commit(lambda: _count(messages, fresh, ignored))


def _react(service: Service, message: Message) -> Command | Copy | None:
    if message.event_type is None:
        raise Unreadable("header ce_type is missing or empty")
    event_class, reaction = service.reaction_to[message.event_type]
    event = read_event(message.value)
    if not isinstance(event, event_class):
        raise Unreadable(f"header ce_type says {message.event_type}, the value is {event.event_type}")
    return reaction(event)


def _count(messages: Sequence[Message], fresh: set[str], ignored: int) -> None:
    for message in messages:
        outcome = "applied" if message.inbox_id in fresh else "repeated"
        metrics.inc("consumer_processed_total", topic=message.topic, type=message.event_type or "", outcome=outcome)
    _put_lag(messages)
    log.debug("applied", messages=len(messages), fresh=len(fresh), ignored=ignored)


def _age_seconds(message: Message) -> float:
    return time.time() - message.timestamp_ms / 1000


def _put_lag(waiting: Sequence[Message]) -> None:
    for message in waiting:
        metrics.put("consumer_lag_seconds", _age_seconds(message), topic=message.topic)


def _housekeeping(settings: Settings) -> float:
    """Remove what is old, at most FORGET_ROWS of each kind; returns the seconds until it is worth while again."""
    from chassis import idempotency  # brings what only the web program needs at its start

    try:
        removed = {
            "inbox": inbox.forget(settings.inbox_days, FORGET_ROWS),
            "idempotency_keys": idempotency.forget(FORGET_ROWS),
        }
    except Exception as error:
        if not may_succeed_later(error):
            raise
        log.warning("housekeeping put off", reason=_line(error))
        connection.close()
        return HOUSEKEEPING_SECONDS
    if any(removed.values()):
        log.info("housekeeping", **removed)
    return 1.0 if FORGET_ROWS in removed.values() else HOUSEKEEPING_SECONDS


def _line(error: BaseException) -> str:
    text = cut(readable(str(error).strip()), LINE_CHARACTERS)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
