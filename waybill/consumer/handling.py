"""Handle a batch: all of it in one transaction, or message by message where one fails, with its dead letters."""

import time
import traceback
from collections.abc import Sequence

import structlog
from django.db import transaction
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from waybill.consumer.message import Message, cut, readable
from waybill.consumer.schema_ids import read_event
from waybill.consumer.subscriber import BatchSubscriber, SetSubscriber, Subscriber
from waybill.database.sqlstate import may_succeed_later
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import CommandRefused, ConsumerStopped, Ignored, SchemaUnknown, Unreadable
from waybill.deciders.service import Command, Copy, Service
from waybill.deciders.unit_of_work import Caused, Copied
from waybill.inbox import inbox
from waybill.observability import metrics
from waybill.observability.telemetry import Cause
from waybill.runtime import watchdog
from waybill.runtime.settings import Settings
from waybill.tracing.messages import processed

log: structlog.stdlib.BoundLogger = structlog.get_logger()
ATTEMPTS = 3  # of one message, within a second: enough for a lost race, and nobody behind it waits long
LINE_CHARACTERS = 2_000  # of an error; it may quote a whole value
FRAMES = 20  # of a traceback, the innermost
TRACEBACK_CHARACTERS = 4_000  # of a traceback, its end
RECEIVED_BEFORE = "it was received before"
FEWEST_BLOCKED_KEYS = 20  # with fewer, the events are bad and not the code, whatever their share of all keys


def process(subscriber: Subscriber, messages: Sequence[Message], settings: Settings) -> None:
    """Apply a batch exactly once, or make dead letters of what fails. Raises only what `may_succeed_later`."""
    wanted = [m for m in messages if concerns(subscriber, m)]
    metrics.inc("consumer_passed_total", len(messages) - len(wanted))
    if not wanted:
        return
    try:
        _apply(subscriber, wanted, settings)
    except Exception as error:
        if may_succeed_later(error):
            raise
        log.info("one by one", messages=len(wanted), reason=_line(error))
        for message in wanted:
            _apply_or_dead_letter(subscriber, message, settings)


def concerns(subscriber: Subscriber, message: Message) -> bool:
    """Say whether the subscriber reacts to the message, or has to say that nobody can read it."""
    known = message.event_type is None or message.event_type in subscriber.reaction_to
    return known and message.is_for(subscriber.name)


def _apply_or_dead_letter(subscriber: Subscriber, message: Message, settings: Settings) -> None:
    watchdog.alive()
    try:
        for attempt in Retrying(
            retry=retry_if_exception(_is_defect),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(0.05),
            reraise=True,
        ):
            with attempt:
                _apply(subscriber, [message], settings)
    except Exception as error:
        if may_succeed_later(error):
            raise
        reason = _line(error)
        schema_id = error.schema_id if isinstance(error, SchemaUnknown) else None
        if schema_id is None:
            _stop_if_too_many(message, reason, settings)
        log.exception("dead_lettered", place=message.place, key=message.key, type=message.event_type, reason=reason)
        _store(subscriber, message, reason, settings, schema_id, traceback_of(error))
        kind = type(error).__name__ if isinstance(error, Unreadable | CommandRefused) else "defect"
        metrics.inc("consumer_dead_lettered_total", reason=kind)


def traceback_of(error: Exception) -> str | None:
    """Return where a defect is; None of an error that is no defect, but what is wrong with the message."""
    if isinstance(error, Unreadable | CommandRefused):
        return None
    return "".join(traceback.format_exception(error, limit=-FRAMES))[-TRACEBACK_CHARACTERS:]


def _store(
    subscriber: Subscriber,
    message: Message,
    reason: str,
    settings: Settings,
    schema_id: int | None,
    traced: str | None,
) -> None:
    days = settings.inbox_days
    try:
        inbox.add_dead_letter(subscriber.name, message, reason, retention_days=days, schema_id=schema_id, traced=traced)
    except Exception as error:
        if may_succeed_later(error):
            raise
        raise ConsumerStopped(
            f"can neither handle {message.place} ({reason}) nor keep it as a dead letter ({_line(error)}): fix what "
            f"refuses it, or skip it: outbox skip --service {subscriber.name.removesuffix('_service')} --topic "
            f"{message.topic} --partition {message.partition} --offset {message.offset}"
        ) from None


