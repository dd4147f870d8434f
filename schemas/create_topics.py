"""The deployment step that creates the topics that are missing."""

import logging
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # pyright: ignore[reportPrivateImportUsage] - as documented

from schemas.kafka_client import connection
from schemas.reach import NotYet, until_reached
from schemas.topics import TOPICS, Topic

_BROKERS_OWN_REPLICATION: Final = -1
_CALL_SECONDS: Final = 10.0
_BROKER_AWAY: Final = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT}  # noqa: SLF001 - librdkafka's own codes


class TopicRefused(Exception):
    """The broker answered, and does not let us create a topic."""


def create_missing(bootstrap: str, deadline_seconds: float, properties_file: str | None = None) -> list[str]:
    """Create the topics that the broker does not have, and give a line on each topic; blocks while the broker starts.

    Raises:
        TopicRefused: The broker refuses a topic.
        Unreachable: No broker answered before the deadline.

    """
    admin = AdminClient(
        {
            **connection(bootstrap, properties_file),
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
    return f"{topic.name}: created, {topic.partitions} partitions, {topic.retention}"


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
