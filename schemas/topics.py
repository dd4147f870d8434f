"""The topics as data, and the deployment step that creates the missing ones."""

import logging
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # pyright: ignore[reportPrivateImportUsage] - as documented

from schemas.reach import NotYet, until_reached

FOR_EVER: Final = -1
_DAY_MS: Final = 24 * 60 * 60 * 1000
_BROKERS_OWN_REPLICATION: Final = -1
_CALL_SECONDS: Final = 10.0
_BROKER_AWAY: Final = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT}  # noqa: SLF001 - librdkafka's own codes


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A topic as it is created; what exists is never altered."""

    name: str
    partitions: int = 6
    """How many consumers of one service can share it; fixed, since with another number keys lose their order."""
    retention_ms: int = 14 * _DAY_MS
    """A subscriber may be away for a fortnight; older history comes from the outbox. FOR_EVER keeps all."""
    max_message_bytes: int = 1024 * 1024
    """The relay parks what is larger before it is sent."""

    def config(self) -> dict[str, str]:
        """Give the broker's settings of the topic."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
        }


TOPICS: Final = (
    Topic(name="order.events.v1"),
    Topic(name="inventory.events.v1"),
    # A new subscriber builds its price list from the first event on.
    Topic(name="inventory.products.v1", retention_ms=FOR_EVER),
    Topic(name="payment.events.v1"),
    Topic(name="notification.events.v1"),
)


class TopicRefused(Exception):
    """The broker answered, and does not let us create a topic."""


def create_missing(bootstrap: str, deadline_seconds: float) -> list[str]:
    """Create the topics that the broker does not have, and give a line on each topic; blocks while the broker starts.

    Raises:
        TopicRefused: The broker refuses a topic.
        Unreachable: No broker answered before the deadline.

    """
    admin = AdminClient(
        {
            "bootstrap.servers": bootstrap,
            # librdkafka's own back-off grows to 10 s, which a starting broker would wait out.
            "reconnect.backoff.max.ms": 250,
            "socket.connection.setup.timeout.ms": 2000,
        },
        logger=_silent(),
    )
    return until_reached(f"Kafka at {bootstrap}", lambda: _create_missing(admin), deadline_seconds)


def _create_missing(admin: AdminClient) -> list[str]:
    try:
        existing = {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=1).topics.items()}
    except KafkaException as error:
        raise NotYet(_text(error)) from None
    missing = [topic for topic in TOPICS if topic.name not in existing]
    if missing:
        _create(admin, missing)
    return [_created(topic) if topic in missing else _existing(topic, existing[topic.name]) for topic in TOPICS]


def _create(admin: AdminClient, missing: list[Topic]) -> None:
    new = [NewTopic(t.name, t.partitions, _BROKERS_OWN_REPLICATION, config=t.config()) for t in missing]
    answers = admin.create_topics(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - bare Future
        new,
        operation_timeout=_CALL_SECONDS,
        request_timeout=_CALL_SECONDS,
    )
    for topic in missing:
        try:
            answers[topic.name].result()
        except KafkaException as error:
            _judge(topic, error)


def _created(topic: Topic) -> str:
    kept = "for ever" if topic.retention_ms == FOR_EVER else f"{topic.retention_ms // _DAY_MS} days"
    return f"{topic.name}: created, {topic.partitions} partitions, kept {kept}"


def _existing(topic: Topic, partitions: int) -> str:
    differs = "" if partitions == topic.partitions else f", where {topic.partitions} are meant; left as it is"
    return f"{topic.name}: exists, {partitions} partitions{differs}"


def _judge(topic: Topic, error: KafkaException) -> None:
    """Let pass what another deployment step created meanwhile, and ask for another attempt where one may help."""
    cause = error.args[0]
    if cause.code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return
    if cause.retriable() or cause.code() in _BROKER_AWAY:
        raise NotYet(_text(error)) from None
    raise TopicRefused(f"{topic.name}: {_text(error)}") from None


def _text(error: KafkaException) -> str:
    return str(error.args[0].str())


def _silent() -> logging.Logger:
    """Give a logger for librdkafka, which would print each failed attempt; the last one is reported here."""
    logger = logging.Logger("librdkafka")  # noqa: LOG001 - not in the tree of loggers, so nothing prints it
    logger.addHandler(logging.NullHandler())
    return logger