def _is_defect(error: BaseException) -> bool:
    """Say whether another attempt at the message may end otherwise, though the environment is well."""
    return not isinstance(error, Unreadable | CommandRefused) and not may_succeed_later(error)


def _stop_if_too_many(message: Message, reason: str, settings: Settings) -> None:
    keys, handled = inbox.latest()
    if keys >= FEWEST_BLOCKED_KEYS and keys / (keys + handled) > settings.dead_letter_limit:
        raise ConsumerStopped(
            f"{message.place} would be a dead letter ({reason}) after {keys} keys of the last {keys + handled}: deploy "
            "what handles them, or set WAYBILL_DEAD_LETTER_LIMIT=1 to make dead letters of all"
        )


@unit_of_work.retried
def _apply(subscriber: Subscriber, messages: Sequence[Message], settings: Settings) -> None:
    """Inbox rows, rows and events of a batch, in one transaction."""
    with processed(subscriber.name, messages), transaction.atomic():
        fresh, blocked = inbox.receive(subscriber.name, messages, retention_days=settings.inbox_days)
        flowing = [m for m in messages if (m.topic, m.key) not in blocked]
        for behind in (m for m in messages if (m.topic, m.key) in blocked):
            waits_for = blocked[behind.topic, behind.key]
            inbox.add_dead_letter(
                subscriber.name, behind, inbox.BEHIND, retention_days=settings.inbox_days, schema_id=waits_for
            )
        handle(subscriber, flowing, fresh)


def handle(subscriber: Subscriber, messages: Sequence[Message], fresh: set[str]) -> str | None:
    """Apply messages of which none waits behind a dead letter; call it inside a transaction, which it may fail.

    `fresh` are the inbox ids that this transaction noted. Returns why nothing came of them, where nothing did.
    """
    commands: list[Caused] = []
    copies: list[Copied] = []
    # Within one batch: a record may come twice, and one that is to be handled again has an inbox id of its own beside
    # its event's, so both ids are noted.
    taken: set[str] = set()
    for message in messages:
        if message.inbox_id not in fresh or message.inbox_id in taken:
            continue
        taken |= {message.inbox_id, message.event_id}
        follows = react(subscriber, message)
        if isinstance(follows, Copy):
            copies.append(Copied(follows, message.version))
        elif follows is not None:
            commands.append(Caused(follows, Cause.of_event(message.event_id, message.headers)))
    ignored: list[str] = []
    if isinstance(subscriber, Service):  # a project's handlers have done all that follows
        unit_of_work.save_copies(subscriber, copies)
        handled = unit_of_work.handle(subscriber, commands)
        ignored = [one.decision.reason for one in handled if isinstance(one.decision, Ignored)]
    elif isinstance(subscriber, SetSubscriber):
        subscriber.apply([one.command for one in commands])
    elif isinstance(subscriber, BatchSubscriber):
        subscriber.finish([one.command for one in commands])
    transaction.on_commit(lambda: _count(messages, fresh, len(ignored)))
    if not taken:
        return RECEIVED_BEFORE if messages else None
    return ignored[0] if ignored and len(ignored) == len(commands) and not copies else None


def react(subscriber: Subscriber, message: Message) -> Command | Copy | None:
    """Return what follows from a message that the subscriber reacts to. Raises Unreadable."""
    if message.event_type is None:
        raise Unreadable("header ce_type is missing or empty")
    event_class, _ = subscriber.reaction_to[message.event_type]
    event = read_event(message.value)
    if not isinstance(event, event_class):
        raise Unreadable(f"header ce_type says {message.event_type}, the value is {event.event_type}")
    return subscriber.react(event, message)


def _count(messages: Sequence[Message], fresh: set[str], ignored: int) -> None:
    for message in messages:
        outcome = "applied" if message.inbox_id in fresh else "repeated"
        metrics.inc("consumer_processed_total", topic=message.topic, type=message.event_type or "", outcome=outcome)
    put_lag(messages)
    log.debug("applied", messages=len(messages), fresh=len(fresh), ignored=ignored)


def _age_seconds(message: Message) -> float:
    return time.time() - message.timestamp_ms / 1000


def put_lag(waiting: Sequence[Message]) -> None:
    """Show the age of these messages as the lag of their topics."""
    for message in waiting:
        metrics.put("consumer_lag_seconds", _age_seconds(message), topic=message.topic)


def _line(error: BaseException) -> str:
    text = cut(readable(str(error).strip()), LINE_CHARACTERS)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
